from pathlib import Path

import numpy as np
import pytest

from dialog_policy.baselines import fit, load_baselines, load_training_part, neighbours
from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.baselines.storage import FittedBaselines
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.prediction import Predictor
from dialog_policy.runtime import Policy


def dialogue(name, *turns):
    return Dialogue(id=name, turns=tuple(Turn(user=u, actions=frozenset(a), system=s) for u, a, s in turns))


CORPUS = Corpus(
    [
        dialogue("1", ("hello there", "g", "hi"), ("a cheap hotel", "a", "where"), ("in the north", "o", "take this")),
        dialogue("2", ("hello", "g", "hi"), ("an expensive taxi", "t", "when"), ("in the north", "t", "no")),
        dialogue("3", ("hello", "g", "hi"), ("an expensive taxi", "b", "when")),
        dialogue("4", ("hello", "g", "hi"), ("an expensive taxi", "t", "when")),
    ]
)
SPACE = ActionSpace().fit(turn.actions for d in CORPUS for turn in d.turns)


@pytest.fixture(scope="module")
def fitted():
    return fit_baselines(CORPUS, SPACE)


def nearest(baselines, *dialogues):
    return ["".join(sorted(p.actions)) for p in baselines.predictors()["nearest_neighbour"].predict(dialogues)]


def test_the_nearest_neighbour_is_what_was_done_in_the_same_place(fitted):
    # "an expensive taxi" was answered by t twice and by b once; "in the north" depends on the turns before.
    assert nearest(fitted, *CORPUS) == ["g", "a", "o", "g", "t", "t", "g", "t", "g", "t"]


def test_the_nearest_neighbour_weighs_words_system_and_actions(fitted):
    judged = dialogue("x", ("oh hello there", "", ""), ("the north", "", ""))
    after_a = Dialogue(
        id="y", turns=(Turn(user="", actions=frozenset("a"), system="where"), Turn(user="north", actions=frozenset()))
    )
    assert nearest(fitted, judged)[0] == "g"
    assert nearest(fitted, after_a)[1] == "o"


def test_baselines_survive_a_run_folder(fitted):
    described, arrays = fitted.to_parts()
    again = FittedBaselines.from_parts(described, arrays, SPACE)
    assert list(again.predictors()) == list(fitted.predictors())
    for before, after in zip(fitted.predictors().values(), again.predictors().values(), strict=True):
        assert isinstance(after, Predictor)
        assert list(after.predict(CORPUS)) == list(before.predict(CORPUS))
    assert again.training == fitted.training
    assert again.training.support == {"a": 1, "b": 1, "g": 4, "o": 1, "t": 3}
    assert {"hello", "taxi"} <= again.training.words


NAMES = [
    "majority", "bigram", "nearest_neighbour", "logreg_utterance", "logreg_history", "logreg_context", "logreg_dialogue"
]  # fmt: skip


def test_baselines_have_their_names(fitted):
    assert list(fitted.predictors()) == NAMES


def turns_of(*described):
    return tuple(Turn(user=u, context=c, actions=frozenset(a), system=s) for u, c, a, s in described)


def test_context_and_earlier_words_are_looked_at():
    """The action follows from the context in one corpus, from the first words of the dialogue in the other."""
    contexts = [Dialogue(id=n, turns=turns_of(("go on", {"found": n}, n, "ok"))) for n in "ab"]
    pasts = [
        Dialogue(id=n, turns=turns_of((word, {}, "x", "yes"), ("go on", {}, "x", "yes"), ("go on", {}, n, "ok")))
        for n, word in (("a", "apples"), ("b", "pears"))
    ]
    for dialogues, knows in ((contexts, {"logreg_context", "logreg_dialogue"}), (pasts, {"logreg_dialogue"})):
        space = ActionSpace().fit(t.actions for d in dialogues for t in d.turns)
        for name, baseline in fit_baselines(Corpus(dialogues), space).predictors().items():
            last = {d.id: frozenset(d.id) for d in dialogues}
            predicted = {p.dialogue: p.actions for p in baseline.predict(dialogues)}
            assert (predicted == last) == (name in knows), name


