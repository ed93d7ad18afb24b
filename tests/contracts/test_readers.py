"""What every reader has to keep, over small corpora in all formats (:mod:`tests.samples`) and slices of the public ones.

A reader that comes in is under this contract once it has a sample.
"""

import csv
import io
import json
import os
import tarfile
import tracemalloc
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialog_policy.corpus.readers import limits, load_corpus, open_source, readers, stream
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError
from tests.mutations import MUTATIONS
from tests.samples import FREE_KEYS, NO_RESULTS, SAMPLES, SYSTEM_OPENS, TurnSpec

FORMATS = sorted(SAMPLES)
TURNS = [
    TurnSpec("hello", None, "greet", "hello there"),
    TurnSpec("table in paris", None, "ask", "for how many"),
    TurnSpec("for two", None, "query", "api_call thai paris two cheap"),
    TurnSpec("", "resto_a", "offer", "what about resto_a"),
    TurnSpec("no", None, "more", "anything else"),
    TurnSpec("bye", None, "bye", "see you"),
]
LATER = [
    TurnSpec("something new", "resto_z", "other", "quite another text"),
    TurnSpec("and more", None, "last", "the end of resto_z"),
]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def spoken(name, turns):
    """The turns as the format can say them."""
    return [turns[0]._replace(user=""), *turns[1:]] if name in SYSTEM_OPENS else list(turns)


def write(name, folder, dialogues=None):
    """Write dialogues, by default three of different lengths and texts, and return the folder."""
    if dialogues is None:
        dialogues = [TURNS, [t._replace(user=t.user and f"{t.user} again") for t in TURNS[:4]], TURNS[1:]]
    folder.mkdir(parents=True, exist_ok=True)
    SAMPLES[name](folder, [spoken(name, turns) for turns in dialogues])
    return folder


