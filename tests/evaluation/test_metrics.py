import msgspec
import numpy as np
import pytest
from sklearn import metrics as theirs

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError
from dialog_policy.evaluation import evaluate
from dialog_policy.evaluation.collect import collect_turns
from dialog_policy.evaluation.totals import SCALARS, DialogueTotals, MetricSet
from dialog_policy.prediction import Prediction
from tests.predictors import Given, Replying, judged

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
    return [corpus.dialogue(p.dialogue).turns[p.turn].actions for p in predictions], [p.actions for p in predictions]


@pytest.mark.parametrize("seed", range(12))
def test_metrics_are_scikit_learns(seed):
    corpus, predictions = random_case(seed, single=seed % 3 == 0)
    result = judged(predictions, corpus, known_actions=NAMES[:5], resamples=0)
    gold, mine = sets(corpus, predictions)
    for labels, figures in ((NAMES, result), (NAMES[:5], result["seen"])):
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
            assert figures[name] == pytest.approx(value), name
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
    result = judged(predictions, corpus, resamples=0)
    for rows in (result["by_length"], result["by_turn"]):
        assert sum(row["turns"] for row in rows) == result["turns"]
        right = sum(row["turns"] * row["turn_accuracy"] for row in rows)
        assert right / result["turns"] == pytest.approx(result["turn_accuracy"])
    assert sum(row["dialogues"] for row in result["by_length"]) == result["dialogues"]


def test_replies_and_baselines():
    dialogue = Dialogue(id="d", turns=(Turn(user="", actions=frozenset("a"), system="so  be it"),))
    corpus = Corpus([dialogue], replies_are_templates=True)
    mine = [Prediction(dialogue="d", turn=0, actions=frozenset("a"))]
    other = [Prediction(dialogue="d", turn=0, actions=frozenset("b"))]
    result = evaluate(Replying(mine, {("d", 0): "so be it"}), corpus, baselines=[Given(other, "other")])
    assert result.response_accuracy == 1
    assert result.baselines["other"].turn_accuracy == 0
    assert evaluate(Replying(mine, {("d", 0): "so be"}), corpus).response_accuracy == 0
    unfilled = corpus.with_dialogues([dialogue])
    assert "response_accuracy" in evaluate(Replying(mine, {("d", 0): ""}), unfilled).to_json()
    assert "response_accuracy" not in judged(mine, corpus)


def test_baselines_of_one_name_are_numbered_and_judged_apart():
    corpus = Corpus([Dialogue(id="d", turns=(Turn(user="", actions=frozenset("a")),))])
    given = {label: [Prediction(dialogue="d", turn=0, actions=frozenset(label))] for label in "ab"}
    baselines = [Given(given["a"], "x"), Given(given["b"], "x"), Given(given["b"], "x (2)"), Given(given["a"], "y")]
    result = evaluate(Given(given["a"]), corpus, baselines=baselines)
    shares = {name: row.turn_accuracy for name, row in result.baselines.items()}
    assert shares == {"x": 1, "x (2)": 0, "x (2) (2)": 0, "y": 1}


def test_seen_has_only_the_labels_of_training():
    turns = (Turn(user="", actions=frozenset({"a", "new"})), Turn(user="", actions=frozenset({"b"})))
    corpus = Corpus([Dialogue(id="d", turns=turns)])
    mine = [
        Prediction(dialogue="d", turn=0, actions=frozenset("a")),
        Prediction(dialogue="d", turn=1, actions=frozenset("a")),
    ]
    result = judged(mine, corpus, known_actions=["a", "b"], resamples=0)
    assert result["turn_accuracy"] == 0
    assert result["seen"]["turn_accuracy"] == 0.5


def test_actions_that_only_predictions_have_are_errors_outside_the_macro_average():
    corpus = Corpus([Dialogue(id="d", turns=(Turn(user="", actions=frozenset("a")),))])
    mine = [Prediction(dialogue="d", turn=0, actions=frozenset({"a", "made up"}))]
    result = judged(mine, corpus, known_actions=["a"], resamples=0)
    assert (result["turn_accuracy"], result["precision"], result["macro_f1"]) == (0, 0.5, 1)


def test_baselines_must_cover_what_is_scored():
    corpus, predictions = random_case(2)
    some = [p for p in predictions if p.dialogue in {"0", "1"}]
    result = judged(some, corpus, baselines={"other": predictions}, resamples=50)
    assert result["baselines"]["other"]["turn_accuracy"] == result["turn_accuracy"]
    assert result["baselines"]["other"]["ci95"] == result["ci95"]
    with pytest.raises(CorpusError, match=r"baseline 'other'.*found none"):
        judged(predictions, corpus, baselines={"other": some}, resamples=0)
    foreign = [*predictions, Prediction(dialogue="elsewhere", turn=0, actions=frozenset())]
    with pytest.raises(CorpusError, match=r"'elsewhere'.*baseline 'other'"):
        judged(predictions, corpus, baselines={"other": foreign}, resamples=0)


