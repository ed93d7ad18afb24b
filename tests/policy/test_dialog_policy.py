import hashlib
import json
import random
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from dialog_policy.baselines import load_baselines
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError, RunError
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.network.turns import predict_turns
from dialog_policy.policy import cross_validate, hold_out, make_config
from dialog_policy.policy.callbacks import check_callbacks
from dialog_policy.runtime import Policy
from dialog_policy.runtime.history import kept_accuracy
from tests.conftest import QUICK

# Two batches an epoch, and a validation part that is used: what does not depend on how much there is to learn.
FEW = {**QUICK, "smallest_dev": 1}


@pytest.fixture(scope="module")
def few(small):
    chosen = [d for part, n in (("train", 10), ("dev", 6), ("test", 6)) for d in list(small.split(part))[:n]]
    return small.with_dialogues(chosen)


def digests(run):
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and "logs" not in path.parts and path.name != "run.json"
    }


def test_predictions_do_not_depend_on_the_company(trained, small):
    test = small.split("test")
    together = list(trained.predict(test))
    alone = [p for dialogue in test for p in trained.predict([dialogue])]
    assert [(p.dialogue, p.turn, p.actions) for p in together] == [(p.dialogue, p.turn, p.actions) for p in alone]
    np.testing.assert_allclose([p.confidence for p in together], [p.confidence for p in alone], atol=1e-5)


def test_nothing_of_the_present_system_side_or_later_changes_a_prediction(trained, small):
    for dialogue in list(small.split("test"))[:4]:
        t = len(dialogue) // 2
        own = dialogue.turns[t]
        changed = Turn(user=own.user, context=own.context, actions=frozenset(["bye"]), system="something else")
        other = Dialogue(id=dialogue.id, turns=(*dialogue.turns[:t], changed))
        one, two = (
            [(p.turn, p.actions, p.probabilities) for p in trained.predict([d]) if p.turn <= t]
            for d in (dialogue, other)
        )
        assert [p[:2] for p in one] == [p[:2] for p in two if (p[0] in [q[0] for q in one])]


def test_a_longer_dialogue_than_any_in_training_works(trained, small):
    turns = [turn for dialogue in small for turn in dialogue.turns][:200]
    long = Dialogue(id="long", turns=tuple(turns))
    assert len(list(trained.predict([long]))) == long.n_targets


def test_free_running_follows_the_policys_own_past(trained, small):
    test = small.split("test")
    forced, free = (list(trained.predict(test, free_running=mode)) for mode in (False, True))
    assert [(p.dialogue, p.turn) for p in forced] == [(p.dialogue, p.turn) for p in free]
    for dialogue in test:
        one, two = ([p for p in predictions if p.dialogue == dialogue.id] for predictions in (forced, free))
        for p, q in zip(one, two, strict=True):
            assert p.actions == q.actions
            replied = trained.runtime_.engine.replies
            gold = dialogue.turns[p.turn]
            if p.actions != gold.actions or replied.templates.get(gold.actions, ("",))[0] != gold.system:
                break
    changed = [Dialogue(id=d.id, turns=tuple(_other_system_side(t) for t in d.turns)) for d in test]
    again = trained.predict(changed, free_running=True)
    assert [p.actions for p in again] == [p.actions for p in free], "the logged system side must not be looked at"


def _other_system_side(turn):
    if not turn.is_target:
        return turn
    return Turn(user=turn.user, context=turn.context, actions=frozenset(["bye"]), system="other")


def random_numbers():
    return random.random(), np.random.random()  # noqa: NPY002 (those that Keras seeds)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(trained, small, tmp_path):
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = [random_numbers() for _ in range(3)]
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    drawn = [random_numbers()]
    for name, seed in (("a", 0), ("b", 1)):
        DialogPolicy(**QUICK, seed=seed).fit(small.split("train"), dev=small.split("dev"), out=tmp_path / name)
        drawn.append(random_numbers())
    assert drawn == expected  # a training leaves the caller's generators as they are
    trained.save(tmp_path / "saved")
    a, b, saved = (digests(tmp_path / name) for name in ("a", "b", "saved"))
    assert {name: digest for name, digest in a.items() if name != "training.safetensors"} == saved
    assert a["model.onnx"] != b["model.onnx"]
    assert trained.seed == 0


class InterruptionError(Exception):
    pass


