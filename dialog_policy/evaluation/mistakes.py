"""Where a policy goes wrong, in a form that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.contradictions import Contradictions
from dialog_policy.evaluation.alignment import Expected
from dialog_policy.prediction import Prediction
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["find_mistakes"]

_Actions = frozenset[str]
# Of a dialogue in the order of the corpus: each target turn's number, its true actions, the predicted ones.
_Turns = list[tuple[int, _Actions, _Actions]]
_Told = list[tuple[Dialogue, _Turns]]
_SHOWN_PROBABILITIES = 5
_SHOWN_CONFUSIONS = 500


def find_mistakes(
    predictions: Mapping[str, Iterable[Prediction]], corpus: Corpus, *, dialogues: int = 5, tokenizer: str = "default"
) -> dict[str, Any]:
    """Describe the mistakes of a policy.

    Parameters
    ----------
    predictions
        Mode (``"teacher-forced"``, ``"free-running"``) to the predictions of the policy in it. All is said of the first
        mode; the others are beside it in ``after_error``. What can be iterated over several times is not kept.
    corpus
        The gold dialogues.
    dialogues
        How many dialogues to show turn by turn.
    tokenizer
        What splits utterances into words, where histories are compared.

    Returns
    -------
    dict
        ``worst_dialogues, action_sets, confusions, other_confusions`` (turns that the list leaves out),
        ``never_predicted, after_error`` and ``contradictions``: a JSON object, described in docs/report.md.

    Raises
    ------
    CorpusError
        If predictions and corpus do not belong together.
    """
    modes = {mode: found if not isinstance(found, Iterator) else list(found) for mode, found in predictions.items()}
    told = {mode: _collect(found, corpus) for mode, found in modes.items()}
    first = next(iter(modes))
    mine = told[first]
    sets, confusions = _confusions(mine)
    return {
        "worst_dialogues": _worst(mine, modes[first], dialogues),
        "action_sets": sets,
        "confusions": confusions[:_SHOWN_CONFUSIONS],
        "other_confusions": sum(row["turns"] for row in confusions[_SHOWN_CONFUSIONS:]),
        "never_predicted": _never_predicted(sets),
        "after_error": {mode: _after_error(found) for mode, found in told.items()},
        "contradictions": _contradictions(mine, tokenizer),
    }


def _collect(predictions: Iterable[Prediction], corpus: Corpus) -> _Told:
    expected = Expected(corpus)
    same: dict[_Actions, _Actions] = {}
    chosen = {row: same.setdefault(p.actions, p.actions) for row, p in expected.over(predictions)}
    told = []
    for dialogue in expected.complete():
        start = expected.first[dialogue.id]
        turns = [
            (number, turn.actions, chosen[start + number])
            for number, turn in enumerate(dialogue.turns)
            if turn.actions is not None
        ]
        told.append((dialogue, turns))
    return told


def _worst(told: _Told, predictions: Iterable[Prediction], n: int) -> list[dict[str, Any]]:
    """Return the dialogues with the greatest share of wrong turns, the longer first, each with all its turns."""
    wrong = [sum(gold != predicted for _, gold, predicted in turns) for _, turns in told]
    order = sorted(range(len(told)), key=lambda i: (-wrong[i] / len(told[i][1]), -len(told[i][1])))
    worst = [i for i in order[:n] if wrong[i]]
    found: dict[str, dict[int, Prediction]] = {told[i][0].id: {} for i in worst}
    for prediction in predictions if worst else ():
        if prediction.dialogue in found:
            found[prediction.dialogue][prediction.turn] = prediction
    return [
        {
            "dialogue": told[i][0].id,
            "wrong_turns": wrong[i],
            "target_turns": len(told[i][1]),
            "turns": _turn_by_turn(told[i][0], found[told[i][0].id]),
        }
        for i in worst
    ]


def _turn_by_turn(dialogue: Dialogue, predicted: Mapping[int, Prediction]) -> list[dict[str, Any]]:
    rows = []
    for number, turn in enumerate(dialogue.turns):
        p = predicted.get(number)
        row: dict[str, Any] = {
            "turn": number,
            "user": turn.user,
            "context": dict(turn.context),
            "gold": None if turn.actions is None else sorted(turn.actions),
            "predicted": None if p is None else sorted(p.actions),
            "confidence": None if p is None else p.confidence,
            "system": turn.system,
            "right": None if p is None else p.actions == turn.actions,
        }
        if p is not None and p.probabilities is not None:
            # The most probable actions, and those that are true or predicted.
            ranked = sorted(p.probabilities.items(), key=lambda item: (-item[1], item[0]))
            kept = {name for name, _ in ranked[:_SHOWN_PROBABILITIES]} | p.actions | (turn.actions or frozenset())
            row["probabilities"] = {name: share for name, share in ranked if name in kept}
        rows.append(row)
    return rows


def _confusions(told: _Told) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Count action sets (gold, right, predicted) and pairs of a gold set and the wrong set predicted for it."""
    pairs: Counter[tuple[_Actions, _Actions]] = Counter()
    first: dict[tuple[_Actions, _Actions], tuple[str, int]] = {}
    for dialogue, turns in told:
        for number, gold, predicted in turns:
            pairs[gold, predicted] += 1
            if gold != predicted:
                first.setdefault((gold, predicted), (dialogue.id, number))
    gold_turns: Counter[_Actions] = Counter()
    predicted_turns: Counter[_Actions] = Counter()
    for (gold, predicted), count in pairs.items():
        gold_turns[gold] += count
        predicted_turns[predicted] += count
    sets = [
        (-gold_turns[actions], -predicted_turns[actions], sorted(actions), pairs[actions, actions])
        for actions in gold_turns | predicted_turns
    ]
    wrong = [
        (-pairs[pair], sorted(pair[0]), sorted(pair[1]), gold_turns[pair[0]], place) for pair, place in first.items()
    ]
    return (
        [
            {"actions": actions, "turns": -turns, "right": right, "predicted": -predicted}
            for turns, predicted, actions, right in sorted(sets)
        ],
        [
            {
                "gold": gold,
                "predicted": predicted,
                "turns": -turns,
                "gold_turns": all_turns,
                "dialogue": dialogue,
                "turn": number,
            }
            for turns, gold, predicted, all_turns, (dialogue, number) in sorted(wrong)
        ],
    )


