import numpy as np
import pytest
from sklearn import metrics as theirs

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError
from dialog_policy.evaluation.metrics import SCALARS, score_predictions
from dialog_policy.evaluation.predictions import Prediction, align, read_predictions, write_predictions

NAMES = [f"a{i}" for i in range(6)]


def random_case(seed, single=False, n_dialogues=15):
    """A corpus and predictions; action a5 is unknown to training."""
    random = np.random.default_rng(seed)

    def draw(known):
        if single:
            return frozenset([NAMES[random.integers(len(known))]])
        return frozenset(name for name in known if random.random() < 0.3)

    dialogues, predictions = [], []
    for d in range(n_dialogues):
        turns = []
        for t in range(random.integers(1, 9)):
            gold = None if random.random() < 0.15 else draw(NAMES)
            turns.append(Turn(user="x", actions=gold))
            if gold is not None:
                mine = gold - {"a5"} if random.random() < 0.5 and (gold - {"a5"} or not single) else draw(NAMES[:5])
                predictions.append(Prediction(dialogue=str(d), turn=t, actions=frozenset(mine)))
        dialogues.append(Dialogue(id=str(d), turns=tuple(turns)))
    return Corpus(dialogues), predictions


def sets(corpus, predictions):
    return [corpus[p.dialogue].turns[p.turn].actions for p in predictions], [p.actions for p in predictions]


@pytest.mark.parametrize("seed", range(12))
def test_metrics_are_scikit_learns(seed):
    corpus, predictions = random_case(seed, single=seed % 3 == 0)
    result = score_predictions(predictions, corpus, known_actions=NAMES[:5], resamples=0)
    gold, mine = sets(corpus, predictions)
    for labels, found in ((NAMES, result), (NAMES[:5], result["seen"])):
        space = ActionSpace(labels)
        y, z = space.transform(gold).astype(int), space.transform(mine).astype(int)
        expected = {
            f"{average}_f1": theirs.f1_score(y, z, average=average, zero_division=0)
            for average in ("micro", "macro", "weighted", "samples")
        }
        expected["precision"] = theirs.precision_score(y, z, average="micro", zero_division=0)
        expected["recall"] = theirs.recall_score(y, z, average="micro", zero_division=0)
        expected["hamming_loss"] = theirs.hamming_loss(y, z)
        in_gold = np.flatnonzero(y.any(axis=0))
        expected["macro_f1_gold"] = theirs.f1_score(y, z, labels=in_gold, average="macro", zero_division=0)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value), name
    exact = [a == b for a, b in zip(gold, mine, strict=True)]
    assert result["turn_accuracy"] == pytest.approx(np.mean(exact))
    by_dialogue = {p.dialogue: [] for p in predictions}
    for p, right in zip(predictions, exact, strict=True):
        by_dialogue[p.dialogue].append(right)
    assert result["dialogue_accuracy"] == pytest.approx(np.mean([all(r) for r in by_dialogue.values()]))
    assert result["unseen_action_turns"] == sum("a5" in actions for actions in gold)
    assert result["turns"] == len(gold)
    precision, recall, f1, support = theirs.precision_recall_fscore_support(
        ActionSpace(NAMES).transform(gold), ActionSpace(NAMES).transform(mine), zero_division=0
    )
    for row in result["by_action"]:
        bit = NAMES.index(row["action"])
        assert (row["precision"], row["recall"], row["f1"], row["support"]) == pytest.approx(
            (precision[bit], recall[bit], f1[bit], support[bit])
        )


def test_slices_add_up():
    corpus, predictions = random_case(3)
    result = score_predictions(predictions, corpus, resamples=0)
    for rows in (result["by_length"], result["by_turn"]):
        assert sum(row["turns"] for row in rows) == result["turns"]
        right = sum(row["turns"] * row["turn_accuracy"] for row in rows)
        assert right / result["turns"] == pytest.approx(result["turn_accuracy"])
    assert sum(row["dialogues"] for row in result["by_length"]) == result["dialogues"]