@pytest.mark.parametrize("averaging", [0.0, 0.3])
def test_a_resumed_training_equals_an_uninterrupted_one(few, tmp_path, averaging):
    import keras

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptionError

    settings = {**FEW, "epochs": 4, "averaging": averaging}
    train, dev = few.split("train"), few.split("dev")
    whole = DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "whole")
    with pytest.raises(InterruptionError):
        DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "cut", callbacks=[Stop()])
    assert not (tmp_path / "cut").exists()
    resumed = DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "cut", resume=True)
    assert resumed.history_ == whole.history_
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "cut"}


def test_a_finished_run_can_be_trained_further_by_the_same_dialogues_and_settings(few, tmp_path):
    train, run = few.split("train"), tmp_path / "run"
    with pytest.raises(RunError, match="no training"):
        DialogPolicy(**QUICK).fit(train, out=run, resume=True)
    DialogPolicy(**QUICK).fit(train, None, out=run)
    with pytest.raises(RunError, match="hidden"):
        DialogPolicy(**{**QUICK, "hidden": 13}).fit(train, None, out=run, resume=True)
    with pytest.raises(RunError, match="saw other dialogues"):
        DialogPolicy(**QUICK).fit(few.split("dev"), None, out=run, resume=True)
    with pytest.raises(RunError, match="was validated on other dialogues"):
        DialogPolicy(**{**QUICK, "smallest_dev": 1}).fit(train, dev=few.split("dev"), out=run, resume=True)
    longer = DialogPolicy(**{**QUICK, "epochs": 5}).fit(train, None, out=run, resume=True)
    assert [row["epoch"] for row in longer.history_] == [1, 2, 3, 4, 5]


def test_the_best_epoch_is_kept(small):
    policy = DialogPolicy(**{**QUICK, "epochs": 4, "smallest_dev": 1}).fit(small.split("train"), dev=small.split("dev"))
    best = max(policy.history_, key=lambda row: row["dev_log_likelihood"])
    assert kept_accuracy(policy.history_) == best["dev_turn_accuracy"]
    assert policy.score(small.split("dev")) == pytest.approx(best["dev_turn_accuracy"])


def test_a_fallback_precision_that_cannot_be_had_is_warned_of(small):
    train, dev = small.split("train")[:9], small.split("dev")
    settings = {**QUICK, "epochs": 1, "smallest_dev": 1}
    with pytest.warns(
        CorpusWarning, match=r"fallback_precision=0\.9 had no effect, .* Validation: none \(as requested\)"
    ):
        policy = DialogPolicy(**settings, fallback_precision=0.9).fit(train, dev=None)
    assert policy.runtime_.info["fallback"] is None
    with pytest.warns(
        CorpusWarning, match=r"fallback_precision=0\.999 is not reached on the validation part: .* are right"
    ):
        policy = DialogPolicy(**settings, fallback_precision=0.999).fit(train, dev=dev)
    assert policy.runtime_.info["fallback"]["precision"] < 0.999


def test_a_dev_part_is_used_in_every_epoch(trained):
    assert all("dev_turn_accuracy" in row for row in trained.history_)


def test_the_inner_tenth_is_disjoint_and_stable(desk):
    rest, held = hold_out(desk.split("train"))
    ids = [{d.id for d in part} for part in (rest, held)]
    assert not ids[0] & ids[1]
    assert 0.07 < len(held) / 960 < 0.13
    assert {d.id for d in hold_out(desk.split("train"))[1]} == ids[1]


def test_single_action_corpora_get_softmax_and_head_overrides():
    corpus = Corpus(
        Dialogue(
            id=str(i), turns=(Turn(user="a b", actions=frozenset("x")), Turn(user="c", actions=frozenset("yz"[i % 2])))
        )
        for i in range(8)
    )
    assert DialogPolicy(**QUICK).fit(corpus).runtime_.engine.decoder.single_action
    assert not DialogPolicy(**QUICK, head="sigmoid").fit(corpus).runtime_.engine.decoder.single_action
    several = corpus.with_dialogues([*corpus, Dialogue(id="s", turns=(Turn(user="", actions=frozenset("xy")),))])
    assert not DialogPolicy(**QUICK).fit(several).runtime_.engine.decoder.single_action
    with pytest.raises(CorpusError, match="softmax"):
        DialogPolicy(**QUICK, head="softmax").fit(several)


