"""The default settings against every baseline, corpus by corpus, on dialogues that neither has seen."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dialog_policy import DialogPolicy, evaluate, load_corpus
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError
from dialog_policy.files import atomic_write

__all__ = ["MATCHES", "Match", "Outcome", "play", "table"]

BASELINES = ("majority", "bigram", "nearest_neighbour", "logreg_utterance", "logreg_history", "logreg_context", "logreg_dialogue")  # fmt: skip
POLICY = "policy"
# The share of a corpus without a part of its own to test on that is tested on, and what its dialogues are dealt by.
_TESTED, _DEALT_BY = 0.2, "defaults:"
_BUNDLED = Path(__file__).resolve().parent.parent / "corpora" / "desk.jsonl"

# Turn accuracy and micro F1 of the policy and of each baseline, as fractions of 1.
Outcome = Mapping[str, tuple[float, float]]


class Match(NamedTuple):
    """A corpus, and what of it is learnt from and tested on.

    Attributes
    ----------
    archive
        Its file in the folder of public corpora; None: the bundled corpus.
    reader
        Options of its reader.
    tested
        The part that is tested on; None: a fifth of the train part, or of the only part, drawn by a hash of the dialogues' ids.
    trials
        Whether ids are TASK-TRIAL: trials of a task are nearly copies, so that whole tasks are drawn.
    draw
        Which thirty dialogues of the train part, in its order, are all that is learnt from; None: all of them.
    """

    archive: str | None = None
    reader: Mapping[str, str] = {}
    tested: str | None = None
    trials: bool = False
    draw: int | None = None


# The smallest first.
MATCHES: dict[str, Match] = {
    **{f"bundled, thirty dialogues, draw {draw}": Match(tested="test", draw=draw) for draw in range(4)},
    "tau-bench airline": Match("tau-bench-airline.zip", trials=True),
    "CamRest": Match("camrest-convlab-unified.zip", tested="dev"),
    "sim-M": Match("sim-M.zip", tested="dev"),
    **{
        f"TED paper, {variant}": Match("ted-paper.zip", {"folder": variant, "labels": "set"})
        for variant in ("e2e-status", "e2e", "modular-status", "modular")
    },
    "MultiWOZ 2.1": Match("multiwoz-2.1-val.zip"),
    "bundled": Match(tested="test"),
    "WOZ": Match("woz-convlab-unified.zip"),
    "Taskmaster-4": Match("taskmaster-4.zip"),
    "DSTC2": Match("dstc2.zip", tested="dev"),
    "bAbI 6": Match("dialog-bAbI-tasks.zip", {"task": "6"}, tested="dev"),
    "STAR, happy": Match("star.zip", {"scenario": "happy"}, tested="dev"),
    "bAbI 5": Match("dialog-bAbI-tasks.zip", {"task": "5"}, tested="dev"),
    "SGD": Match("sgd.zip", tested="dev"),
}


def deal(match: Match, corpora: Path, most: int) -> tuple[Corpus, Corpus]:
    """Return the dialogues to learn from and those to test on, at most `most` and half as many, drawn by a hash of their ids."""
    whole = load_corpus(_BUNDLED if match.archive is None else corpora / match.archive, reader=match.reader)
    if match.tested is not None:
        train, test = whole.split("train"), whole.split(match.tested)
    else:
        part = whole.split("train") if any(dialogue.split == "train" for dialogue in whole) else whole
        drawn_by = {id_: id_.partition("-")[0] if match.trials else id_ for id_ in part.ids}
        tested = {id_ for id_, name in drawn_by.items() if hash_fraction(_DEALT_BY + name) < _TESTED}
        train = part.with_dialogues(dialogue for dialogue in part if dialogue.id not in tested)
        test = part.with_dialogues(dialogue for dialogue in part if dialogue.id in tested)
    if match.draw is not None:
        train = train[30 * match.draw : 30 * (match.draw + 1)]
    return _bounded(train, most), _bounded(test, most // 2)


def _bounded(part: Corpus, most: int) -> Corpus:
    if len(part) <= most:
        return part
    kept = sorted(part.ids, key=lambda id_: (hash_fraction(_DEALT_BY + id_), id_))[:most]
    return part.with_dialogues(dialogue for dialogue in part if dialogue.id in frozenset(kept))


def play(name: str, seeds: Iterable[int], corpora: Path, results: Path, *, most: int) -> Iterator[Outcome]:
    """Train by the default settings and fit all baselines, once a seed, and yield what each reaches on the tested part.

    The policy stops by an inner tenth of what is learnt from, which the baselines do not see either. Results are kept as JSON
    in the folder `results`, under the corpus' name, bound and seed; what is there already is not computed again.

    Parameters
    ----------
    name
        One of :data:`MATCHES`.
    seeds
        Of policy and baselines.
    corpora
        The folder of public corpora.
    results
        The folder of results.
    most
        At most so many dialogues are learnt from, and half as many tested on.

    Raises
    ------
    CorpusError
        If the corpus cannot be read.
    """
    dealt: tuple[Corpus, Corpus] | None = None
    for seed in seeds:
        stored = results / f"{name.replace(', ', '-').replace(' ', '_')}-{most}-{seed}.json"
        if not stored.exists():
            train, test = dealt = dealt or deal(MATCHES[name], corpora, most)
            judged = evaluate(DialogPolicy(seed=seed).fit(train, dev="inner"), test, resamples=0)
            outcome = {POLICY: (judged.turn_accuracy, judged.micro_f1)}
            outcome |= {name: (b.turn_accuracy, b.micro_f1) for name, b in judged.baselines.items()}
            content = {"train": len(train), "test": len(test), "turns": judged.turns, "outcome": outcome}
            with atomic_write(stored) as file:
                file.write(json.dumps(content).encode())
        yield json.loads(stored.read_text())["outcome"]


def table(names: Sequence[str], seeds: Sequence[int], corpora: Path, results: Path, *, most: int) -> Iterator[str]:
    """Yield the lines of a Markdown table, each as soon as it is known; parameters as for :func:`play`."""
    columns = (POLICY, *BASELINES)
    yield f"| corpus | {' | '.join(f'`{name}`' if name in BASELINES else name for name in columns)} |"
    yield "| --- |" + " --- |" * len(columns)
    for name in names:
        try:
            outcomes = list(play(name, seeds, corpora, results, most=most))
        except CorpusError as error:
            yield f"| {name} | not compared: {str(error).splitlines()[0]} |" + " |" * (len(columns) - 1)
            continue
        yield f"| {name} | {' | '.join(_cell(outcomes, column) for column in columns)} |"


def _cell(outcomes: Sequence[Outcome], column: str) -> str:
    """Turn accuracy and micro F1 in percent, means over the seeds; of the policy with the standard deviation of the first."""
    accuracy, micro_f1 = ([100 * outcome[column][which] for outcome in outcomes] for which in (0, 1))
    spread = f" ± {statistics.stdev(accuracy):.1f}" if column == POLICY and len(outcomes) > 1 else ""
    return f"{statistics.mean(accuracy):.1f}{spread} / {statistics.mean(micro_f1):.1f}"
