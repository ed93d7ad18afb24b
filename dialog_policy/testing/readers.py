"""What a corpus format's reader promises: :class:`~dialog_policy.corpus.readers.reader.Reader`."""

from __future__ import annotations

import csv
import functools
import io
import json
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.readers import load_corpus, open_source, readers
from dialog_policy.corpus.readers.reader import Reader
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError
from dialog_policy.testing.check import Check, check, checks_of, same
from dialog_policy.testing.samples import TURNS, ReaderSample, TurnSpec

__all__ = ["reader_checks"]


_LATER = [
    TurnSpec("something new", "resto_z", "other", "quite another text"),
    TurnSpec("and more", None, "last", "the end of resto_z"),
]
_PROMISES: list[Callable[..., None]] = []


def reader_checks(reader: Reader, sample: ReaderSample) -> list[Check]:
    """Return the checks of a reader, which need not be installed as a plug-in yet.

    Parameters
    ----------
    reader
        The reader.
    sample
        Writes small corpora in its format.
    """
    return checks_of(reader.name, [_in_folder(promise) for promise in _PROMISES], reader, sample)


def _in_folder(promise: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(promise)
    def run(reader: Reader, sample: ReaderSample) -> None:
        with tempfile.TemporaryDirectory() as folder:
            promise(reader, sample, Path(folder))

    return run


def _dialogues(reader: Reader, path: Path, options: Mapping[str, str] | None = None) -> Iterator[Dialogue]:
    yield from reader.open(open_source(path), reader.fill(options or {})).dialogues()


def _members(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _targets(dialogue: Dialogue) -> list[Turn]:
    return [turn for turn in dialogue.turns if turn.is_target]


@contextmanager
def _counted_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@check(_PROMISES)
def _recognised(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """A corpus is recognised by its own reader and by no other."""
    corpus = sample.put(folder / "c")
    known = {**readers(), reader.name: reader}
    same([r.name for r in known.values() if r.recognises(open_source(corpus))], [reader.name], "readers of a folder")
    if len(files := list(_members(corpus))) == 1:
        source = open_source(corpus / files[0])
        same([r.name for r in known.values() if r.recognises(source)], [reader.name], "readers of a file")


@check(_PROMISES)
def _nothing_lost(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """No dialogue is lost, and the order is kept."""
    many = [[t._replace(user=f"{t.user or 'so'} {i} {n}") for n, t in enumerate(TURNS[: 1 + i % 6])] for i in range(11)]
    found = list(_dialogues(reader, sample.put(folder / "c", many)))
    expected = [[turn.user for turn in sample.spoken(turns)] for turns in many]
    same([[turn.user for turn in _targets(d)] for d in found], expected, "what users say")
    for dialogue, turns in zip(found, many, strict=True):
        for spec, turn in zip(turns, _targets(dialogue), strict=True):
            assert spec.system in turn.system, f"expected {spec.system!r} in what the system says: {turn.system!r}"
        same([len(turn.actions or ()) for turn in _targets(dialogue)], [1] * len(turns), "numbers of actions")
        same(len({turn.actions for turn in _targets(dialogue)}), len({turn.action for turn in turns}), "actions")


@check(_PROMISES)
def _options(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Every choice of every option can be read."""
    corpus = sample.put(folder / "c")
    for option, described in reader.options.items():
        for choice in (described.choices or (described.default,)) if option not in sample.chooses else ():
            same(len(list(_dialogues(reader, corpus, {option: choice}))), 3, f"dialogues with {option}={choice}")


@check(_PROMISES)
def _twice(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Reading twice gives the same."""
    opened = reader.open(open_source(sample.put(folder / "c")), reader.fill({}))
    same(list(opened.dialogues()), list(opened.dialogues()), "the second time")


@check(_PROMISES)
def _archives(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """A folder and archives of it give the same, whatever the order of their members."""
    corpus = sample.put(folder / "c")
    expected = list(_dialogues(reader, corpus))
    contents = dict(reversed(_members(corpus).items()))
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        for member, content in contents.items():
            archive.writestr(member, content)
    with tarfile.open(folder / "c.tar.gz", "w:gz") as tar:
        for member in contents:
            tar.add(corpus / member, f"./{member}")
    for packed in ("c.zip", "c.tar.gz"):
        assert reader.recognises(open_source(folder / packed)), f"{packed} is not recognised"
        same(list(_dialogues(reader, folder / packed)), expected, packed)
    # An archive usually has one folder in which all the rest is.
    (folder / "outer" / "corpus-1.0").mkdir(parents=True)
    corpus.rename(folder / "outer" / "corpus-1.0" / "c")
    same(
        [d.turns for d in _dialogues(reader, folder / "outer")], [d.turns for d in expected], "in a folder of a folder"
    )


@check(_PROMISES)
def _memory(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Memory does not grow with the corpus."""
    long = [t._replace(user=f"{t.user} {'word ' * 250}", system=f"{t.system}{' text' * 250}") for t in TURNS]
    sizes, peaks = [], []
    for n in (2, 6, 60):  # the first time imports and fills caches
        corpus = sample.put(folder / str(n), [long] * n)
        sizes.append(sum(map(len, _members(corpus).values())))
        with _counted_memory():
            same(sum(1 for _ in _dialogues(reader, corpus)), n, "dialogues")
            peaks.append(tracemalloc.get_traced_memory()[1])
    # Names of members and labels that stand in a file of their own are kept, texts are not.
    grown, more = peaks[2] - peaks[1], sizes[2] - sizes[1]
    assert grown < more / 4, f"{more:,} bytes more take {grown:,} bytes more of memory"


def _with_unknown(value: Any, free: frozenset[str], key: str = "") -> Any:
    """Return the JSON value with a field more in every object whose names are not free."""
    if isinstance(value, list):
        return [_with_unknown(element, free, key) for element in value]
    if not isinstance(value, dict):
        return value
    found = {name: _with_unknown(inner, free, name) for name, inner in value.items()}
    return found if key in free else {"unknown": [{"a": None}, 1.5], **found, "unheard_of": {"b": "c"}}


@check(_PROMISES)
def _unknown_fields(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Fields and files that it does not know are tolerated."""
    corpus = sample.put(folder / "c")
    expected = [dialogue.turns for dialogue in _dialogues(reader, corpus)]
    free = sample.free_keys
    for member, content in _members(corpus).items():
        path = corpus / member
        if path.suffix == ".json":
            path.write_text(json.dumps(_with_unknown(json.loads(content), free)))
        elif path.suffix == ".jsonl":
            lines = [json.dumps(_with_unknown(json.loads(line), free)) for line in content.splitlines()]
            path.write_text("\n".join([*lines, ""]))
        elif path.suffix == ".csv":
            rows = list(csv.reader(io.StringIO(content.decode())))
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([*row, "unknown"] for row in rows)
    for name, content in {"LICENSE": b"\xff", "notes/NOTES.md": b"# Notes\n", "empty/.keep": b""}.items():
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).write_bytes(content)
    assert reader.recognises(open_source(corpus)), "with more fields and files it is not recognised"
    same([dialogue.turns for dialogue in _dialogues(reader, corpus)], expected, "turns")


@check(_PROMISES)
def _no_leak(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Nothing of the system side of a turn, or of later turns, is in what is known before the turn."""

    def inputs(name: str, turns: Sequence[TurnSpec]) -> tuple[list[tuple[str, dict[str, Any]]], list[Turn]]:
        found = next(_dialogues(reader, sample.put(folder / name, [turns, TURNS])), None)
        assert found is not None, "no dialogue is read"
        same(found.n_targets, len(turns), "turns to predict")
        return [(turn.user, dict(turn.context)) for turn in _targets(found)], _targets(found)

    whole, turns = inputs("whole", TURNS)
    same([user for user, _ in whole], [turn.user for turn in sample.spoken(TURNS)], "what users say")
    same("resto_a" in str(whole[3][1]), sample.has_results, "whether what the database returned is in the context")
    for t, spec in enumerate(TURNS):
        other = [*TURNS[:t], spec._replace(action="changed", system="changed text"), *_LATER]
        changed, others = inputs(f"changed{t}", other)
        same(changed[: t + 1], whole[: t + 1], f"inputs up to turn {t} with another system side and other later turns")
        assert others[t].actions != turns[t].actions, f"the action of turn {t} is not read"
        same(inputs(f"cut{t}", TURNS[: t + 1])[0], whole[: t + 1], f"inputs up to turn {t} without later turns")


@check(_PROMISES)
def _comes_back(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """JSON Lines give the corpus back."""
    dialogues = list(_dialogues(reader, sample.put(folder / "c")))
    written = folder / "written.jsonl"
    write_corpus(dialogues, written)
    first = written.read_bytes()
    again = list(load_corpus(written))
    same(again, dialogues, "dialogues")
    write_corpus(again, written)
    same(written.read_bytes(), first, "bytes")


@check(_PROMISES)
def _errors(reader: Reader, sample: ReaderSample, folder: Path) -> None:
    """Every error names its place."""
    corpus = sample.put(folder / "c")
    for member, content in _members(corpus).items():
        lines = content.split(b"\n")
        if len(lines) < 2:
            continue
        lines[len(lines) // 2] = b'"a "line " that belongs {nowhere'
        (corpus / member).write_bytes(b"\n".join(lines))
        error = _error_of(lambda: list(_dialogues(reader, corpus)))
        assert error is not None, f"{member} is damaged, and read all the same"
        assert member in str(error), f"expected {member} in {error}"
        # A member that is read line by line, or as YAML, has more to tell.
        assert error.line is not None or member.endswith(".json"), f"expected a line in {error}"
        (corpus / member).write_bytes(content)


def _error_of(read: Callable[[], object]) -> CorpusError | None:
    try:
        read()
    except CorpusError as error:
        return error
    return None
