import numpy as np
import pytest

from dialog_policy.baselines import neighbours
from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.baselines.storage import FittedBaselines
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.prediction import Predictor


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
    # "an expensive taxi" was answered by t twice and by b once; "in the north" depends on what came before.
    assert nearest(fitted, *CORPUS) == ["g", "a", "o", "g", "t", "t", "g", "t", "g", "t"]


def test_the_nearest_neighbour_weighs_words_system_and_actions(fitted):
    asked = dialogue("x", ("oh hello there", "", ""), ("the north", "", ""))
    after_a = Dialogue(
        id="y", turns=(Turn(user="", actions=frozenset("a"), system="where"), Turn(user="north", actions=frozenset()))
    )
    assert nearest(fitted, asked)[0] == "g"
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
