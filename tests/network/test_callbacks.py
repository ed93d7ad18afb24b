import keras
import numpy as np
import pytest

from dialog_policy.network.callbacks import EarlyStopping


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
        return measured[-1]

    stopping = EarlyStopping("good", measure, patience=2)
    zeros = np.zeros((1, 1))
    history = model.fit(zeros, zeros, epochs=len(values), verbose=0, callbacks=[stopping])
    assert history.history["good"] == measured == values[:epochs]
    assert stopping.best_weights[0] == best