@pytest.mark.parametrize(
    "settings",
    [
        {"class_weight": "balanced"},
        {"decoding": "independent"},
        {"hidden": [8, 6], "batches": "window", "window": 4},
        {"batch_size": 1},
        {"batches": "exact", "weighting": "dialogue"},
        {"batches": "pad"},
        {"batches": "single"},
        {"max_lengths": 3},
    ],
)
def test_other_settings_train_and_predict(few, settings):
    policy = DialogPolicy(**{**QUICK, "epochs": 1, **settings}).fit(few.split("train"))
    assert 0 <= policy.score(few.split("test")) <= 1
    assert np.isfinite(policy.history_[-1]["loss"])
    assert "dev_turn_accuracy" not in policy.history_[0], "a tenth of 10 dialogues is too small to stop by"


def test_settings_are_checked(small):
    with pytest.raises(OptionError, match="Did you mean 'hidden'"):
        DialogPolicy(hiden=3)
    with pytest.raises(OptionError, match="before it knows the next turns"):
        DialogPolicy(bidirectional=True)
    with pytest.raises(OptionError, match="dropout"):
        DialogPolicy(dropout=1.5).fit(small)
    with pytest.raises(OptionError, match="lda"):
        DialogPolicy(user=[{"kind": "lda"}]).fit(small)
    assert make_config({"epochs": 7}, make_config({"hidden": 5})).hidden == 5


def test_an_untrained_policy_and_a_corpus_without_actions(small):
    with pytest.raises(RunError, match="fit"):
        DialogPolicy().predict(small)
    with pytest.raises(CorpusError, match="nothing to learn"):
        DialogPolicy().fit(Corpus([Dialogue(id="d", turns=(Turn(user="a"),))]))


def test_a_run_says_what_is_in_it(trained, small, tmp_path):
    trained.save(tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["format_version"] == 4
    assert manifest["corpus"]["train"]["dialogues"] == 24
    assert set(manifest["files"]) == {p.name for p in (tmp_path / "run").iterdir()} - {"run.json"}
    loaded = Policy.load(tmp_path / "run")
    for free in (False, True):
        both = (list(policy.predict(small.split("test"), free_running=free)) for policy in (loaded, trained))
        assert next(both) == next(both)
    assert loaded.id == trained.runtime_.id
    mine, theirs = (load_baselines(p.run, p.actions) for p in (trained.runtime_, loaded))
    assert list(mine)[-2:] == ["logreg_context", "logreg_dialogue"]
    for name, baseline in theirs.items():
        assert list(baseline.predict(small)) == list(mine[name].predict(small))


def test_a_damaged_run_is_refused(trained, tmp_path):
    run = tmp_path / "run"
    trained.save(run)
    with pytest.raises(RunError, match="no run at"):
        Policy.load(tmp_path / "other")
    original = (run / "decoder.json").read_bytes()
    (run / "decoder.json").write_bytes(original + b" ")
    with pytest.raises(RunError, match=r"decoder\.json was changed"):
        Policy.load(run)
    (run / "decoder.json").unlink()
    with pytest.raises(RunError, match=r"no file decoder\.json"):
        Policy.load(run)
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "format_version": 99}))
    with pytest.raises(RunError, match="version 99"):
        Policy.load(run)
    (run / "run.json").write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        Policy.load(run)


def test_a_run_takes_the_place_of_a_run_and_of_nothing_else(trained, tmp_path):
    trained.save(tmp_path / "run")
    trained.save(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="is not a run"):
        trained.save(tmp_path / "mine")
    assert {p.name for p in tmp_path.iterdir()} == {"run", "mine"}
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_cross_validation_tests_every_dialogue_once(small, trained):
    part = small.split("train")
    result = cross_validate(DialogPolicy(**{**QUICK, "epochs": 1}), part, 3, mistakes=True, resamples=50)
    assert result.dialogues == sum(d.n_targets > 0 for d in part)
    assert result.turns == part.n_targets
    assert result.folds == 3
    assert result.mode == "teacher-forced"
    assert list(result.baselines) == list(load_baselines(trained.runtime_.run, trained.actions_))
    assert result.baselines["majority"].ci95
    assert result.mistakes.worst_dialogues[0].turns[0].probabilities
    assert sum(row.turns for row in result.mistakes.action_sets) == part.n_targets
    assert result.warnings == []
    with pytest.raises(CorpusError, match="fold"):
        cross_validate(make_config(QUICK), part, 999)
    for folds in (0, 1, 2.5):
        with pytest.raises(OptionError, match=f"folds: expected a whole number from 2, found {folds}"):
            cross_validate(make_config(QUICK), part, folds)


