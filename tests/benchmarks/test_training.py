"""Speeds are compared of contenders that have learnt the same."""

import pytest

from benchmarks.training import best_of, not_compared


def measured(**losses):
    """Contenders by their losses; the later ones are faster."""
    return {name: {"loss": loss, "turns_per_s": number + 1.0} for number, (name, loss) in enumerate(losses.items())}


@pytest.mark.parametrize(
    ("loss", "is_compared"), [(0.2, True), (0.2015, True), (0.1985, True), (0.205, False), (0.195, False), (float("nan"), False)]
)  # fmt: skip
def test_a_rival_that_has_learnt_something_else_is_not_compared(loss, is_compared):
    contenders = measured(tensorflow=0.2, jax=0.2, torch_padded=loss)
    assert not_compared(contenders) == ([] if is_compared else ["torch_padded"])


def test_one_rival_that_has_learnt_more_leaves_the_others_compared():
    contenders = measured(tensorflow=0.2, jax=0.2, keras_masking=0.19, batch_of_one=0.1, torch_padded=0.201)
    assert not_compared(contenders) == ["keras_masking"]


def test_a_backend_that_has_learnt_less_is_not_ours_however_fast_it_is():
    assert best_of(measured(tensorflow=0.2, jax=0.25, torch_padded=0.2)) == "tensorflow"
    assert best_of(measured(tensorflow=0.2, jax=0.201)) == "jax"
    assert best_of(measured(tensorflow=float("nan"), jax=0.2, torch_padded=0.2)) == "jax"


def test_ours_is_not_compared_where_the_others_have_learnt_something_else():
    assert not_compared(measured(jax=0.25, torch_packed=0.2, torch_padded=0.2)) == ["jax"]