def members(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def put(folder, contents):
    for member, content in contents.items():
        (folder / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / member).write_bytes(content)
    return folder


def targets(dialogue):
    return [turn for turn in dialogue.turns if turn.is_target]


def test_every_reader_has_a_sample():
    assert set(SAMPLES) == set(readers())


@pytest.mark.parametrize("name", FORMATS)
def test_a_corpus_is_recognised_by_its_own_reader_and_by_no_other(tmp_path, name):
    folder = write(name, tmp_path / "c")
    assert load_corpus(folder).format == name
    assert [reader.name for reader in readers().values() if reader.recognises(open_source(folder))] == [name]
    if len(members(folder)) == 1:
        (file,) = members(folder)
        assert load_corpus(folder / file).format == name


@pytest.mark.parametrize("name", FORMATS)
def test_no_dialogue_is_lost_and_the_order_is_kept(tmp_path, name):
    many = [[t._replace(user=f"{t.user or 'so'} {i} {n}") for n, t in enumerate(TURNS[: 1 + i % 6])] for i in range(11)]
    dialogues = list(load_corpus(write(name, tmp_path / "c", many)))
    assert [[turn.user for turn in targets(d)] for d in dialogues] == [
        [turn.user for turn in spoken(name, turns)] for turns in many
    ]
    for dialogue, turns in zip(dialogues, many, strict=True):
        assert all(spec.system in turn.system for spec, turn in zip(turns, targets(dialogue), strict=True))
        assert [len(turn.actions) for turn in targets(dialogue)] == [1] * len(turns)
        assert len({turn.actions for turn in targets(dialogue)}) == len({turn.action for turn in turns})


@pytest.mark.parametrize("name", FORMATS)
def test_every_choice_of_every_option_can_be_read(tmp_path, name):
    folder = write(name, tmp_path / "c")
    for option, description in readers()[name].options.items():
        for choice in description.choices or (description.default,):
            if option not in ("task", "scenario"):  # these choose dialogues
                assert len(load_corpus(folder, reader={option: choice})) == 3


@pytest.mark.parametrize("name", FORMATS)
def test_reading_twice_gives_the_same(tmp_path, name):
    chosen = readers()[name]
    opened = chosen.open(open_source(write(name, tmp_path / "c")), chosen.fill({}))
    assert list(opened.dialogues()) == list(opened.dialogues()) == list(stream(tmp_path / "c"))


@pytest.mark.parametrize("name", FORMATS)
def test_folder_and_archives_give_the_same(tmp_path, name):
    folder = write(name, tmp_path / "c")
    expected = list(load_corpus(folder))
    # Archives keep their members in any order.
    contents = dict(reversed(members(folder).items()))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for member, content in contents.items():
            archive.writestr(member, content)
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        for member in contents:
            tar.add(folder / member, f"./{member}")
    for packed in ("c.zip", "c.tar.gz"):
        dialogues = load_corpus(tmp_path / packed)
        assert (dialogues.format, list(dialogues)) == (name, expected)
    # An archive usually has one folder in which all the rest is.
    (tmp_path / "outer" / "corpus-1.0").mkdir(parents=True)
    folder.rename(tmp_path / "outer" / "corpus-1.0" / "c")
    assert [d.turns for d in load_corpus(tmp_path / "outer")] == [d.turns for d in expected]


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_corpus(tmp_path, name):
    long = [t._replace(user=f"{t.user} {'word ' * 250}", system=f"{t.system}{' text' * 250}") for t in TURNS]
    sizes, peaks = [], []
    for n in (2, 6, 60):  # the first run imports and fills caches
        folder = write(name, tmp_path / str(n), [long] * n)
        sizes.append(sum(map(len, members(folder).values())))
        tracemalloc.start()
        assert sum(1 for _ in stream(folder)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Names of members and labels that stand in a file of their own are kept, texts are not.
    assert peaks[2] - peaks[1] < (sizes[2] - sizes[1]) / 4


def with_unknown(value, free, key=""):
    """The JSON value with a field more in every object whose names are not free."""
    if isinstance(value, list):
        return [with_unknown(element, free, key) for element in value]
    if not isinstance(value, dict):
        return value
    fields = {name: with_unknown(inner, free, name) for name, inner in value.items()}
    return fields if key in free else {"unknown": [{"a": None}, 1.5], **fields, "unheard_of": {"b": "c"}}


@pytest.mark.parametrize("name", FORMATS)
def test_unknown_fields_are_tolerated(tmp_path, name):
    folder = write(name, tmp_path / "c")
    expected = [dialogue.turns for dialogue in load_corpus(folder)]
    free = FREE_KEYS.get(name, frozenset())
    for member, content in members(folder).items():
        path = folder / member
        if path.suffix == ".json":
            path.write_text(json.dumps(with_unknown(json.loads(content), free)))
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(with_unknown(json.loads(d), free)) + "\n" for d in content.splitlines()))
        elif path.suffix == ".csv":
            rows = list(csv.reader(io.StringIO(content.decode())))
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([*row, "unknown"] for row in rows)
    put(folder, {"LICENSE": b"\xff", "notes/NOTES.md": b"# Notes\n", "empty/.keep": b""})
    assert [dialogue.turns for dialogue in load_corpus(folder)] == expected


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_of_the_system_side_or_later_reaches_the_inputs(tmp_path, name):
    def inputs(folder, turns):
        dialogues = next(iter(load_corpus(write(name, tmp_path / folder, [turns, TURNS]))))
        assert dialogues.n_targets == len(turns)
        return [(turn.user, dict(turn.context)) for turn in targets(dialogues)], targets(dialogues)

    whole, turns = inputs("whole", TURNS)
    assert [user for user, _ in whole] == [turn.user for turn in spoken(name, TURNS)]
    assert ("resto_a" in str(whole[3][1])) != (name in NO_RESULTS)
    for t, spec in enumerate(TURNS):
        changed, others = inputs(
            f"changed{t}", [*TURNS[:t], spec._replace(action="changed", system="changed text"), *LATER]
        )
        assert changed[: t + 1] == whole[: t + 1]
        assert others[t].actions != turns[t].actions
        assert inputs(f"cut{t}", TURNS[: t + 1])[0] == whole[: t + 1]


def comes_back(corpus, folder):
    """Whether JSON Lines give a corpus back exactly."""
    write_corpus(corpus, folder / "written.jsonl")
    first = (folder / "written.jsonl").read_bytes()
    again = load_corpus(folder / "written.jsonl")
    write_corpus(again, folder / "written.jsonl")
    return list(again) == list(corpus) and (folder / "written.jsonl").read_bytes() == first


@pytest.mark.parametrize("name", FORMATS)
def test_json_lines_give_every_corpus_back(tmp_path, name):
    assert comes_back(load_corpus(write(name, tmp_path / "c")), tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_every_error_names_its_place(tmp_path, name):
    contents = members(write(name, tmp_path / "c"))
    for member, content in contents.items():
        lines = content.split(b"\n")
        if len(lines) < 2:
            continue
        lines[len(lines) // 2] = b'"a "line " that belongs {nowhere'
        (tmp_path / "c" / member).write_bytes(b"\n".join(lines))
        with pytest.raises(CorpusError) as caught:
            load_corpus(tmp_path / "c", format=name)
        assert member in str(caught.value)
        # A member that is read line by line, or as YAML, has more to tell.
        assert caught.value.line is not None or member.endswith(".json")
        (tmp_path / "c" / member).write_bytes(content)


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