def with_probabilities(corpus, predictions, seed, single=False, stated=1.0):
    """Give every action a probability (or, with `stated`, some)."""
    random = np.random.default_rng(seed)
    made = []
    for p in predictions:
        shares = random.dirichlet(np.ones(len(NAMES))) if single else random.random(len(NAMES))
        shown = {n: float(x) for n, x in zip(NAMES, shares, strict=True) if random.random() < stated}
        made.append(msgspec.structs.replace(p, probabilities=shown, confidence=float(random.random())))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_losses_and_curves_are_scikit_learns(seed):
    single = seed % 2 == 0
    corpus, predictions = random_case(seed, single=single)
    predictions = with_probabilities(corpus, predictions, seed, single)
    result = judged(predictions, corpus, known_actions=NAMES, resamples=0)
    gold, _ = sets(corpus, predictions)
    y = ActionSpace(NAMES).transform(gold).astype(int)
    p = np.array([[q.probabilities[name] for name in NAMES] for q in predictions])
    assert result["actions_exclude_each_other"] is single
    if single:
        assert result["log_loss"] == pytest.approx(theirs.log_loss(y.argmax(axis=1), p, labels=range(len(NAMES))))
        for k in (1, 3, 5):
            expected = theirs.top_k_accuracy_score(y.argmax(axis=1), p, k=k, labels=range(len(NAMES)))
            assert result["top_k"][str(k)] == pytest.approx(expected)
    else:
        assert result["log_loss"] == pytest.approx(len(NAMES) * theirs.log_loss(y.ravel(), p.ravel()))
    assert result["brier"] == pytest.approx(len(NAMES) * theirs.brier_score_loss(y.ravel(), p.ravel()))
    for row in result["by_action"]:
        bit = NAMES.index(row["action"])
        if row["support"]:
            assert row["average_precision"] == pytest.approx(theirs.average_precision_score(y[:, bit], p[:, bit]))
            precision, recall, _ = theirs.precision_recall_curve(y[:, bit], p[:, bit])
            points = {(round(r, 4), round(q, 4)) for q, r in zip(precision, recall, strict=True)}
            assert {tuple(point) for point in row["precision_recall"]} <= points
            assert row["precision_recall"][-1][0] == 1


def test_what_is_left_out_has_probability_zero_and_costs_a_thousandth():
    corpus, predictions = random_case(4)
    sparse = with_probabilities(corpus, predictions, 4, stated=0.4)
    result = judged(sparse, corpus, known_actions=NAMES, resamples=0)
    gold, _ = sets(corpus, sparse)
    y = ActionSpace(NAMES).transform(gold).astype(int)
    p = np.array([[q.probabilities.get(name, 0.0) for name in NAMES] for q in sparse])
    assert result["brier"] == pytest.approx(np.square(p - y).sum(axis=1).mean())
    for row in result["by_action"]:
        bit = NAMES.index(row["action"])
        if row["support"]:
            assert row["average_precision"] == pytest.approx(theirs.average_precision_score(y[:, bit], p[:, bit]))
    floored = np.where((p == 0) & (y == 1), 1e-3, p)
    expected = -np.where(y == 1, np.log(np.maximum(floored, 1e-12)), np.log1p(-p)).sum(axis=1).mean()
    assert result["log_loss"] == pytest.approx(expected)
    assert result["gold_actions_left_out"] == int(((p == 0) & (y == 1)).sum())
    ranked = [sorted(q.probabilities, key=q.probabilities.get, reverse=True) for q in sparse]
    for k in (1, 3, 5):
        hits = [actions <= set(names[:k]) for actions, names in zip(gold, ranked, strict=True) if actions]
        assert result["top_k"][str(k)] == pytest.approx(np.mean(hits))


def test_without_probabilities_there_are_no_figures_of_them():
    corpus, predictions = random_case(1)
    result = judged(predictions, corpus, resamples=0)
    assert not {"log_loss", "brier", "top_k", "calibration", "calibration_bits"} & set(result)
    assert not any("average_precision" in row for row in result["by_action"])


def test_every_list_has_its_intervals():
    corpus, predictions = random_case(5)
    result = judged(with_probabilities(corpus, predictions, 5), corpus, known_actions=NAMES, resamples=60, seed=9)
    assert set(result["ci95"]) == {*SCALARS, "log_loss", "brier", "top_k.1", "top_k.3", "top_k.5"}
    figures = {"by_length": "turn_accuracy", "by_turn": "turn_accuracy", "by_action": "f1"}
    rows = [(row, figure) for name, figure in figures.items() for row in result[name]]
    rows += [(row, "accuracy") for row in result["calibration"]["bins"]]
    for row, figure in rows:
        low, high = row["ci95"]
        assert 0 <= low <= row[figure] <= high <= 1
    for row in result["slices"]:
        for figure, (low, high) in row["ci95"].items():
            assert 0 <= low <= row[figure] <= high <= 1
    same = judged(with_probabilities(corpus, predictions, 5), corpus, known_actions=NAMES, resamples=60, seed=9)
    assert same == result


def test_predictions_are_taken_in_any_order():
    corpus, predictions = random_case(7)
    with_shares = with_probabilities(corpus, predictions, 7, stated=0.5)
    ordered = judged(with_shares, corpus, known_actions=NAMES, resamples=20)
    assert judged(with_shares[::-1], corpus, known_actions=NAMES, resamples=20) == ordered


def test_a_sample_of_the_dialogues_has_the_intervals_of_a_corpus_of_them():
    corpus, predictions = random_case(0)
    drawn = np.random.default_rng(1).integers(15, size=40)
    dialogues = [msgspec.structs.replace(corpus[int(i)], id=str(number)) for number, i in enumerate(drawn)]
    repeated = [
        msgspec.structs.replace(p, dialogue=str(number))
        for number, i in enumerate(drawn)
        for p in predictions
        if p.dialogue == str(i)
    ]

    def intervals(predictions, corpus, **sample):
        turns = collect_turns(predictions, corpus, known_actions=NAMES[:5])
        totals = DialogueTotals(turns)
        metrics = MetricSet(totals, turns)
        totals.want(metrics.hit, metrics.gold)  # the recall of each action
        return totals.intervals(metrics, resamples=200, seed=0, **sample)

    named, recalls = intervals(predictions, corpus, dialogues=drawn)
    assert (named, recalls) == intervals(repeated, Corpus(dialogues))
    assert set(named) == set(SCALARS)
    assert all(0 <= low <= high <= 1 for low, high in [*named.values(), *filter(None, recalls)])
