import keras
import numpy as np
import pytest

from dialog_policy.errors import RunError
from dialog_policy.network import callbacks
from dialog_policy.network.callbacks import Checkpoint, EarlyStopping, loggers
from dialog_policy.network.divergence import LossWatch


@pytest.mark.parametrize(
    ("values", "best", "epochs"),
    [
        ([0.5, 0.8, 0.8, 0.6, 0.7, 0.9], 3, 4),  # stops two epochs after the first of the best
        ([0.5, 0.8, 0.6, 0.8, 0.9], 4, 4),
        ([0.5, 0.6, 0.7], 3, 3),
        ([0.0, 0.0, 0.0, 0.0], 3, 3),
    ],
)
def test_of_epochs_as_good_as_each_other_the_last_is_kept(values, best, epochs):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    measured = []

    def measure():
        measured.append(values[len(measured)])
        model.set_weights([np.full((1, 1), len(measured))])
        return {"good": measured[-1], "beside": 1.0}

    stopping = EarlyStopping("good", measure, patience=2)
    zeros = np.zeros((1, 1))
    history = model.fit(zeros, zeros, epochs=len(values), verbose=0, callbacks=[stopping])
    assert history.history["good"] == measured == values[:epochs]
    assert history.history["beside"] == [1.0] * epochs
    assert stopping.best_weights[0] == best


@pytest.mark.parametrize(("epochs", "written"), [(3, [1, 2, 3]), (45, [*range(4, 45, 4), 45])])
def test_of_many_epochs_few_leave_a_checkpoint_and_the_last_always(epochs, written, tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = []
    monkeypatch.setattr(callbacks, "write_checkpoint", lambda folder, state: found.append(len(state["history"])))
    checkpoint = Checkpoint(model, model.optimizer, LossWatch(), None, tmp_path, {})
    zeros = np.zeros((1, 1))
    model.fit(zeros, zeros, epochs=epochs, verbose=0, callbacks=[checkpoint])
    assert found == written
    assert len(checkpoint.history) == epochs


def test_the_log_goes_on_after_the_checkpoint(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "training.csv").write_text("epoch,loss\n0,3\n1,2\n2,1\n")
    loggers(tmp_path, 2)
    assert (tmp_path / "logs" / "training.csv").read_text() == "epoch,loss\n0,3\n1,2\n"


def test_a_checkpoint_of_a_version_that_stopped_by_accuracy_is_not_gone_on_with():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    stopping = EarlyStopping("dev_log_likelihood", dict, patience=2)
    checkpoint = Checkpoint(model, model.optimizer, LossWatch(), stopping, None, {})
    before = {"history": [{"epoch": 1, "loss": 1.0, "dev_turn_accuracy": 0.5}], "arrays": {}, "best": 0.5, "wait": 0}
    with pytest.raises(RunError, match="of an earlier version, whose early stopping followed the turn accuracy"):
        checkpoint.restore(before)
