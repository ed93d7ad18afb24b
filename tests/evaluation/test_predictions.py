import numpy as np
import pytest

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation import PredictionArrays, evaluate
from dialog_policy.evaluation.alignment import ExpectedPredictions, align
from dialog_policy.evaluation.collect import collect_turns
from dialog_policy.evaluation.prediction_files import PredictionFile, write_predictions
from dialog_policy.prediction import Prediction
from tests.predictors import Given

CORPUS = Corpus(
    [
        Dialogue(
            id="one", turns=(Turn(user="", actions=frozenset("a")), Turn(user=""), Turn(user="", actions=frozenset()))
        ),
        Dialogue(id="two", turns=(Turn(user="", actions=frozenset("a")),)),
    ]
)


def prediction(dialogue, turn, **more):
    return Prediction(dialogue=dialogue, turn=turn, actions=frozenset(), **more)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([("one", 0)], "'one', turn 2 .*found none"),
        ([("one", 0), ("one", 0)], "'one', turn 0 .*twice"),
        ([("one", 0), ("one", 1), ("one", 2)], "'one', turn 1 .*history only"),
        ([("one", 0), ("one", 2), ("one", 3)], "'one', turn 3 .*counted from 0"),
        ([("one", -1)], "'one', turn -1 .*does not exist"),
        ([("two", 0), ("onee", 0)], "Did you mean 'one'"),
        ([], "found none"),
    ],
)
@pytest.mark.parametrize("match_up", [align, collect_turns])
def test_predictions_that_do_not_belong_are_refused_with_the_place(match_up, keys, message, tmp_path):
    matched = [prediction(*key) for key in keys]
    with pytest.raises(CorpusError, match=message):
        match_up(matched, CORPUS)
    write_predictions(tmp_path / "p.jsonl", matched)
    with pytest.raises(CorpusError, match=rf"p\.jsonl.*{message}") as error:
        match_up(PredictionFile(tmp_path / "p.jsonl"), CORPUS)
    misfit = (error.value.dialogue, error.value.turn)
    assert error.value.line == (None if "found none" in message else len(keys) - keys[::-1].index(misfit))


def test_a_corpus_without_anything_to_predict_is_at_fault_itself():
    for empty in (
        Corpus([], name="bare"),
        Corpus([Dialogue(id="a", turns=(Turn(user="", actions=None),))], name="bare"),
    ):
        for predictions in ([], iter(())):
            with pytest.raises(
                CorpusError, match=r"^bare has no dialogue with system actions: there is nothing to predict"
            ):
                align(predictions, empty)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"probabilities": {"a": 1.5}}, "the probability of 'a' from 0 to 1, found 1.5"),
        ({"probabilities": {"a": 0.5, "b": float("nan")}}, "'b' from 0 to 1, found nan"),
        ({"confidence": -0.1}, "`confidence` from 0 to 1, found -0.1"),
        ({"confidence": float("nan")}, "`confidence`"),
    ],
)
@pytest.mark.parametrize("match_up", [align, collect_turns])
def test_probabilities_out_of_bounds_are_refused(match_up, more, message):
    with pytest.raises(CorpusError, match=f"dialogue 'two', turn 0 .*{message}"):
        match_up([prediction("two", 0, **more)], CORPUS)


def test_a_probability_for_an_unknown_action_is_refused():
    given = prediction("two", 0, probabilities={"greet": 0.5, "gret": 0.5})
    with pytest.raises(CorpusError, match=r"'two', turn 0 .*action 'gret'.*Did you mean 'greet'"):
        collect_turns([given], CORPUS, known_actions=["greet"])
    assert collect_turns([given], CORPUS).n_listed == 3


@pytest.mark.parametrize("key", ["probabilities", "confidence"])
def test_some_without_probabilities_are_refused(key):
    value = {"a": 1.0} if key == "probabilities" else 0.5
    mixed = [prediction("one", 0, **{key: value}), prediction("one", 2)]
    with pytest.raises(CorpusError, match=f"'one', turn 2 .*`{key}`"):
        collect_turns(mixed, CORPUS)


def test_dialogues_without_predictions_are_left_out_unless_all_are_wanted():
    assert len(align([prediction("two", 0)], CORPUS)) == 1
    expected = ExpectedPredictions(CORPUS)
    assert len(list(expected.over([prediction("two", 0)]))) == 1
    expected.check_complete()
    with pytest.raises(CorpusError, match="'one'"):
        expected.check_complete(everything=True)


