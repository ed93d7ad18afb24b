import msgspec
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as theirs

from dialog_policy.baselines import load_baselines
from dialog_policy.comparison import compare, significance
from dialog_policy.comparison.significance import bootstrap_p, holm, mcnemar_p, randomisation_p, resampled
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation import intervals
from dialog_policy.evaluation.intervals import dialogue_weights
from dialog_policy.evaluation.totals import SCALARS
from dialog_policy.prediction import Prediction
from dialog_policy.report import text_report
from dialog_policy.runtime import Policy
from tests.predictors import judged

NAMES = ("ask", "bye", "greet", "offer")


def make_case(seed, *, n=12, skills=(0.8, 0.5), singles=False):
    """A corpus, and one policy a skill: the share of turns that it gets right."""
    random = np.random.default_rng(seed)

    def draw():
        return frozenset(random.choice(NAMES, size=1 if singles else random.integers(0, 3), replace=False))

    dialogues = [
        Dialogue(id=f"d{i}", turns=tuple(Turn(user=f"u{t}", actions=draw()) for t in range(random.integers(1, 6))))
        for i in range(n)
    ]
    corpus = Corpus(dialogues)
    policies = {
        f"p{number}": [
            Prediction(dialogue=d.id, turn=t, actions=turn.actions if random.random() < skill else draw())
            for d in dialogues
            for t, turn in enumerate(d.turns)
        ]
        for number, skill in enumerate(skills)
    }
    return corpus, policies


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 0), (5, 5), (12, 4), (40, 71)])
def test_mcnemar_is_the_binomial_test(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar_p(a, b) == pytest.approx(expected)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def mean(totals):
    return totals[:, :1] / totals[:, 1:2]


def with_ones(values):
    return np.stack([values, np.ones(len(values))], axis=1)


def test_randomisation_goes_through_all_ways_where_they_are_few():
    random = np.random.default_rng(1)
    a, b = random.normal(size=8), random.normal(0.8, size=8)
    expected = stats.permutation_test(
        (a, b), lambda x, y: x.mean() - y.mean(), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    p = randomisation_p(with_ones(a), with_ones(b), mean, resamples=1_000, seed=0)
    assert p[0] == pytest.approx(expected)


def test_many_resamples_and_columns_are_gone_through_in_blocks(monkeypatch):
    random = np.random.default_rng(4)
    a, b = random.normal(size=12), random.normal(0.5, size=12)
    seen = []

    def watched(totals):
        seen.append(len(totals))
        return mean(totals)

    whole = randomisation_p(with_ones(a), with_ones(b), mean, resamples=5_000, seed=0)
    monkeypatch.setattr(significance, "_AT_ONCE", 1_200)
    blocks = randomisation_p(with_ones(a), with_ones(b), watched, resamples=5_000, seed=0)
    assert blocks == pytest.approx(whole)
    assert max(seen) == 100
    seen.clear()
    randomisation_p(with_ones(a), with_ones(b), watched, resamples=1_000, seed=0)
    assert max(seen) == 100
    monkeypatch.setattr(intervals, "_WEIGHTS_AT_ONCE", 1_200)
    blocks = [len(block) for block in dialogue_weights(12, 1_000, 0, columns=60)]
    assert (max(blocks), sum(blocks)) == (20, 1_000)


def test_tests_of_means_agree_with_student_on_many_dialogues():
    random = np.random.default_rng(2)
    a, b = random.normal(size=400), random.normal(0.12, size=400)
    expected = stats.ttest_rel(a, b).pvalue
    assert 0.01 < expected < 0.5
    p = randomisation_p(with_ones(a), with_ones(b), mean, resamples=20_000, seed=0)[0]
    assert p == pytest.approx(expected, abs=0.015)
    sums = np.concatenate([with_ones(a), with_ones(b)], axis=1).astype(np.float32)
    drawn = resampled(sums, lambda t: mean(t[:, :2]) - mean(t[:, 2:]), resamples=20_000, seed=0)
    assert bootstrap_p(drawn, np.array([a.mean() - b.mean()]))[0] == pytest.approx(expected, abs=0.015)


def test_equal_policies_are_called_different_one_time_in_twenty():
    random = np.random.default_rng(3)
    p_values = []
    for _ in range(400):
        shared = random.normal(size=30)
        a, b = with_ones(shared + random.normal(size=30)), with_ones(shared + random.normal(size=30))
        p_values.append(randomisation_p(a, b, mean, resamples=199, seed=int(random.integers(1 << 30)))[0])
    # 400 draws with chance 0.05: between 0.02 and 0.09 but for one in ten thousand.
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


@pytest.mark.parametrize("known", [None, NAMES])
def test_each_policy_has_the_figures_of_score(known):
    corpus, policies = make_case(4)
    result = compare(policies, corpus, known_actions=known, resamples=200)
    for row in result.policies:
        scored = judged(policies[row.name], corpus, known_actions=NAMES, resamples=200)
        for metric in SCALARS:
            assert getattr(row, metric) == pytest.approx(scored[metric]), metric
        assert row.ci95["turn_accuracy"] == pytest.approx(scored["ci95"]["turn_accuracy"], abs=0.05)
    assert [row.name for row in result.policies] == ["p0", "p1"]


def test_averages_run_over_the_same_actions_for_all_policies():
    corpus, policies = make_case(5)
    first = policies["p0"][0]
    policies["p0"][0] = Prediction(dialogue=first.dialogue, turn=first.turn, actions=frozenset(["zzz"]))
    # Neither the policies nor the corpus know a training part.
    corpus = Corpus(msgspec.structs.replace(dialogue, split="test") for dialogue in corpus)
    result = compare(policies, corpus, metrics=["macro_f1"], resamples=100)
    space = ActionSpace([*NAMES, "zzz"])
    gold = space.transform([corpus.dialogue(p.dialogue).turns[p.turn].actions for p in policies["p0"]])
    for row, predictions in zip(result.policies, policies.values(), strict=True):
        mine = space.transform([p.actions for p in predictions])
        assert row.macro_f1 == pytest.approx(theirs.f1_score(gold, mine, average="macro", zero_division=0))


def test_pairs_say_which_is_better_and_where():
    corpus, policies = make_case(6, n=40, skills=(0.9, 0.4, 0.4))
    result = compare(policies, corpus, resamples=500)
    by_pair = {(row.a, row.b): row for row in result.pairs if row.metric == "turn_accuracy"}
    assert set(by_pair) == {("p0", "p1"), ("p0", "p2"), ("p1", "p2")}
    better = by_pair["p0", "p1"]
    values = {row.name: row.turn_accuracy for row in result.policies}
    assert better.difference == pytest.approx(values["p0"] - values["p1"])
    assert better.ci95[0] > 0
    assert better.effect_size > 0.5
    assert better.p_randomisation < 0.01
    assert better.p_bootstrap < 0.01
    assert better.p_holm >= 2 * better.p_randomisation
    assert by_pair["p1", "p2"].p_holm > 0.05
    assert better.dialogues_better + better.dialogues_worse + better.dialogues_equal == 40
    gold = {(d.id, t): turn.actions for d in corpus for t, turn in enumerate(d.turns)}
    right = {
        name: {(p.dialogue, p.turn) for p in ps if p.actions == gold[p.dialogue, p.turn]}
        for name, ps in policies.items()
    }
    for a, b in by_pair:
        rows = [row for row in result.disagreements if (row.a, row.b) == (a, b)]
        assert {(r.dialogue, r.turn) for r in rows if r.right == a} == right[a] - right[b]
        assert {(r.dialogue, r.turn) for r in rows if r.right == b} == right[b] - right[a]
        assert all((r.gold == r.a_actions) == (r.right == a) for r in rows)
    whole = {
        name: {d.id for d in corpus if all((d.id, t) in keys for t in range(len(d)))} for name, keys in right.items()
    }
    success = next(row for row in result.mcnemar if (row.a, row.b) == ("p0", "p1"))
    assert set(success.a_only) == whole["p0"] - whole["p1"]
    assert success.both == len(whole["p0"] & whole["p1"])
    assert success.p == mcnemar_p(len(whole["p0"] - whole["p1"]), len(whole["p1"] - whole["p0"]))
    shown = text_report(result)
    assert f"{better.difference:+.3f}" in shown
    assert f"p0 is right and p1 wrong in {len(right['p0'] - right['p1'])} turn" in shown


def test_a_policy_does_not_differ_from_itself():
    corpus, policies = make_case(7, skills=(0.6,))
    result = compare({"one": policies["p0"], "two": list(reversed(policies["p0"]))}, corpus, resamples=100)
    for row in result.pairs:
        assert (row.difference, row.p_randomisation, row.p_bootstrap, row.p_holm) == (0, 1, 1, 1)
        assert row.ci95 == (0, 0)
        assert row.effect_size is None
    assert result.disagreements == []


def test_predictions_for_other_turns_are_refused_with_the_place():
    corpus, policies = make_case(8)
    without = [p for p in policies["p1"] if p.dialogue != "d3"]
    with pytest.raises(CorpusError, match=r"'d3', turn 0 .*p0 has a prediction for this turn, but p1 has none"):
        compare({"p0": policies["p0"], "p1": without}, corpus)
    with pytest.raises(CorpusError, match=r"'d3', turn 0 .*p1 has a prediction for this turn, but p0 has none"):
        compare({"p0": without, "p1": policies["p0"]}, corpus)
    with pytest.raises(CorpusError, match="prediction by p1"):
        compare({"p0": policies["p0"], "p1": policies["p1"][1:]}, corpus)


def test_impossible_options_are_refused():
    corpus, policies = make_case(9)
    with pytest.raises(OptionError, match="at least two"):
        compare({"p0": policies["p0"]}, corpus)
    with pytest.raises(OptionError, match="Did you mean 'turn_accuracy'"):
        compare(policies, corpus, metrics=["turn_acuracy"])


@pytest.mark.parametrize("resamples", [0, 99, 100_001, 100_000_000_000])
def test_a_number_of_resamples_without_sense_is_refused(resamples):
    corpus, policies = make_case(9)
    with pytest.raises(OptionError, match=f"a number from 100 to 100,000, found {resamples:,}"):
        compare(policies, corpus, resamples=resamples)


class Parrot:
    """A policy of somebody's own: it predicts the same everywhere."""

    def __init__(self, name, action):
        self.name, self.actions, self._action = name, ActionSpace([action]), frozenset([action])

    def predict(self, dialogues):
        for dialogue in dialogues:
            for number in range(len(dialogue)):
                yield Prediction(dialogue=dialogue.id, turn=number, actions=self._action)


def test_predictors_are_compared_under_their_own_names():
    corpus, _ = make_case(10, singles=True)
    result = compare([Parrot("polly", "ask"), Parrot("jack", "bye"), Parrot("polly", "ask")], corpus, resamples=100)
    assert [row.name for row in result.policies] == ["polly", "jack", "polly (2)"]
    assert result.policies[0].turn_accuracy == result.policies[2].turn_accuracy > 0
    assert result.corpus == corpus.name
    # The policies know two actions, and the corpus has four: averages run over gold and these.
    scored = judged(Parrot("", "ask").predict(corpus), corpus, known_actions=["ask", "bye"], resamples=0)
    assert result.policies[0].macro_f1 == pytest.approx(scored["macro_f1"])
    with pytest.raises(OptionError, match="expected predictors with a name, found list"):
        compare([[], []], corpus)


def test_a_part_of_the_corpus_is_compared_on():
    corpus, _ = make_case(11, n=40, singles=True)
    part = corpus.split("test")
    result = compare([Parrot("a", "ask"), Parrot("b", "bye")], corpus, split="test", resamples=100)
    assert (result.split, result.dialogues) == ("test", len(part))
    assert result.dialogues < 40


def test_runs_are_named_with_date_and_version_and_known_dialogues_are_said_first(trained, small, tmp_path):
    trained.save(tmp_path / "desk")
    run = Policy.load(tmp_path / "desk")
    majority = load_baselines(run.run, run.actions)["majority"]
    result = compare({"desk": run, "majority": majority}, small, split="train", resamples=100)
    about = result.policies[0].run
    assert (about.name, about.created, about.id) == ("desk", run.info["created"], run.id)
    assert about.package_version == run.info["package_version"]
    n = len(small.split("train"))
    known = sum(dialogue.fingerprint() in run.fingerprints["train"] for dialogue in small.split("train"))
    assert result.warnings[0].startswith(f"The run desk was trained on {known} of these {n} dialogues")
    document = result.to_json()
    assert document["policies"][0]["run"]["created"] == run.info["created"]
    assert "run" not in document["policies"][1]
    assert document["warnings"] == result.warnings
    held_out = compare({"desk": run, "majority": majority}, small, split="test", resamples=100)
    assert held_out.warnings == []
    # What was just trained is compared as the run that it saves.
    unsaved = compare({"unsaved": trained, "majority": majority}, small, split="test", resamples=100)
    assert unsaved.policies[0].turn_accuracy == held_out.policies[0].turn_accuracy
    assert unsaved.policies[0].run.id == run.id


def test_the_json_object_has_the_documented_keys_and_the_frame_a_row_for_each_difference():
    corpus, policies = make_case(12, skills=(0.8, 0.5, 0.3))
    result = compare(policies, corpus, metrics=["micro_f1", "dialogue_accuracy"], resamples=100)
    document = result.to_json()
    assert set(document) == {
        "corpus", "split", "dialogues", "turns", "metrics", "resamples", "warnings", "policies", "pairs", "mcnemar",
        "disagreements",
    }  # fmt: skip
    assert set(document["policies"][0]) == {"name", "ci95", *SCALARS}
    assert set(document["pairs"][0]) == {
        "a", "b", "metric", "difference", "ci95", "p_bootstrap", "p_randomisation", "p_holm", "p_mcnemar", "effect_size",
        "dialogues_better", "dialogues_worse", "dialogues_equal",
    }  # fmt: skip
    assert set(document["mcnemar"][0]) == {"a", "b", "both", "neither", "a_only", "b_only", "p", "p_holm"}
    assert isinstance(document["pairs"][0]["ci95"], list)
    frame = result.to_frame()
    assert frame.shape[0] == 3 * 2
    row = document["pairs"][1]
    assert frame.loc["p0", "p1", "dialogue_accuracy"]["difference"] == row["difference"]
    assert frame.loc["p0", "p1", "dialogue_accuracy"][["lower", "upper"]].tolist() == row["ci95"]
    assert row["p_mcnemar"] == document["mcnemar"][0]["p"]
    assert "<table" in result._repr_html_()
    assert repr(result).startswith("<Comparison of p0, p1, p2 on ")
