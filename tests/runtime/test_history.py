"""Which epoch's accuracy a training's history speaks of."""

import pytest

from dialog_policy.runtime.history import kept_accuracy


@pytest.mark.parametrize(
    ("rows", "accuracy"),
    [
        ([(0.5, -2.0), (0.7, -1.0), (0.8, -1.5)], 0.7),
        ([(0.5, -1.0), (0.6, -1.0)], 0.6),  # of equally good ones the last
        ([(0.5,), (0.8,), (0.7,)], 0.8),  # an earlier version's
        ([(), ()], None),
        ([], None),
    ],
)
def test_the_accuracy_is_that_of_the_weights_that_were_kept(rows, accuracy):
    names = "dev_turn_accuracy", "dev_log_likelihood"
    history = [{"epoch": 1.0, "loss": 1.0, **dict(zip(names, row, strict=False))} for row in rows]
    assert kept_accuracy(history) == accuracy