def test_predictions_survive_writing_and_reading(tmp_path):
    made = [
        Prediction(
            dialogue="a", turn=0, actions=frozenset("xy"), probabilities={"x": 0.25, "y": 0.5}, confidence=0.125
        ),
        Prediction(dialogue="a", turn=1, actions=frozenset(), logged=0.5),
    ]
    assert write_predictions(tmp_path / "p.jsonl", made) == 2
    matched = PredictionFile(tmp_path / "p.jsonl")
    assert list(matched) == made
    assert list(matched) == made  # a second time


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2"),
        ('{"dialogue": "a", "turns": 0, "actions": []}', "Did you mean 'turn'"),
        (
            '{"dialogue": "a", "turn": 3, "actions": [], "probabilities": {"x": 1.5}}',
            "line 2, dialogue 'a', turn 3 .*1.5",
        ),
        ('{"dialogue": "a", "turn": 0, "actions": [], "confidence": -1}', "line 2, dialogue 'a', turn 0 .*-1"),
        ('{"dialogue": "a", "turn": 0, "actions": [], "confidence": NaN}', "line 2"),
    ],
)
def test_bad_lines_are_refused_with_their_number(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    path.write_text('{"dialogue": "a", "turn": 0, "actions": []}\n' + line + "\n")
    with pytest.raises(CorpusError, match=message):
        list(PredictionFile(path))


def test_turns_as_arrays():
    made = [
        Prediction(dialogue="two", turn=0, actions=frozenset({"z", "a"}), probabilities={"z": 0.5, "a": 0.75}),
        Prediction(dialogue="one", turn=2, actions=frozenset(), probabilities={}),
        Prediction(dialogue="one", turn=0, actions=frozenset("b"), probabilities={"b": 1.0}),
    ]
    matched = collect_turns(made, CORPUS, known_actions=["b", "z"])
    assert matched.space.classes_ == ("a", "b", "z")
    assert matched.training.tolist() == [False, True, True]
    assert (matched.dialogue.tolist(), matched.number.tolist()) == ([0, 0, 1], [0, 2, 0])
    assert [part.tolist() for part in matched.gold] == [[0, 2], [0, 0]]
    assert [part.tolist() for part in matched.predicted] == [[0, 2, 2], [1, 0, 2]]
    assert [part.tolist() for part in matched.probabilities] == [[0, 2, 2], [1, 0, 2], [1.0, 0.75, 0.5]]
    assert matched.exact.tolist() == [False, True, False]
    assert np.array_equal(matched.over(matched.training).per_turn(matched.over(matched.training).gold), [0, 0, 0])


def test_what_is_no_set_of_actions_is_named():
    for actions, message in (
        ("greet", r"found str 'greet'. Write \{'greet'\}"),
        ([0, 1, 0], "found list .*ActionSpace.inverse_transform"),
        (frozenset([1]), "found frozenset"),
        (np.array([1.0]), "found ndarray"),
        (None, "found NoneType"),
    ):
        with pytest.raises(OptionError, match=f"expected `actions` as a set of action names, {message}"):
            Prediction(dialogue="two", turn=0, actions=actions)
    for actions in (["a", "b"], {"a", "b"}, ("b", "a"), np.array(["a", "b"])):
        assert Prediction(dialogue="two", turn=0, actions=actions).actions == frozenset("ab")


def test_probabilities_are_a_dict_and_rounding_is_forgiven(tmp_path):
    with pytest.raises(OptionError, match=r"expected `probabilities` as a dict .*found ndarray"):
        prediction("two", 0, probabilities=np.zeros(40))
    rounded = prediction("two", 0, probabilities={"a": 1.0000001, "b": -1e-7}, confidence=np.float32(1.0000001))
    assert (rounded.probabilities, rounded.confidence) == ({"a": 1.0, "b": 0.0}, 1.0)
    (tmp_path / "p.jsonl").write_text(
        '{"dialogue": "two", "turn": 0, "actions": [], "probabilities": {"a": 1.0000001}}'
    )
    assert next(iter(PredictionFile(tmp_path / "p.jsonl"))).probabilities == {"a": 1.0}


def test_a_predict_that_returns_nothing_is_named():
    with pytest.raises(OptionError, match="expected `predict` to yield predictions, found NoneType"):
        align(None, CORPUS)


def test_arrays_are_a_predictor():
    gold = [turn.actions for dialogue in CORPUS for turn in dialogue.turns if turn.is_target]
    space = ActionSpace(["b", "a"])
    bits, shares = space.transform(gold), np.array([[0.25, 0.75], [0.0, 0.5], [1.0, 1.0]])
    arrays = PredictionArrays(space, bits, shares)
    assert [p.probabilities["b"] for p in arrays.predict(CORPUS)] == [0.25, 0.0, 1.0]
    assert [(p.dialogue, p.turn) for p in arrays.predict(CORPUS)] == [("one", 0), ("one", 2), ("two", 0)]
    judged = evaluate(PredictionArrays(["b", "a"], 1 - bits), CORPUS, resamples=0)
    assert (evaluate(arrays, CORPUS, resamples=0).turn_accuracy, judged.turn_accuracy) == (1.0, 0.0)
    assert judged.warnings == []
    for rows in (bits[:2], np.vstack([bits, bits])):
        with pytest.raises(OptionError, match=f"each of the 3 target turns of these dialogues, found {len(rows)} rows"):
            evaluate(PredictionArrays(space, rows), CORPUS)
    with pytest.raises(OptionError, match=r"same shape as the bits, \(3, 2\); found \(3,\)"):
        PredictionArrays(space, bits, shares[:, 0])


def test_predictions_of_which_no_action_is_known_are_warned_of():
    def told(actions):
        given = Given([Prediction(dialogue="two", turn=0, actions=actions)])
        warnings = evaluate(given, CORPUS, resamples=0).warnings
        return [warning for warning in warnings if warning.startswith("No predicted action is known")]

    (warning,) = told(["0", "1"])
    assert "neither training nor the corpus has '0', '1'." in warning
    assert told([]) == told(["a", "1"]) == []