@pytest.mark.parametrize(
    "turns",
    [
        (Turn(context={"i": "x"}, actions=frozenset("a")), Turn(context={"i": "y"}, actions=frozenset("b"))),
        (Turn(actions=frozenset("a")), Turn(actions=frozenset("b")), Turn(actions=frozenset("c"))),
        (Turn(user="hi", actions=frozenset("a")), Turn(user="ho", actions=frozenset("a"))),
        (Turn(actions=frozenset()),),
    ],
    ids=["contexts only", "actions only", "a single action set", "the empty set"],
)
def test_a_corpus_without_words_or_choice_has_baselines(turns):
    corpus = Corpus([Dialogue(id="1", turns=turns)])
    space = ActionSpace().fit(turn.actions for turn in turns)
    described, arrays = fit_baselines(corpus, space).to_parts()
    baselines = FittedBaselines.from_parts(described, arrays, space).predictors()
    for baseline in baselines.values():
        assert [p.turn for p in baseline.predict(corpus)] == list(range(len(turns)))
    assert next(p.actions for p in baselines["logreg_history"].predict(corpus)) == turns[0].actions
    assert [p.actions for p in baselines["logreg_utterance"].predict([])] == []


def test_sets_that_the_drawn_turns_lack_are_not_chosen(monkeypatch):
    monkeypatch.setattr(fit, "_MAX_TURNS", 2)
    fitted = fit_baselines(CORPUS, SPACE, seed=1)
    baselines = FittedBaselines.from_parts(*fitted.to_parts(), SPACE).predictors()
    for name in NAMES[3:]:
        assert len({p.actions for p in baselines[name].predict(CORPUS)}) <= 2


def test_regressions_over_the_most_frequent_sets_of_many_can_be_read_again(monkeypatch):
    monkeypatch.setattr(fit, "_MAX_SETS", 2)
    fitted = fit_baselines(CORPUS, SPACE)
    assert len(fitted.sets) > 2
    described, arrays = fitted.to_parts()
    again = FittedBaselines.from_parts(described, arrays, SPACE).predictors()
    for name, baseline in fitted.predictors().items():
        expected = [prediction.actions for prediction in baseline.predict(CORPUS)]
        assert [prediction.actions for prediction in again[name].predict(CORPUS)] == expected
        if name in NAMES[3:]:
            assert {*expected} <= {*fitted.sets[:2]}
    more = arrays | {"logreg_history.bias": np.zeros(len(fitted.sets) + 1, dtype=np.float32)}
    with pytest.raises(ValueError, match=r"logreg_history\.bias"):
        FittedBaselines.from_parts(described, more, SPACE)


def test_of_previous_actions_the_most_frequent_are_looked_at(monkeypatch, fitted):
    monkeypatch.setattr(fit, "_TOGETHER", 3)
    whole = fit_baselines(CORPUS, SPACE).regressions["logreg_history"].actions
    assert np.array_equal(whole, fitted.regressions["logreg_history"].actions)
    # First turns (four), then g (four), are more frequent before a turn than a, o and t.
    monkeypatch.setattr(fit, "_MAX_PREVIOUS", 2)
    regression = fit_baselines(CORPUS, SPACE).regressions["logreg_history"]
    looked_at = np.abs(regression.actions).sum(axis=1) > 0
    assert looked_at.tolist() == [True, *(name == "g" for name in SPACE.classes_)]


def test_a_run_of_an_earlier_version_has_its_baselines():
    policy = Policy.load(Path(__file__).parent.parent / "fixtures" / "run-format-4")
    baselines = load_baselines(policy.run, policy.actions)
    assert list(baselines) == NAMES[:5]
    assert all(baseline.actions is policy.actions for baseline in baselines.values())
    training = load_training_part(policy.run)
    assert training is not None
    assert training.words
    assert set(training.support) <= set(policy.actions.classes_)


def test_the_index_is_the_similarity_of_all_turns(monkeypatch):
    """Against cosines computed from dense vectors."""
    random = np.random.default_rng(0)
    dense = random.random((40, 2, 12)) * (random.random((40, 2, 12)) < 0.3) + 1e-3
    dense /= np.linalg.norm(dense, axis=2, keepdims=True)
    dense = dense.astype(np.float16).astype(np.float32)

    def terms(view):
        return [(np.flatnonzero(part), part[part > 0]) for part in dense[view]]

    index = neighbours.fit_neighbours(terms, list(range(30)), list(range(30)), widths=(12, 12), seed=0)
    for query in range(40):
        similarity = (dense[:30] * dense[query]).sum(axis=(1, 2))
        assert similarity[index.nearest(terms(query))] == pytest.approx(similarity.max(), abs=1e-3)
    monkeypatch.setattr(neighbours, "_MOST", 10)
    few = neighbours.fit_neighbours(terms, list(range(30)), list(range(30)), widths=(12, 12), seed=0)
    assert len(few.to_arrays()["chosen"]) == 10
