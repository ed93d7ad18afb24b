"""What is lost when the system to be predicted is not the one that led the training dialogues.

Each row has three parts: dialogues to train on, others of the same system, and dialogues of a changed one. The same system is
tested on dialogues that are not trained on, too, so that the difference of the two figures is what the change costs.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dialog_policy import DialogPolicy, evaluate, load_corpus
from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.policy.recipes import load_recipe

__all__ = ["BASELINES", "ROWS", "Parts", "Row", "bundled_parts", "line", "managers_of", "measure"]

BASELINES = ("logreg_context", "logreg_dialogue")
_CORPORA = Path(__file__).resolve().parent.parent / "corpora"
# The share of the same system's dialogues that is tested on.
_HELD_OUT = 0.2
# Services that differ from others of their domain (a hotel search with other slots), or have a domain of their own.
_SERVICES = frozenset({"Calendar_1", "Hotels_3", "RentalCars_2", "Services_2"})
# Of SGD's 12,174 dialogues so many are trained on, and so many of each kind tested on.
_SGD_TRAINED, _SGD_TESTED = 3_000, 500
_TASK = "hotel_search"


class Parts(NamedTuple):
    """What is trained on, and what is tested on: the same system, and the changed one."""

    train: Corpus
    same: Corpus
    changed: Corpus


class Row(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    recipe
        Whose settings the policy has; None: the defaults.
    metrics
        What is reported, as evaluations name it.
    parts
        Makes the parts from the folder of the public corpora.
    """

    recipe: str | None
    metrics: tuple[str, ...]
    parts: Callable[[Path], Parts]


def _chosen(dialogues: Iterable[Dialogue], most: int) -> list[Dialogue]:
    """Return so many dialogues, by a hash of their ids."""
    return sorted(dialogues, key=lambda dialogue: hash_fraction(f"shift:{dialogue.id}"))[:most]


def _divided(corpus: Corpus, own: Iterable[Dialogue], changed: Iterable[Dialogue]) -> Parts:
    """Hold a part of one system's dialogues out; the changed system is tested on all of its own."""
    train: list[Dialogue] = []
    same: list[Dialogue] = []
    for dialogue in own:
        (same if hash_fraction(f"shift:{dialogue.id}") < _HELD_OUT else train).append(dialogue)
    return Parts(*map(corpus.with_dialogues, (train, same, list(changed))))


def _by_manager(corpus: Corpus, managers: Mapping[str, int], trained: int) -> Parts:
    own = [dialogue for dialogue in corpus if managers[dialogue.id] == trained]
    return _divided(corpus, own, (dialogue for dialogue in corpus if managers[dialogue.id] != trained))


def _dstc2(corpora: Path, trained: int) -> Parts:
    corpus = load_corpus(corpora / "dstc2.zip")
    return _by_manager(corpus, {call.id: call.fields["system"]["dialog-manager"] for call in corpus}, trained)


def _babi6(corpora: Path, trained: int) -> Parts:
    corpus = load_corpus(corpora / "dialog-bAbI-tasks.zip", reader={"task": "6"})
    return _by_manager(corpus, managers_of(corpus, load_corpus(corpora / "dstc2.zip")), trained)


def managers_of(corpus: Corpus, calls: Corpus) -> dict[str, int]:
    """Find out which dialogue manager of DSTC2 led each dialogue of dialog bAbI 6.

    bAbI 6 was made from the calls of DSTC2 and does not say from which: a dialogue has the manager of the call whose user says
    most of the same (Jaccard index of the multisets of utterances), or, where that is less than half, that of most of
    the sixteen dialogues around it.
    """
    said = [(_utterances(call), int(call.fields["system"]["dialog-manager"])) for call in calls]
    sizes = [utterances.total() for utterances, _ in said]
    having: dict[str, list[tuple[int, int]]] = {}
    for number, (utterances, _) in enumerate(said):
        for utterance, count in utterances.items():
            having.setdefault(utterance, []).append((number, count))
    found: list[int | None] = []
    for dialogue in corpus:
        own = _utterances(dialogue)
        common: Counter[int] = Counter()
        for utterance, count in own.items():
            for number, count_there in having.get(utterance, ()):
                common[number] += min(count, count_there)
        alike = {number: both / (own.total() + sizes[number] - both) for number, both in common.items()}
        best = max(sorted(alike), key=alike.__getitem__, default=None)
        found.append(said[best][1] if best is not None and alike[best] >= 0.5 else None)
    managers = {}
    for number, dialogue in enumerate(corpus):
        own_manager = found[number]
        around = [manager for manager in found[max(0, number - 8) : number + 9] if manager is not None]
        managers[dialogue.id] = own_manager if own_manager is not None else round(statistics.mean(around or [0]))
    return managers


def _utterances(dialogue: Dialogue) -> Counter[str]:
    plain = (" ".join("".join(c if c.isalnum() else " " for c in turn.user.lower()).split()) for turn in dialogue.turns)
    return Counter(utterance for utterance in plain if utterance)


def _sgd(corpora: Path) -> Parts:
    corpus = load_corpus(corpora / "sgd.zip")
    dialogues: list[list[Dialogue]] = [[], []]
    for dialogue in corpus.split("train"):
        dialogues[not _SERVICES.isdisjoint(dialogue.fields["services"])].append(dialogue)
    own = _chosen(dialogues[0], _SGD_TRAINED + _SGD_TESTED)
    parts = own[_SGD_TESTED:], own[:_SGD_TESTED], _chosen(dialogues[1], _SGD_TESTED)
    return Parts(*map(corpus.with_dialogues, parts))


