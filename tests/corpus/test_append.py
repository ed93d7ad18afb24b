"""Adding to somebody's file: every byte that was there stays, and nothing that is added is lost."""

import errno
import multiprocessing
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.append import append_dialogues
from dialog_policy.corpus.readers import stream
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError, OptionError, RunError
from dialog_policy.files import locked
from tests.corpus.test_round_trip import DIALOGUES


def chat(name="chat", user="où?", actions=("ask", "greet"), **others):
    return Dialogue(id=name, turns=(Turn(user=user, actions=frozenset(actions), **others),))


SHEETS = {
    "semicolons, mark, no last line end": "\ufeffdialogue_id;user;actions;note\r\n1;hi;greet;x\r\n1;yo;ask|greet;y".encode(),
    "a declared separator": b"sep=;\ndialogue_id;user;actions\n1;hi;greet\n",
    "quotes everywhere": b'"dialogue_id","user","actions"\n"1","hi","greet"\n',
    "tabs in UTF-16": "\ufeffdialogue_id\tuser\tactions\r\n1\thi\tgreet\r\n".encode("utf-16-le"),
    "big-endian, without a last line end": "\ufeffdialogue_id,user,actions\n1,hi,greet".encode("utf-16-be"),
    "empty columns and merged ids": b"actions,,user,dialogue_id,system,,\ngreet,,hi,1,,,\nask,,yo,,hello,,\n",
    "commas between actions": b'dialogue_id,user,actions\n1,hi,"greet, ask"\n1,yo,ask\n',
    "turn numbers": b"dialogue_id,turn,user,actions\n1,1,b,ask\n1,0,a,greet\n",
    "a header only": b"dialogue_id,user,actions\r\n",
    "old line ends": b"dialogue_id,user,actions\r1,hi,greet\r",
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_sheet_keeps_every_byte_and_its_own_way_of_writing(tmp_path, name):
    path = tmp_path / "notes.csv"
    path.write_bytes(SHEETS[name])
    before = list(stream(path))
    assert append_dialogues(path, [chat()]) == 1
    content = path.read_bytes()
    assert content.startswith(SHEETS[name])
    assert list(stream(path)) == [*before, chat()]
    assert [p.name for p in tmp_path.iterdir()] == ["notes.csv"]
    # What is there already is not added again, whatever its id.
    assert append_dialogues(path, [chat("another id")]) == 0
    assert path.read_bytes() == content


def test_rows_look_like_those_above(tmp_path):
    def added(sheet):
        (tmp_path / "c.csv").write_bytes(SHEETS[sheet])
        append_dialogues(tmp_path / "c.csv", [chat()])
        return (tmp_path / "c.csv").read_bytes()[len(SHEETS[sheet]) :]

    assert added("semicolons, mark, no last line end") == "\r\nchat;où?;ask|greet;\r\n".encode()
    assert added("quotes everywhere") == '"chat","où?","ask|greet"\n'.encode()
    assert added("empty columns and merged ids") == "ask|greet,,où?,chat,,,\n".encode()
    assert added("commas between actions") == 'chat,où?,"ask,greet"\n'.encode()
    assert added("tabs in UTF-16") == "chat\toù?\task|greet\r\n".encode("utf-16-le")


LINE = '{"id": "1", "turns": [{"user": "hi", "actions": ["a"]}]}'


@pytest.mark.parametrize(
    "content",
    [b"", LINE.encode(), f"{LINE}\r\n".encode(), f"\ufeff{LINE}\n".encode(), f"\ufeff{LINE}".encode("utf-16-le")],
)
def test_json_lines_get_lines(tmp_path, content):
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    before = list(stream(path)) if content else []
    assert append_dialogues(path, [chat("x"), chat("y"), chat("1", "other")]) == 2
    assert path.read_bytes().startswith(content)
    # The second is a copy of the first, and the third's id is taken.
    assert list(stream(path)) == [*before, chat("x"), chat("1 (2)" if content else "1", "other")]


def test_json_lines_of_either_name_may_be_new_or_empty(tmp_path):
    (tmp_path / "empty.ndjson").touch()
    for name in ("new.ndjson", "empty.ndjson"):
        for expected in (1, 0):
            assert append_dialogues(tmp_path / name, [chat("x")]) == expected
        assert list(stream(tmp_path / name)) == [chat("x")]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
@settings(max_examples=60, deadline=None)
@given(
    dialogues=st.lists(DIALOGUES, max_size=4, unique_by=(lambda d: d.id, lambda d: d.fingerprint())),
    at=st.integers(0, 4),
    cut=st.booleans(),
)
def test_whatever_is_added_is_there_or_refused(tmp_path_factory, suffix, dialogues, at, cut):
    path = tmp_path_factory.mktemp("added") / f"c{suffix}"
    write_corpus(dialogues[:at], path)
    if cut:
        path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    before = path.read_bytes()
    known = list(stream(path)) if before else []
    try:
        count = append_dialogues(path, dialogues[at:])
    except DialogPolicyError:
        assert path.read_bytes() == before
        assert suffix != ".jsonl"
    else:
        assert count == len(dialogues[at:])
        assert path.read_bytes().startswith(before)
        assert list(stream(path)) == [*known, *dialogues[at:]]


REFUSED = {
    "a context": (b"dialogue_id,user,actions\n1,hi,a\n", chat(context={"n": 1}), "no column 'context'"),
    "a reply": (b"dialogue_id,user,actions\n1,hi,a\n", chat(system="yes"), "no column 'system'"),
    "a letter": (b"dialogue_id,user,actions\n1,\xe9,a\n", chat(user="我"), "expected UTF-8|no character"),
    "a name": (b'dialogue_id,user,actions\n1,hi,"a, b"\n1,ho,a\n', chat(actions=("x|y",)), "cannot represent"),
    "broken": (b"dialogue_id,user,actions\n1,hi\n", chat(), "line 2: .*expected 3 cells"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_sheet_cannot_hold_is_refused_with_another_files_name(tmp_path, name):
    content, dialogue, message = REFUSED[name]
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=rf"{message}.*Name another file, such as c-added\.jsonl"):
        append_dialogues(path, [dialogue])
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["c.csv"]


@pytest.mark.parametrize("name", ["c.parquet", "c.xlsx", "c.txt"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(OptionError, match=r"Name another file, such as c-added\.jsonl"):
        append_dialogues(tmp_path / name, [chat()])
    assert (tmp_path / name).read_bytes() == b"something"


def test_a_sheet_with_columns_and_an_encoding_of_its_own(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes("Gespräch;Frage;actions\n1;für?;a\n".encode("cp1252"))
    reader = {"dialogue_id": "Gespräch", "user": "Frage", "encoding": "cp1252"}
    append_dialogues(path, [chat()], reader=reader)
    assert [d.turns[0].user for d in stream(path, reader=reader)] == ["für?", "où?"]
    with pytest.raises(CorpusError, match="no character '我'"):
        append_dialogues(path, [chat(user="我")], reader=reader)


def test_links_and_permissions_stay(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(f"{LINE}\n")
    path.chmod(0o640)
    (tmp_path / "link.jsonl").symlink_to(path)
    append_dialogues(tmp_path / "link.jsonl", [chat()])
    assert (tmp_path / "link.jsonl").is_symlink()
    assert len(list(stream(path))) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder", "is a folder"), ("no/such/c.jsonl", "folder .*no does not exist"), ("f/c.jsonl", "is a file")],
)
def test_places_that_cannot_be_written_are_refused(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "f").write_text("x")
    with pytest.raises(OptionError, match=message):
        append_dialogues(tmp_path / name, [chat()])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "folder"]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "c.csv"
    path.write_text("dialogue_id,user,actions\n1,hi,a\n")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OptionError, match="the disk is full"):
        append_dialogues(path, [chat()])
    assert path.read_text() == "dialogue_id,user,actions\n1,hi,a\n"
    assert [p.name for p in tmp_path.iterdir()] == ["c.csv"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a place where nobody may make files: /proc, on Linux")
@pytest.mark.parametrize("place", ["/proc", "/proc/new"])
def test_where_no_file_can_be_made_nobody_is_waited_for(place, monkeypatch):
    monkeypatch.setattr("dialog_policy.corpus.append._PATIENCE_S", 0.1)
    with pytest.raises(OptionError, match="cannot be written"):
        append_dialogues(f"{place}/chat.csv", [chat()])


def test_a_file_that_another_process_writes_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "c.jsonl"
    append_dialogues(path, [chat()])
    before = path.read_bytes()
    monkeypatch.setattr("dialog_policy.corpus.append._PATIENCE_S", 0.1)
    with locked(path, "converting"), pytest.raises(RunError, match=rf"\(converting, process {os.getpid()} on"):
        append_dialogues(path, [chat("new", "another text")])
    assert path.read_bytes() == before


def test_a_new_file_is_made(tmp_path):
    assert append_dialogues(tmp_path / "new.csv", [chat(), chat("copy")]) == 1
    assert list(stream(tmp_path / "new.csv")) == [chat()]


def _append(path, number):
    for i in range(5):
        append_dialogues(path, [chat(f"{number}-{i}", f"say {number} {i}")])


@pytest.mark.parametrize("name", ["c.jsonl", "c.csv"])
def test_processes_that_add_at_once_lose_nothing(tmp_path, name):
    path = tmp_path / name
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    processes = [context.Process(target=_append, args=(path, number)) for number in range(12)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert {process.exitcode for process in processes} == {0}
    assert {d.id for d in stream(path)} == {f"{number}-{i}" for number in range(12) for i in range(5)}
    assert [p.name for p in tmp_path.iterdir()] == [name]