def test_the_summary_shows_what_is_computed(trained, few, tmp_path):
    stacked = DialogPolicy(**{**QUICK, "hidden": [8, 6], "epochs": 1}).fit(few.split("train"), dev=None)
    for policy in (trained, stacked):
        text = policy.summary()
        weights = [int(number.replace(",", "")) for number in re.findall(r"= ([\d,]+) weights", text)]
        products = re.findall(r": (\(.+\).*) = [\d,]+ weights", text)  # "(399 + 12 + 1) × 4 × 12"
        assert [eval(product.replace("×", "*").replace(",", "")) for product in products] == weights
        assert sum(weights) == policy.network_.count_params()
        assert f"{policy.network_.count_params():,} weights in all" in text
        units = policy.config.layers[-1]
        assert f"{policy.network_.input_shape[-1]} + {units}): the turn's own features beside the LSTM's output" in text
    trained.save(tmp_path / "run")
    assert DialogPolicy.load(tmp_path / "run").summary() == trained.summary()


def test_the_network_is_of_keras_own_layers_also_of_a_loaded_run(trained, small, tmp_path):
    trained.save(tmp_path / "run")
    loaded = DialogPolicy.load(tmp_path / "run")
    loaded.network_.save(tmp_path / "network.keras")
    network = keras.models.load_model(tmp_path / "network.keras")
    assert {type(layer).__module__.split(".")[0] for layer in network.layers} == {"keras"}
    assert loaded.network_ is loaded.network_
    assert not hasattr(DialogPolicy(), "network_")
    engine = loaded.runtime_.engine
    encoded = encode_dialogues(small.split("test"), engine.encoder)
    graph = [
        engine.onnx_network.run(x, engine.onnx_network.start(1)).logits[0]
        for x in (encoded.features(encoded.padded_turns([number])) for number in range(len(encoded)))
    ]
    expected = 1 / (1 + np.exp(-np.concatenate(graph)))
    for each in (network, trained.network_):
        np.testing.assert_allclose(predict_turns(each, encoded), expected, atol=1e-6)
    again = DialogPolicy(**{**QUICK, "epochs": 1}).fit(small.split("test")[:9], dev=None)
    before = again.network_
    assert again.fit(small.split("test")[:5]).network_ is not before


@pytest.mark.parametrize("module", ["dialog_policy", "dialog_policy.runtime", "dialog_policy.cli"])
def test_importing_is_light(module):
    heavy = {"tensorflow", "keras", "gensim", "sklearn", "pandas", "scipy", "jax", "torch"}
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_checkpoint_of_every_epoch_follows_nothing(tmp_path):
    every = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    assert check_callbacks(every, validated=False) == [every]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dev": "tset"},
            r"dev: expected a part of the corpus \(auto, inner, none, .*found 'tset'\. Did you mean 'test'",
        ),
        ({"callbacks": [3]}, r"callbacks: expected keras\.callbacks\.Callback objects, found 3"),
        ({"callbacks": 5}, "callbacks: expected .*, found 5"),
        (
            {"callbacks": keras.callbacks.EarlyStopping(monitor="val_loss")},
            "callbacks: EarlyStopping follows 'val_loss', .* logs loss; of the validation part, dev_turn_accuracy and .* more is better",
        ),
        ({"callbacks": "EarlyStopping"}, "callbacks: expected .*, found 'EarlyStopping'"),
        ({"callbacks": keras.callbacks.EarlyStopping}, r"found the class EarlyStopping\. Write EarlyStopping\(…\)"),
        (
            {"callbacks": keras.callbacks.ReduceLROnPlateau("loss")},
            "ReduceLROnPlateau sets the learning rate, which follows a cosine",
        ),
        ({"callbacks": keras.callbacks.LearningRateScheduler(float)}, "LearningRateScheduler sets the learning rate"),
        ({"callbacks": keras.callbacks.BackupAndRestore("x")}, r"BackupAndRestore restores .* resume=True after"),
        (
            {"callbacks": keras.callbacks.EarlyStopping("loss", restore_best_weights=True)},
            r"EarlyStopping\(restore_best_weights=True\) would have no effect",
        ),
        (
            {"callbacks": keras.callbacks.EarlyStopping(monitor="dev_turn_accuracy")},
            "follows dev_turn_accuracy, of which more is better: expected mode=\"max\", found 'auto'",
        ),
        (
            {"callbacks": [keras.callbacks.EarlyStopping(monitor="dev_log_likelihood")], "dev": None},
            "follows 'dev_log_likelihood', .* logs loss; without a validation part",
        ),
    ],
)
def test_arguments_of_fit_are_checked(small, arguments, message):
    with pytest.raises(OptionError, match=message):
        DialogPolicy(**QUICK).fit(small, **arguments)
