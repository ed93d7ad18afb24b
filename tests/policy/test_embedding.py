"""A policy with a trainable embedding: trained, stopped, resumed, stored like any other."""

import numpy as np
import pytest

from dialog_policy import DialogPolicy
from dialog_policy.corpus import ActionSpace
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.runtime import Policy
from dialog_policy.runtime.history import kept_accuracy
from tests.conftest import QUICK
from tests.policy.test_dialog_policy import digests

EMBEDDED = {
    **QUICK,
    "epochs": 3,
    "smallest_dev": 1,
    "averaging": 0.3,
    "user": [{"kind": "embedding", "dim": 6}, {"kind": "bits", "max_terms": 100}],
    "system": [{"kind": "embedding", "dim": 4, "ngrams": [1, 2], "pools": ["sum"], "init": "random"}],
}


class InterruptionError(Exception):
    pass


def test_a_resumed_training_equals_an_uninterrupted_one_and_the_best_epoch_is_served(small, tmp_path):
    import keras

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise InterruptionError

    train, dev, settings = small.split("train")[:10], small.split("dev")[:6], {**EMBEDDED, "smallest_dev": 1}
    whole = DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "whole")
    with pytest.raises(InterruptionError):
        DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "cut", callbacks=[Stop()])
    resumed = DialogPolicy(**settings).fit(train, dev=dev, out=tmp_path / "cut", resume=True)
    assert resumed.history_ == whole.history_
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")

    assert whole.score(dev) == pytest.approx(kept_accuracy(whole.history_))
    loaded = Policy.load(tmp_path / "whole")
    assert list(loaded.predict(dev)) == list(whole.predict(dev))


def test_training_moves_the_vectors_of_words_and_the_one_of_unknown_words(small):
    train = small.split("train")
    policy = DialogPolicy(**{**EMBEDDED, "epochs": 2, "batches": "window", "window": 3}).fit(train, dev=None)
    config = policy.config
    before = fit_turn_encoder(
        train,
        ActionSpace(),
        config.encoders,
        seed=config.seed,
    )
    for part in ("user", "system"):
        old, new = before.tables[part][0], policy.runtime_.engine.encoder.tables[part][0]
        assert old.terms == new.terms
        moved = np.abs(old.vectors - new.vectors).max(axis=1) > 0.001
        assert moved[-1], "since words are dropped"
        assert moved.mean() > 0.9, "all but what only a dialogue's last reply has, which is nobody's past"
