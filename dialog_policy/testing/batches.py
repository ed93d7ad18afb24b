"""What a way to make batches promises: :class:`~dialog_policy.network.batches.DialogueBatches` and what takes its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.testing.check import Check, check, checks_of, same

__all__ = ["batch_checks"]

_Make = Callable[..., Any]
_PROMISES: list[Callable[..., None]] = []
_LENGTHS = ([1], [3, 3, 3, 3, 4, 4, 4, 9, 9, 9, 9, 2, 2, 2], [1, 12, 1, 1], [5] * 7)


def batch_checks(name: str, make_batches: _Make) -> list[Check]:
    """Return the checks of a way to make batches.

    Parameters
    ----------
    name
        Of the strategy.
    make_batches
        ``make_batches(encoded, batch_size, seed=…, epoch=…)`` returns batches as `DialogueBatches` are: a Keras dataset with
        `turns(index)`, `turns_in(index)`, `batch_size` and `on_epoch_end()`.
    """
    return checks_of(name, _PROMISES, make_batches)


def _encoded(lengths: list[int]) -> EncodedDialogues:
    random = np.random.default_rng(0)
    return EncodedDialogues.from_arrays(
        [random.normal(size=(n, 3)) for n in lengths],
        [random.random((n, 2)) < 0.5 for n in lengths],
        [random.random(n) < 0.7 for n in lengths],
    )


def _turns(batches: Any) -> list[Any]:
    return [batches.turns(index).tolist() for index in range(len(batches))]


@check(_PROMISES)
def _every_turn(make_batches: _Make) -> None:
    """Every turn comes once an epoch, and is itself; padding is zero and weighs nothing."""
    for lengths in _LENGTHS:
        encoded = _encoded(lengths)
        batches = make_batches(encoded, 4, seed=5, epoch=1)
        seen: list[int] = []
        for index in range(len(batches)):
            x, y, w = batches[index]
            x = x["features"] if isinstance(x, dict) else x
            turns = batches.turns(index)
            real = turns >= 0
            seen += turns[real].tolist()
            same(len(turns), batches.batch_size, "rows")
            same(batches.turns_in(index), int(real.sum()), "turns of a batch")
            assert real.any(), "a batch of padding only"
            assert np.array_equal(x[real], encoded.features(turns[real])), "features are those of other turns"
            assert np.array_equal(y[real], encoded.targets(turns[real])), "actions are those of other turns"
            assert np.array_equal(w[real], encoded.is_target[turns[real]]), "weights are those of other turns"
            assert not x[~real].any(), "padding has features"
            assert not w[~real].any(), "padding has a weight"
        same(sorted(seen), list(range(sum(lengths))), "turns of an epoch")


@check(_PROMISES)
def _in_order(make_batches: _Make) -> None:
    """In a row, turns follow each other as in their dialogue, padding comes after them."""
    for lengths in _LENGTHS:
        encoded = _encoded(lengths)
        for turns in _turns(make_batches(encoded, 3, seed=2, epoch=0)):
            for row in turns:
                real = [turn for turn in row if turn >= 0]
                same(row[: len(real)], real, "padding before a turn")
                same(real, list(range(real[0], real[0] + len(real))) if real else [], "turns of a row")


@check(_PROMISES)
def _epochs(make_batches: _Make) -> None:
    """Epochs differ, can be had again, and have the same number of batches."""
    encoded = _encoded(_LENGTHS[1])
    batches = make_batches(encoded, 4, seed=1, epoch=0)
    first = _turns(batches)
    batches.on_epoch_end()
    assert _turns(batches) != first, "the second epoch is the first one"
    same(_turns(make_batches(encoded, 4, seed=1, epoch=1)), _turns(batches), "the second epoch, begun with")
    same(_turns(make_batches(encoded, 4, seed=1, epoch=0)), first, "the first epoch again")
    assert _turns(make_batches(encoded, 4, seed=2, epoch=0)) != first, "another seed gives the same batches"
    same({len(make_batches(encoded, 4, seed=1, epoch=epoch)) for epoch in range(6)}, {len(first)}, "numbers of batches")
