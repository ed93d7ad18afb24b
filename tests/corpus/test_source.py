"""Files, folders and archives: what is read of them, what is refused, and how readers are found."""

import io
import tarfile
import tracemalloc
import warnings
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import readers as readers_module
from dialog_policy.corpus.readers import known, limits, load_corpus, open_source, readers
from dialog_policy.errors import CorpusError, DialogPolicyError

LINE = '{{"id": "{}", "turns": [{{"user": "x", "actions": ["y"], "system": "z"}}]}}\n'


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


MEMBERS = {f"part{n}.jsonl": "".join(LINE.format(f"{n}-{i}") for i in range(20)) for n in range(3)}
PACKED = {
    "c.zip": zipped(MEMBERS),
    "c.tar": tarred(MEMBERS, "w"),
    "c.tar.gz": tarred(MEMBERS, "w:gz"),
    "c.tar.bz2": tarred(MEMBERS, "w:bz2"),
    "c.tar.xz": tarred(MEMBERS, "w:xz"),
}


@pytest.mark.parametrize("name", sorted(PACKED))
def test_every_kind_of_archive_gives_all_members_in_order(tmp_path, name):
    (tmp_path / name).write_bytes(PACKED[name])
    assert [dialogue.id for dialogue in load_corpus(tmp_path / name)] == [
        f"{n}-{i}" for n in range(3) for i in range(20)
    ]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(PACKED)),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4),
    kept=st.none() | st.integers(1, 1 << 16),
)
def test_damaged_archives_raise_only_our_errors(tmp_path_factory, name, changes, kept):
    content = bytearray(PACKED[name])
    for at, value in changes:
        content[at % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content if kept is None else content[: kept % len(content) + 1])
    try:
        load_corpus(path)
    except DialogPolicyError as error:
        assert str(path) in str(error) or "occurs twice" in str(error)  # noqa: PT017 (a lucky change leaves it readable)


def test_a_packed_tar_is_unpacked_once_however_its_members_are_read(tmp_path):
    (tmp_path / "c.tar.gz").write_bytes(PACKED["c.tar.gz"])
    opened = open_source(tmp_path / "c.tar.gz")
    (tmp_path / "c.tar.gz").unlink()
    for member in reversed(opened.members):
        assert opened.read(member).decode() == MEMBERS[member]


@pytest.mark.parametrize("name", ["c.zip", "c.tar", "c.tar.gz"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(PACKED[name])
    monkeypatch.setattr(limits, "LARGEST_MEMBER", 1000)
    monkeypatch.setattr(limits, "LARGEST_TAR", 1000)
    with pytest.raises(CorpusError, match="refused"):
        load_corpus(tmp_path / name)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "RATIO_COUNTS_FROM", 1 << 20)
    (tmp_path / "bomb.zip").write_bytes(zipped({"c.jsonl": "\n" * (8 << 20)}))
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match="refused"):
            load_corpus(tmp_path / "bomb.zip")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_editors_and_systems_leave_behind_is_no_member(tmp_path):
    for name in ("a/.ipynb_checkpoints/c-checkpoint.jsonl", ".git/c.jsonl", "__MACOSX/a/c.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(LINE.format("left"))
    (tmp_path / "a" / "c.jsonl").write_text(LINE.format("meant"))
    assert [dialogue.id for dialogue in load_corpus(tmp_path)] == ["meant"]


@pytest.mark.parametrize("before", [0, 3, 4000])
def test_the_line_with_the_wrong_encoding_is_named(tmp_path, before):
    lines = "".join(LINE.format(i) for i in range(before)).encode()
    (tmp_path / "c.jsonl").write_bytes(lines + LINE.format("ü").encode("latin-1") + LINE.format("last").encode())
    with pytest.raises(CorpusError, match=rf"line {before + 1}: expected UTF-8 text, found the byte 0xfc"):
        load_corpus(tmp_path / "c.jsonl")


def test_an_encrypted_member_is_one_message(tmp_path):
    content = bytearray(zipped({"c.jsonl": LINE.format("a")}))
    content[6] |= 1  # the flag in the member's own header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "c.zip").write_bytes(content)
    with pytest.raises(CorpusError, match="encrypted"):
        load_corpus(tmp_path / "c.zip")


class _Entry:
    name, value = "theirs", "their_package:READER"

    def load(self):
        raise ImportError("no module named their_package")


def test_readers_are_found_without_installed_metadata_and_beside_a_broken_plug_in(monkeypatch):
    readers.cache_clear()
    try:
        monkeypatch.setattr(known, "entry_points", lambda group: [])
        assert {"jsonl", "table", "transcript", "star", "babi", "unified"} <= set(readers())
        readers.cache_clear()
        monkeypatch.setattr(known, "entry_points", lambda group: [_Entry()])
        with pytest.warns(UserWarning, match="theirs"):
            assert "jsonl" in readers()
    finally:
        readers.cache_clear()


def test_a_reader_of_somebody_else_is_found_and_can_be_asked_for(monkeypatch, tmp_path):
    (tmp_path / "c.theirs").write_text(LINE.format("a"))
    theirs = _Entry()
    monkeypatch.setattr(theirs, "load", lambda: readers_module.jsonl.READER, raising=False)
    readers.cache_clear()
    try:
        monkeypatch.setattr(known, "entry_points", lambda group: [theirs])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(load_corpus(tmp_path / "c.theirs", format="theirs")) == 1
    finally:
        readers.cache_clear()