def _sgd_dev(corpora: Path, trained: int | None, tested: int | None) -> Parts:
    """Deal the train part, or so many of its dialogues, and dev dialogues all or none of whose services it has."""
    corpus = load_corpus(corpora / "sgd.zip")
    train, dev = corpus.split("train"), corpus.split("dev")
    services = {service for dialogue in train for service in dialogue.fields["services"]}
    same = [dialogue for dialogue in dev if services.issuperset(dialogue.fields["services"])]
    changed = [dialogue for dialogue in dev if services.isdisjoint(dialogue.fields["services"])]
    sizes = trained, tested, tested
    parts = [list(p) if n is None else _chosen(p, n) for p, n in zip((train, same, changed), sizes, strict=True)]
    return Parts(*map(corpus.with_dialogues, parts))


def _star(corpora: Path) -> Parts:
    corpus = load_corpus(corpora / "star.zip", reader={"scenario": "happy"})
    own = (dialogue for dialogue in corpus if _TASK not in dialogue.fields["tasks"])
    return _divided(corpus, own, (dialogue for dialogue in corpus if _TASK in dialogue.fields["tasks"]))


def bundled_parts(n_dialogues: int = 1_200) -> Parts:
    """Write the bundled corpus anew; where it has changed, users ask for restaurants in the words of its test part."""
    sys.path.insert(0, str(_CORPORA))
    try:
        desk: Any = importlib.import_module("desk")
    finally:
        sys.path.remove(str(_CORPORA))

    def written(first: int, count: int, changed: bool) -> Corpus:
        languages = desk.load_languages(_CORPORA / "phrases")
        for language in languages.values() if changed else ():
            for words in (
                language.intents["start_restaurant"],
                *map(language.fragments.get, desk.SEARCH["restaurant"]),
            ):
                words["train"] = words["test"]
        dialogues = []
        for number in range(first, first + count):
            led = desk.Desk(f"shift:{number}", "train", languages)
            led.run()
            if not changed or "restaurant" in led.domains:
                dialogues.append(msgspec.convert({"id": str(number), "turns": led.turns}, Dialogue))
        return Corpus(dialogues, name="bundled")

    test = n_dialogues // 4
    return Parts(written(0, n_dialogues, False), written(10**6, test, False), written(2 * 10**6, 2 * test, True))


ROWS = {
    "bundled": Row(None, ("turn_accuracy", "micro_f1"), lambda _: bundled_parts()),
    "dstc2-a0": Row("dstc2", ("turn_accuracy", "micro_f1"), lambda corpora: _dstc2(corpora, 0)),
    "dstc2-a1": Row("dstc2", ("turn_accuracy", "micro_f1"), lambda corpora: _dstc2(corpora, 1)),
    "babi6-a0": Row("babi6", ("turn_accuracy", "response_accuracy"), lambda corpora: _babi6(corpora, 0)),
    "babi6-a1": Row("babi6", ("turn_accuracy", "response_accuracy"), lambda corpora: _babi6(corpora, 1)),
    "sgd": Row("sgd", ("seen.micro_f1", "seen.turn_accuracy"), _sgd),
    "sgd-dev": Row("sgd", ("seen.micro_f1", "seen.turn_accuracy"), lambda c: _sgd_dev(c, _SGD_TRAINED, _SGD_TESTED)),
    "sgd-whole": Row("sgd", ("seen.micro_f1", "seen.turn_accuracy"), lambda c: _sgd_dev(c, None, None)),
    "star": Row("star", ("weighted_f1", "turn_accuracy"), _star),
}


def measure(row: Row, parts: Parts, settings: Mapping[str, Any], *, defaults: bool = False) -> dict[str, Any]:
    """Train a policy and its baselines once, and test them on the same and on the changed system.

    Parameters
    ----------
    row, parts
        Which row, and its parts.
    settings
        Changed settings, the seed among them.
    defaults
        Whether the policy has the default settings and not the recipe's.

    Returns
    -------
    dict
        ``"policy"`` and each of :data:`BASELINES` to ``"same"`` and ``"changed"`` to the metrics of the row, fractions of 1.
    """
    recipe = {} if defaults or row.recipe is None else load_recipe(row.recipe)[0]
    policy = DialogPolicy(**{**recipe, **settings}).fit(parts.train, dev="inner")
    found: dict[str, Any] = {name: {} for name in ("policy", *BASELINES)}
    for part in ("same", "changed"):
        result = evaluate(policy.runtime_, getattr(parts, part), resamples=0).to_json()
        for name in found:
            judged = result if name == "policy" else result["baselines"][name]
            found[name][part] = {metric: _of(judged, metric) for metric in row.metrics}
    return found


def _of(judged: Mapping[str, Any], metric: str) -> float | None:
    value: Any = judged
    for key in metric.split("."):
        value = value.get(key) if value is not None else None
    return None if value is None else float(value)


def line(name: str, who: str, metric: str, found: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a line of the table: mean ± standard deviation over seeds, in percent; None where a baseline lacks the metric."""
    values = {part: [one[who][part][metric] for one in found] for part in ("same", "changed")}
    if None in values["same"]:
        return None
    gaps = [100 * (same - changed) for same, changed in zip(values["same"], values["changed"], strict=True)]
    same, changed, gap = ([100 * v for v in values["same"]], [100 * v for v in values["changed"]], gaps)
    return f"| {name} | {metric} | {who} | {_spread(same)} | {_spread(changed)} | {_spread(gap)} |"


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"
