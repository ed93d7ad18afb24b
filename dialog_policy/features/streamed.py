"""The training texts of a corpus that is not in memory: read once by shard, counted, and read again where they are needed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np

from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.record_memory import UnlistedValues
from dialog_policy.features.columns import Column, Columns, read_columns
from dialog_policy.features.fit import TrainingTexts, find_terms, texts_of_turns
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.text.counts import document_counts, svd_step
from dialog_policy.text.encoders import analyzer_of, scale_step
from dialog_policy.text.tokens import Analyzer

__all__ = ["CountedShard", "Totals", "count_shard", "load_columns", "sample_shard", "steps_of", "streamed_texts"]

_PARTS = ("user", "system", "context")


class _StoredColumns(msgspec.Struct):
    user: list[str]
    system: list[str]
    context: list[str]
    known: list[frozenset[str]]
    actions: list[frozenset[str] | str | None]
    goals: list[frozenset[str] | None]
    rows: dict[str, bytes]
    ids: list[str]


class CountedShard(msgspec.Struct):
    """What is counted in a shard.

    Attributes
    ----------
    texts
        Part to the number of its texts that are not empty.
    documents
        Part and analyzer (:func:`_key`) to the number of texts that have each term.
    words
        How often each word occurs.
    facts
        What is known of entities somewhere.
    actions
        Actions that occur.
    """

    texts: dict[str, int]
    documents: dict[str, dict[str, int]]
    words: dict[str, int]
    facts: list[str]
    actions: list[str]


def _key(part: str, analyzer: Analyzer) -> str:
    return f"{part} {analyzer.unit} {analyzer.shortest} {analyzer.longest}"


def count_shard(
    place: Path,
    dialogues: Iterable[Dialogue],
    gazetteer: Entries,
    unlisted: UnlistedValues,
    settings: EncoderSettings,
) -> CountedShard:
    """Read the dialogues of a shard as columns, which are kept in a file, and count what encoders are fitted by.

    Parameters
    ----------
    place
        The file for the columns.
    dialogues
        Those of the training part.
    gazetteer, unlisted
        Entity type to values, and those of them that no record of the training part has.
    settings
        Of the encoders.
    """
    columns = read_columns(dialogues, gazetteer, entities=settings.entities, unlisted=unlisted)
    _save_columns(place, columns)
    find_terms(columns, settings.tokenizer)
    texts = {part: texts_of_turns(columns, part) for part in _PARTS}
    documents = {}
    for part in _PARTS:
        analyzers = {analyzer_of(encoder, are_terms=part == "context") for encoder in getattr(settings, part)}
        for analyzer in analyzers - {None}:
            assert analyzer is not None
            documents[_key(part, analyzer)] = document_counts(analyzer, texts[part])
    return CountedShard(
        {part: len(own) for part, own in texts.items()},
        documents,
        Counter(itertools.chain.from_iterable(texts["user"] + texts["system"])),
        sorted(frozenset().union(*columns.parts["known"].values)),
        sorted(frozenset().union(*(actions for actions in columns.actions.values if actions))),
    )


def _save_columns(place: Path, columns: Columns) -> None:
    rows = {name: column.rows.tobytes() for name, column in columns.parts.items()}
    rows |= {"said": columns.said.tobytes(), "goals": columns.actions.rows.tobytes()}
    rows["offsets"] = columns.offsets.tobytes()
    values: dict[str, Any] = {name: column.values for name, column in columns.parts.items()}
    stored = _StoredColumns(**values, goals=columns.actions.values, rows=rows, ids=columns.ids)
    place.write_bytes(msgspec.msgpack.encode(stored))


def load_columns(place: Path, tokenizer: str) -> Columns:
    """Return the columns that :func:`count_shard` has kept, with their terms."""
    stored = msgspec.msgpack.decode(place.read_bytes(), type=_StoredColumns)

    def rows(name: str) -> Any:
        return np.frombuffer(stored.rows[name], dtype=np.int32)

    parts = {name: Column(getattr(stored, name), rows(name)) for name in (*_PARTS, "known", "actions")}
    offsets = np.frombuffer(stored.rows["offsets"], dtype=np.int64)
    columns = Columns(parts, rows("said"), Column(stored.goals, rows("goals")), stored.ids, offsets, {})
    find_terms(columns, tokenizer)
    return columns


def steps_of(n_texts: Mapping[str, int]) -> dict[str, list[int]]:
    """Return for each part, of so many texts, every how manieth is read again to fit encoders."""
    return {part: sorted({svd_step(n), scale_step(n)}) for part, n in n_texts.items()}


def sample_shard(
    place: Path, tokenizer: str, before: Mapping[str, int], steps: Mapping[str, Sequence[int]]
) -> dict[str, dict[int, list[Sequence[str]]]]:
    """Return part and step to those texts of a shard whose number in the whole corpus the step divides.

    Parameters
    ----------
    place, tokenizer
        The columns, and how texts become tokens.
    before
        Part to the number of its texts in the shards before.
    steps
        Part to the steps.
    """
    columns = load_columns(place, tokenizer)
    samples: dict[str, dict[int, list[Sequence[str]]]] = {}
    for part, own in steps.items():
        texts = texts_of_turns(columns, part)
        samples[part] = {step: texts[-before[part] % step :: step] for step in own}
    return samples


class _Texts(Sequence[Sequence[str]]):
    """The texts of one part, or of several one after the other; only samples that were drawn can be sliced.

    Parameters
    ----------
    places, tokenizer
        The columns of the shards, and how texts become tokens.
    n_texts
        Part to the number of its texts.
    counted
        By part and analyzer, how many texts have each term.
    samples
        Step to the sample of every so manieth text.
    """

    def __init__(
        self,
        places: Sequence[Path],
        tokenizer: str,
        n_texts: Mapping[str, int],
        counted: Mapping[str, Mapping[str, int]],
        samples: Mapping[int, list[Sequence[str]]],
    ) -> None:
        self._places, self._tokenizer, self._n, self._counted = places, tokenizer, n_texts, counted
        self._samples = samples

    def __len__(self) -> int:
        return sum(self._n.values())

    def __iter__(self) -> Iterator[Sequence[str]]:
        for part in self._n:
            for place in self._places:
                yield from texts_of_turns(load_columns(place, self._tokenizer), part)

    @overload
    def __getitem__(self, index: int, /) -> Sequence[str]: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[Sequence[str]]: ...

    def __getitem__(self, index: int | slice, /) -> Sequence[str] | list[Sequence[str]]:
        if isinstance(index, slice) and index.start is None and index.stop is None:
            return self._samples[index.step or 1]
        raise IndexError("texts that are not in memory are read one after the other, or sampled")

    def document_counts(self, analyzer: Analyzer) -> Mapping[str, int]:
        """Return the number of texts that have each term."""
        (part,) = self._n
        return self._counted[_key(part, analyzer)]


class Totals:
    """The counts of all shards."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.before: list[dict[str, int]] = []
        self.documents: dict[str, Counter[str]] = {}
        self.words: Counter[str] = Counter()
        self.facts: set[str] = set()
        self.actions: set[str] = set()

    def add(self, counted: CountedShard) -> None:
        """Add the counts of the next shard."""
        self.before.append({part: self.texts[part] for part in _PARTS})
        self.texts.update(counted.texts)
        for key, counts in counted.documents.items():
            self.documents.setdefault(key, Counter()).update(counts)
        self.words.update(counted.words)
        self.facts.update(counted.facts)
        self.actions.update(counted.actions)

    @cached_property
    def steps(self) -> dict[str, list[int]]:
        """Part to the steps by which samples are drawn."""
        return steps_of({part: self.texts[part] for part in _PARTS})


def streamed_texts(
    places: Sequence[Path],
    tokenizer: str,
    totals: Totals,
    samples: Iterable[Mapping[str, Mapping[int, Sequence[Sequence[str]]]]],
) -> TrainingTexts:
    """Return the training texts of a corpus by shards.

    Parameters
    ----------
    places, tokenizer
        The columns of the shards, and how texts become tokens.
    totals
        What was counted in all of them.
    samples
        Of each shard, what :func:`sample_shard` returns.
    """
    drawn: dict[str, dict[int, list[Sequence[str]]]] = {p: {s: [] for s in own} for p, own in totals.steps.items()}
    for of_shard in samples:
        for part, by_step in of_shard.items():
            for step, texts in by_step.items():
                drawn[part][step] += texts
    n = totals.texts

    def texts_of(*parts: str) -> _Texts:
        own = drawn[parts[0]] if len(parts) == 1 else {}
        return _Texts(places, tokenizer, {part: n[part] for part in parts}, totals.documents, own)

    user, system, context = map(texts_of, _PARTS)
    return TrainingTexts(user, system, context, texts_of("user", "system"), totals.words, frozenset(totals.facts))