def test_bootstrap_weights_whole_dialogues():
    corpus, predictions = random_case(5)
    result = score_predictions(predictions, corpus, known_actions=NAMES, resamples=400, seed=9)
    ids = list(dict.fromkeys(p.dialogue for p in predictions))
    drawn = np.random.default_rng(9).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=250)
    drawn = np.concatenate([drawn])
    values = []
    for weights in drawn:
        times = dict(zip(ids, weights, strict=True))
        gold, mine, again = [], [], []
        for p in predictions:
            again += [p] * int(times[p.dialogue])
        gold, mine = sets(corpus, again)
        values.append(np.mean([a == b for a, b in zip(gold, mine, strict=True)]))
    low, high = np.quantile(values, [0.025, 0.975])
    assert result["ci95"]["turn_accuracy"] == pytest.approx([low, high], abs=0.03)
    assert set(result["ci95"]) == set(SCALARS)
    same = score_predictions(predictions, corpus, known_actions=NAMES, resamples=400, seed=9)
    assert same["ci95"] == result["ci95"]


def test_intervals_cover_the_truth():
    random, covered, n = np.random.default_rng(0), 0, 120
    for _ in range(n):
        dialogues, predictions = [], []
        for d in range(60):
            share = random.beta(4, 2)
            turns = [Turn(user="", actions=frozenset("a")) for _ in range(6)]
            dialogues.append(Dialogue(id=str(d), turns=tuple(turns)))
            for t in range(6):
                actions = frozenset("a" if random.random() < share else "b")
                predictions.append(Prediction(dialogue=str(d), turn=t, actions=actions))
        low, high = score_predictions(predictions, Corpus(dialogues), resamples=300)["ci95"]["turn_accuracy"]
        covered += low <= 4 / 6 <= high
    assert 0.88 <= covered / n <= 0.99


def test_replies_and_baselines():
    corpus = Corpus([Dialogue(id="d", turns=(Turn(user="", actions=frozenset("a"), system="so  be it"),))])
    mine = [Prediction(dialogue="d", turn=0, actions=frozenset("a"))]
    other = [Prediction(dialogue="d", turn=0, actions=frozenset("b"))]
    result = score_predictions(mine, corpus, replies={("d", 0): "so be it"}, baselines={"other": other})
    assert result["response_accuracy"] == 1
    assert result["baselines"]["other"]["turn_accuracy"] == 0


CORPUS = Corpus(
    [
        Dialogue(
            id="one", turns=(Turn(user="", actions=frozenset("a")), Turn(user=""), Turn(user="", actions=frozenset()))
        ),
        Dialogue(id="two", turns=(Turn(user="", actions=frozenset("a")),)),
    ]
)


def prediction(dialogue, turn):
    return Prediction(dialogue=dialogue, turn=turn, actions=frozenset())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([("one", 0)], "'one', turn 2 .*found none"),
        ([("one", 0), ("one", 0)], "'one', turn 0 .*twice"),
        ([("one", 0), ("one", 1), ("one", 2)], "'one', turn 1 .*history only"),
        ([("one", 0), ("one", 2), ("one", 3)], "'one', turn 3 .*counted from 0"),
        ([("two", 0), ("onee", 0)], "Did you mean 'one'"),
        ([], "found none"),
    ],
)
def test_predictions_that_do_not_belong_are_refused_with_the_place(keys, message):
    with pytest.raises(CorpusError, match=message):
        align([prediction(*key) for key in keys], CORPUS)


def test_dialogues_without_predictions_are_left_out_unless_all_are_wanted():
    assert len(align([prediction("two", 0)], CORPUS)) == 1
    with pytest.raises(CorpusError, match="'one'"):
        align([prediction("two", 0)], CORPUS, complete=True)


def test_predictions_survive_writing_and_reading(tmp_path):
    made = [
        Prediction(
            dialogue="a", turn=0, actions=frozenset("xy"), probabilities={"x": 0.25, "y": 0.5}, confidence=0.125
        ),
        Prediction(dialogue="a", turn=1, actions=frozenset()),
    ]
    assert write_predictions(tmp_path / "p.jsonl", made) == 2
    assert list(read_predictions(tmp_path / "p.jsonl")) == made


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2"),
        ('{"dialogue": "a", "turns": 0, "actions": []}', "Did you mean 'turn'"),
        ('{"dialogue": "a", "turn": 0, "actions": [], "probabilities": {"x": 1.5}}', "1.5"),
        ('{"dialogue": "a", "turn": 0, "actions": [], "confidence": NaN}', "line 2"),
    ],
)
def test_bad_lines_are_refused_with_their_number(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    path.write_text('{"dialogue": "a", "turn": 0, "actions": []}\n' + line + "\n")
    with pytest.raises(CorpusError, match=message):
        list(read_predictions(path))