def _never_predicted(sets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    support: Counter[str] = Counter()
    predicted: set[str] = set()
    for row in sets:
        for action in row["actions"]:
            support[action] += row["turns"]
        if row["predicted"]:
            predicted.update(row["actions"])
    missed = sorted((-support[action], action) for action in support.keys() - predicted)
    return [{"action": action, "support": -count} for count, action in missed]


def _after_error(told: _Told) -> dict[str, Any]:
    """Accuracy of the first target turn, of turns after a right one, and of turns after a wrong one.

    With the true history, errors that follow each other have a common cause; in free running the second may follow from
    the first.
    """
    turns_: Counter[str] = Counter()
    right_: Counter[str] = Counter()
    for _, turns in told:
        before = "first"
        for _, gold, predicted in turns:
            turns_[before] += 1
            right_[before] += gold == predicted
            before = "after_right" if gold == predicted else "after_wrong"
    return {
        "turn_accuracy": right_.total() / turns_.total(),
        **{
            when: {"turns": turns_[when], "turn_accuracy": right_[when] / turns_[when] if turns_[when] else None}
            for when in ("first", "after_right", "after_wrong")
        },
    }


def _contradictions(told: _Told, tokenizer: str) -> dict[str, Any]:
    """Count the scored dialogues' histories that are followed by different actions: no policy gets all of them right."""
    words = get_tokenizer(tokenizer)
    found = Contradictions()
    for dialogue, _ in told:
        said = [(words(turn.user), words(turn.system)) for turn in dialogue.turns]
        found.add(dialogue, [user for user, _ in said], [system for _, system in said])
    return found.summary()
