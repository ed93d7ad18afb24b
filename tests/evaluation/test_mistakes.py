import msgspec
import pytest

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError
from dialog_policy.evaluation.collect import collect_turns
from dialog_policy.evaluation.mistakes import MistakeSums
from dialog_policy.prediction import Prediction


def dialogue(name, *gold, users=None):
    texts = users or [f"{name} {number}" for number in range(len(gold))]
    return Dialogue(
        id=name,
        turns=tuple(
            Turn(user=text, actions=None if actions is None else frozenset(actions.split()))
            for text, actions in zip(texts, gold, strict=True)
        ),
    )


def predict(name, *predicted, **more):
    return [
        Prediction(dialogue=name, turn=number, actions=frozenset(actions.split()), **more)
        for number, actions in enumerate(predicted)
        if actions is not None
    ]


def find_mistakes(modes, corpus, **options):
    sums = {mode: MistakeSums(**options) for mode in modes}
    for mode, predictions in modes.items():
        turns = collect_turns(predictions, corpus)
        sums[mode].add(turns, range(len(turns.dialogues)))
    first = next(iter(modes))
    return msgspec.to_builtins(sums.pop(first).mistakes(first, sums))


CORPUS = Corpus(
    [dialogue("a", "x", "x y", None, "z"), dialogue("b", "x", "x"), dialogue("c", "z", "x y")], name="three.jsonl"
)
PREDICTED = [*predict("a", "x", "x", None, "x"), *predict("b", "x", "x"), *predict("c", "x", "x")]


@pytest.fixture
def mistakes():
    return find_mistakes({"teacher-forced": PREDICTED}, CORPUS)


def test_the_worst_dialogues_come_first_with_all_their_turns(mistakes):
    assert [(d["dialogue"], d["wrong_turns"], d["target_turns"]) for d in mistakes["worst_dialogues"]] == [
        ("c", 2, 2),
        ("a", 2, 3),
    ]
    turns = mistakes["worst_dialogues"][1]["turns"]
    assert [turn["right"] for turn in turns] == [True, False, None, False]
    assert turns[1]["gold"] == ["x", "y"]
    assert turns[1]["predicted"] == ["x"]
    assert turns[2]["gold"] is None
    assert "probabilities" not in turns[0]


def test_probabilities_show_the_likeliest_and_the_true_actions():
    shares = {f"other{number}": 0.5 + number / 100 for number in range(20)} | {"x": 0.2, "z": 0.01}
    mistakes = find_mistakes({"mode": predict("b", "x", "z", probabilities=shares)}, CORPUS, dialogues=1)
    shown = mistakes["worst_dialogues"][0]["turns"][1]["probabilities"]
    assert list(shown) == ["other19", "other18", "other17", "other16", "other15", "x", "z"]


def test_confusions_are_counted_by_sets(mistakes):
    assert [(r["gold"], r["predicted"], r["turns"], r["gold_turns"]) for r in mistakes["confusions"]] == [
        (["x", "y"], ["x"], 2, 2),
        (["z"], ["x"], 2, 2),
    ]
    assert mistakes["confusions"][0]["dialogue"] == "a"
    assert mistakes["confusions"][0]["turn"] == 1
    sets = {tuple(row["actions"]): row for row in mistakes["action_sets"]}
    assert sets["x",] == {"actions": ["x"], "turns": 3, "right": 3, "predicted": 7}
    assert sum(row["turns"] for row in mistakes["action_sets"]) == len(PREDICTED)


def test_actions_that_occur_and_are_never_predicted(mistakes):
    assert mistakes["never_predicted"] == [{"action": "y", "support": 2}, {"action": "z", "support": 2}]


def test_accuracy_after_right_and_wrong_turns_in_every_mode():
    free = [*predict("a", "x", "x y", None, "z"), *predict("b", "x", "x"), *predict("c", "x", "x y")]
    after = find_mistakes({"free-running": iter(free), "teacher-forced": PREDICTED}, CORPUS)["after_error"]
    assert list(after) == ["free-running", "teacher-forced"]
    forced = after["teacher-forced"]
    assert forced["turn_accuracy"] == pytest.approx(3 / 7)
    assert forced["first"] == {"turns": 3, "turn_accuracy": pytest.approx(2 / 3)}
    assert forced["after_right"] == {"turns": 2, "turn_accuracy": 0.5}
    assert forced["after_wrong"] == {"turns": 2, "turn_accuracy": 0.0}
    assert after["free-running"]["after_wrong"] == {"turns": 1, "turn_accuracy": 1.0}


def test_nothing_after_a_wrong_turn_where_there_is_none():
    right = [p for p in PREDICTED if p.dialogue == "b"]
    mistakes = find_mistakes({"mode": right}, CORPUS)
    assert mistakes["after_error"]["mode"]["after_wrong"] == {"turns": 0, "turn_accuracy": None}
    assert mistakes["worst_dialogues"] == mistakes["confusions"] == []


def test_contradictions_of_the_scored_dialogues_bound_the_score():
    corpus = Corpus([dialogue(name, gold, users=["Yes!"]) for name, gold in (("a", "x"), ("b", "x"), ("c", "y"))])
    every = [p for name in "abc" for p in predict(name, "x")]
    assert find_mistakes({"mode": every}, corpus)["contradictions"]["recent"]["max_accuracy"] == pytest.approx(2 / 3)
    some = [p for name in "ab" for p in predict(name, "x")]
    assert find_mistakes({"mode": some}, corpus)["contradictions"]["recent"]["max_accuracy"] == 1.0


def test_rare_confusions_are_summed_up():
    n = 600
    corpus = Corpus([dialogue("long", *(f"g{number}" for number in range(n)))])
    mistakes = find_mistakes({"mode": predict("long", *(f"p{number}" for number in range(n)))}, corpus)
    assert len(mistakes["confusions"]) + mistakes["other_confusions"] == n
    assert mistakes["other_confusions"] > 0


def test_predictions_of_another_corpus_are_refused():
    with pytest.raises(CorpusError, match="'d'"):
        find_mistakes({"mode": predict("d", "x")}, CORPUS)
