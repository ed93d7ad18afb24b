"""Features and targets that somebody else computed, checked: what a network cannot learn from is refused with its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.errors import OptionError
from dialog_policy.text.table import FloatArray

__all__ = ["checked_arrays"]

_BITS = (
    "Each turn has a bit for each action: ActionSpace.transform makes them of sets of names, numpy.eye(n_actions)[numbers] of the "
    "numbers of classes."
)


def checked_arrays(
    features: Sequence[npt.ArrayLike], targets: Sequence[npt.ArrayLike], is_target: Sequence[npt.ArrayLike] | None
) -> tuple[list[FloatArray], list[FloatArray], list[npt.NDArray[np.bool_]]]:
    """Return features, targets and which turns are to be predicted, one array of each a dialogue.

    Parameters and errors are those of :meth:`dialog_policy.features.encoded.EncodedDialogues.from_arrays`.
    """
    xs, ys = _float_arrays("features", features), _float_arrays("targets", targets)
    for number, y in enumerate(ys):
        if ((y < 0) | (y > 1)).any():
            turn, column = np.argwhere((y < 0) | (y > 1))[0].tolist()
            raise OptionError(
                f"expected targets from 0 to 1, found {y[turn, column]:g} in dialogue {number}, turn {turn}, column {column}. {_BITS}"
            )
    if is_target is None:
        goals = [np.ones(len(x), dtype=np.bool_) for x in xs]
    else:
        goals = [_booleans(number, np.asarray(which)) for number, which in enumerate(is_target)]
    sizes = [[len(array) for array in arrays] for arrays in (xs, ys, goals)]
    if not xs or not sizes[0] == sizes[1] == sizes[2]:
        raise OptionError("expected features and targets for the same dialogues, and one row of each a turn.")
    return xs, ys, goals


def _float_arrays(name: str, arrays: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    """Return arrays of shape (turns, n), float32, n the same throughout."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        converted = [np.asarray(array, dtype=np.float32) for array in arrays]
    for number, array in enumerate(converted):
        if name == "targets" and array.ndim == 1:
            raise OptionError(
                f"expected targets of shape (turns, n_actions), found {array.shape} in dialogue {number}. {_BITS}"
            )
        if array.ndim != 2 or array.shape[1] != converted[0].shape[-1]:
            raise OptionError(
                f"expected {name} of shape (turns, n), n the same in all dialogues; found {array.shape} in dialogue {number}, "
                f"{converted[0].shape} in dialogue 0."
            )
        if not np.isfinite(array).all():
            turn, column = np.argwhere(~np.isfinite(array))[0].tolist()
            raise OptionError(
                f"expected finite numbers as {name}, found {array[turn, column]} in dialogue {number}, turn {turn}, column "
                f"{column}. A single such number prevents a network from learning."
            )
    return converted


def _booleans(number: int, which: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return whether each turn of a dialogue is to be predicted."""
    if which.ndim != 1 or not ((which == 0) | (which == 1)).all():
        found = "other values" if which.ndim == 1 else f"the shape {which.shape}"
        raise OptionError(
            "expected is_target as an array of shape (turns,) for each dialogue, False and True or 0 and 1; "
            f"found {found} in dialogue {number}."
        )
    return which.astype(np.bool_)
