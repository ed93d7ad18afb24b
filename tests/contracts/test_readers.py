"""What every reader keeps: the checks of :mod:`dialog_policy.testing`, and damaged, foreign and hostile corpora.

A reader that comes in is under this contract once it has a sample (:mod:`tests.samples`).
"""

import json
import os
import tracemalloc
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from dialog_policy.corpus.readers import jsonl, limits, load_corpus, open_source, readers
from dialog_policy.corpus.readers.reader import Opened
from dialog_policy.corpus.readers.warehouse import READERS as ADDRESSES
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError
from dialog_policy.testing import parametrize_with_checks, reader_checks
from tests.mutations import MUTATIONS
from tests.samples import SAMPLES

FORMATS = sorted(SAMPLES)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def write(name, folder):
    return SAMPLES[name].put(folder)


def members(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def put(folder, contents):
    for member, content in contents.items():
        (folder / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / member).write_bytes(content)
    return folder


def test_every_reader_has_a_sample():
    assert set(SAMPLES) == set(readers()) - set(ADDRESSES)


@parametrize_with_checks(check for name in FORMATS for check in reader_checks(readers()[name], SAMPLES[name]))
def test_contract(check):
    check()


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_found_among_the_installed_ones(tmp_path, name):
    assert load_corpus(write(name, tmp_path / "c")).format == name


def test_a_reader_that_forgets_loses_or_looks_ahead_is_found_out():
    """The checks themselves: each fails for a reader that breaks its promise."""

    def broken(change):
        def opened(source, options):
            whole = jsonl.READER.open(source, options)
            return Opened(lambda: change(list(whole.dialogues())))

        return replace(jsonl.READER, open=opened)

    def looking_ahead(dialogues):
        for dialogue in dialogues:
            text = dialogue.turns[-1].system
            turns = tuple(structs.replace(turn, context={**turn.context, "end": text}) for turn in dialogue.turns)
            yield structs.replace(dialogue, turns=turns)

    def failing(reader):
        failed = set()
        for check in reader_checks(reader, SAMPLES["jsonl"]):
            try:
                check()
            except AssertionError:
                failed.add(check.name.partition(": ")[2])
        return failed

    lost = "no dialogue is lost, and the order is kept"
    assert not failing(jsonl.READER)
    assert lost in failing(broken(lambda dialogues: iter(dialogues[1:])))
    assert lost in failing(broken(reversed))
    leak = "nothing of the system side of a turn, or of later turns, is in what is known before the turn"
    assert leak in failing(broken(looking_ahead))


def comes_back(corpus, folder):
    """Whether JSON Lines give a corpus back exactly."""
    write_corpus(corpus, folder / "written.jsonl")
    first = (folder / "written.jsonl").read_bytes()
    again = load_corpus(folder / "written.jsonl")
    write_corpus(again, folder / "written.jsonl")
    return list(again) == list(corpus) and (folder / "written.jsonl").read_bytes() == first


def read_or_refuse(folder, name):
    """Read all that is there; what is read can be written and read again, what is not is one of our errors with its place."""
    for format_ in (name, None):
        try:
            corpus = load_corpus(folder / "c", format=format_)
        except DialogPolicyError as error:
            assert str(folder) in str(error) or "dialogue" in str(error)  # noqa: PT017 (most are readable)
        else:
            assert comes_back(corpus, folder)


@pytest.mark.parametrize("name", FORMATS)
def test_a_corpus_of_another_format_is_refused_or_read(tmp_path, name):
    for other in FORMATS:
        write(other, tmp_path / other / "c")
        read_or_refuse(tmp_path / other, name)


QUICK = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example],
)


@cache
def sample(name, folder):
    return members(write(name, folder))


def fuzz(folder, contents, name, changes):
    """Damage members, read, and mend them."""
    names = sorted(contents)
    changed = {names[at % len(names)]: change for at, change in changes}
    put(folder / "c", {member: change(contents[member]) for member, change in changed.items()})
    try:
        read_or_refuse(folder, name)
    finally:
        put(folder / "c", {member: contents[member] for member in changed})


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 16), MUTATIONS), min_size=1, max_size=2)


@pytest.mark.parametrize("name", FORMATS)
@QUICK
@given(changes=CHANGES)
def test_damaged_corpora_raise_only_our_errors(tmp_path, name, changes):
    fuzz(tmp_path, sample(name, tmp_path / "c"), name, changes)


# Public corpus: format, and patterns of the members of which a slice is taken.
SLICES = {
    "star.zip": ("star", ["[1-9]*.json"]),
    "dialog-bAbI-tasks.zip": ("babi", ["*task5*-trn.txt", "*task5*-dev.txt", "*all.txt"]),
    "dstc2.zip": ("dstc2", ["log.json", "label.json"]),
    "sim-M.zip": ("m2m", ["train.json", "dev.json"]),
    "sgd.zip": ("sgd", ["dialogues_*.json"]),
    "camrest-convlab-unified.zip": ("unified", ["dialogues.json"]),
    "multiwoz-2.1-val.zip": ("multiwoz", ["*.json"]),
}


def beginning(value):
    """The JSON value with no more than the beginning of its lists and of mappings of dialogues."""
    if isinstance(value, list):
        return [beginning(element) for element in value[:4]]
    if isinstance(value, dict):
        return {name: beginning(inner) for name, inner in list(value.items())[: 2 if len(value) > 100 else None]}
    return value


@cache
def real_slice(path, folder):
    name, patterns = SLICES[path.name]
    opened = open_source(path)
    contents = {}
    for member in [member for pattern in patterns for member in opened.find(pattern)[:2]]:
        content = opened.read(member)
        is_json = member.endswith(".json")
        contents[member] = (
            json.dumps(beginning(json.loads(content))).encode() if is_json else content[:3000].rpartition(b"\n")[0]
        )
    put(folder / "c", contents)
    assert load_corpus(folder / "c").format == name
    return contents


@pytest.mark.parametrize("file", sorted(SLICES))
@QUICK
@given(changes=CHANGES)
def test_damaged_public_corpora_raise_only_our_errors(tmp_path, public_corpora, file, changes):
    fuzz(tmp_path, real_slice(public_corpora(file), tmp_path), SLICES[file][0], changes)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", FORMATS)
def test_bombs_and_names_that_lead_out_are_refused_or_ignored(tmp_path, monkeypatch, name):
    contents = members(write(name, tmp_path / "c"))
    expected = list(load_corpus(tmp_path / "c"))
    monkeypatch.setattr(limits, "RATIO_COUNTS_FROM", 1 << 20)
    for bomb in contents:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in contents.items():
                archive.writestr(
                    member, bytes([content[0]] if content else b" ") * (8 << 20) if member == bomb else content
                )
        tracemalloc.start()
        with pytest.raises(CorpusError, match="refused"):
            load_corpus(tmp_path / "bomb.zip", format=name)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        for member, content in contents.items():
            archive.writestr(member, b"{")  # the later of two members of one name counts
            archive.writestr(member, content)
            archive.writestr(f"../{member}", b"{")
            archive.writestr(f"a/../../{Path(member).name}", b"{")
    assert list(load_corpus(tmp_path / "out.zip")) == expected
