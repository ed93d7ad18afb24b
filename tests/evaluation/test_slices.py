import numpy as np
import pytest

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.prediction import Prediction
from tests.predictors import judged


def case(dialogues, wrong=()):
    """A policy that is right but for the turns (dialogue, turn) in `wrong`."""
    predictions = [
        Prediction(dialogue=d.id, turn=t, actions=frozenset({"x"}) if (d.id, t) in wrong else turn.actions)
        for d in dialogues
        for t, turn in enumerate(d.turns)
        if turn.is_target
    ]
    return predictions, Corpus(dialogues)


def dialogue(name, *turns, **fields):
    made = tuple(Turn(user=user, actions=None if actions is None else frozenset(actions)) for user, actions in turns)
    return Dialogue(id=name, turns=made, fields=fields)


DIALOGUES = [
    dialogue(
        "d", ("hello there", "a"), ("", None), ("one two three", "ab"), domain="taxi", domains=["x", "y"], paid=True
    ),
    dialogue("e", ("blah blah hello blah", ""), domain="hotel", domains=["y"], paid=False),
    dialogue("f", ("hello", "c"), domain="hotel", domains=[], paid=False),
]


def slices_of(result, field):
    return {row["value"]: row for row in result["slices"] if row["field"] == field}


def score(**options):
    predictions, corpus = case(DIALOGUES, wrong={("d", 2), ("e", 0)})
    return judged(predictions, corpus, known_actions="abcx", resamples=0, **options)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("dialogue_length", {"1 to 2": (3, 4, 0.5)}),
        ("turn_index", {"0": (3, 3, 2 / 3), "2": (1, 1, 0.0)}),
        ("number_of_actions", {"0": (1, 1, 0.0), "1": (2, 2, 1.0), "2": (1, 1, 0.0)}),
        ("utterance_length", {"1 to 2": (2, 2, 1.0), "3 to 5": (2, 2, 0.0)}),
        ("unknown_words", {"none": (2, 2, 0.5 + 0.5), "more than 50 %": (2, 2, 0.0)}),
        ("action_support", {"0": (1, 1, 1.0), "1 to 9": (1, 1, 0.0), "10 to 99": (1, 1, 1.0)}),
        ("domain", {"taxi": (1, 2, 0.5), "hotel": (2, 2, 0.5)}),
        ("domains", {"x": (1, 2, 0.5), "y": (2, 3, 1 / 3)}),
        ("paid", {"true": (1, 2, 0.5), "false": (2, 2, 0.5)}),
    ],
)
def test_slices(field, expected):
    result = score(training=TrainingPart({"a": 50, "b": 5}, frozenset({"hello", "there"})))
    figures = {name: (r["dialogues"], r["turns"], r["turn_accuracy"]) for name, r in slices_of(result, field).items()}
    assert figures == expected


def test_slices_that_cannot_be_told_are_absent():
    result = score()
    assert not slices_of(result, "unknown_words")
    # Without the training's counts, those of the scored turns.
    assert set(slices_of(result, "action_support")) == {"1 to 9"}


def test_groups_of_fewer_than_thirty_turns_are_marked_small():
    dialogues = [dialogue(f"d{i}", ("hi", "a"), ("ho", "a"), kind="few" if i < 14 else "many") for i in range(29)]
    dialogues.append(dialogue("long", *[("hi", "a")] * 3, kind="many"))
    result = judged(*case(dialogues), resamples=0)
    slices = slices_of(result, "kind")
    assert (slices["few"]["turns"], slices["few"]["small"]) == (28, True)
    assert (slices["many"]["turns"], "small" in slices["many"]) == (33, False)
    assert [(row["turns"], row.get("small", False)) for row in result["by_length"]] == [(58, False), (3, True)]
    assert [(row["turns"], row.get("small", False)) for row in result["by_turn"]] == [
        (30, False), (30, False), (1, True)
    ]  # fmt: skip


def test_micro_f1_of_a_slice():
    row = slices_of(score(), "number_of_actions")["2"]
    assert row["micro_f1"] == 0  # x for a and b
    assert slices_of(score(), "number_of_actions")["1"]["micro_f1"] == 1


def test_fields_of_many_values():
    dialogues = [
        dialogue(
            f"d{i}",
            ("hi", "a"),
            title=f"unique {i}",
            same="all",
            number=i,
            group=f"g{i % 25 if i < 50 else 0}",
            deep={"k": i},
        )
        for i in range(60)
    ]
    predictions, corpus = case(dialogues)
    result = judged(predictions, corpus, resamples=0)
    assert not slices_of(result, "title")
    assert not slices_of(result, "same")
    assert not slices_of(result, "deep")
    quarters = slices_of(result, "number")
    assert [row["turns"] for row in quarters.values()] == [15, 15, 15, 15]
    assert next(iter(quarters)) == "0 to 14.75"
    groups = slices_of(result, "group")
    assert len(groups) == 21
    assert groups["(other)"]["turns"] == 60 - sum(row["turns"] for name, row in groups.items() if name != "(other)")
    assert groups["g0"]["turns"] == 12


def test_slices_of_a_partition_add_up(desk):
    part = desk.split("test")
    random = np.random.default_rng(0)
    predictions = [
        Prediction(dialogue=d.id, turn=t, actions=turn.actions if random.random() < 0.7 else frozenset())
        for d in part
        for t, turn in enumerate(d.turns)
        if turn.is_target
    ]
    result = judged(predictions, part, resamples=0)
    for field in ("dialogue_length", "turn_index", "number_of_actions", "utterance_length", "language"):
        rows = slices_of(result, field).values()
        assert sum(row["turns"] for row in rows) == result["turns"]
        right = sum(row["turns"] * row["turn_accuracy"] for row in rows)
        assert right / result["turns"] == pytest.approx(result["turn_accuracy"])


def test_numbers_of_any_size_are_sliced_and_nan_infinity_and_booleans_are_none():
    values = [*range(40), 10**400, -(10**400), float("nan"), True, float("inf")]
    predictions, corpus = case([dialogue(f"d{i}", ("hi", "a"), size=value) for i, value in enumerate(values)])
    rows = slices_of(judged(predictions, corpus, resamples=0), "size")
    assert sum(row["turns"] for row in rows.values()) == len(values) - 3
    assert not any(word in name for name in rows for word in ("nan", "inf"))
