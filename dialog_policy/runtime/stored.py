"""What a run stores of its decoder, replies and network, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace
from dialog_policy.text.stored import check_array

__all__ = ["check_weights", "stored_decoder", "stored_replies"]


class _Decoder(msgspec.Struct, forbid_unknown_fields=True):
    single_action: bool
    temperature: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
    # Confidences of earlier versions exceed 1 by a rounding error, and one of them may be the threshold.
    fallback_below: Annotated[float, msgspec.Meta(ge=0, le=1 + 1e-6)]
    sets: list[list[str]]
    counts: list[Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]]
    by_marginals: bool = False
    named_acts: list[str] = []
    only_fillable: bool = False


class StoredReplies(msgspec.Struct):
    templates: list[tuple[list[str], tuple[str, ...]]]
    gazetteer: dict[str, tuple[str | tuple[str, str], ...]]
    with_new_records: list[tuple[list[str], tuple[str, ...]]] = []
    records: dict[str, dict[str, str]] = {}
    next_after: tuple[str, ...] = ()
    at_hand_after: tuple[str, ...] = ()


def stored_decoder(described: Mapping[str, Any], space: ActionSpace) -> dict[str, Any]:
    """Return the options of a decoder of these actions.

    Raises
    ------
    ValueError
        If something is missing, of another type or out of range, or a set is not one of these actions.
    """
    stored = msgspec.convert(described, _Decoder)
    sets = [frozenset(names) for names in stored.sets]
    if len(sets) != len(stored.counts):
        raise ValueError(f"it has {len(sets)} action sets and {len(stored.counts)} counts")
    if len(set(sets)) != len(sets):
        raise ValueError("an action set occurs twice")
    unknown = next((name for names in stored.sets for name in names if name not in space), None)
    if unknown is not None:
        raise ValueError(f"the run has no action {unknown!r}")
    if stored.single_action and any(len(actions) != 1 for actions in sets):
        raise ValueError("it takes one action a turn, and has a set of none or several")
    return msgspec.structs.asdict(stored) | {"sets": sets}


def stored_replies(described: Mapping[str, Any]) -> StoredReplies:
    """Return what a run stores of its replies; earlier versions stored templates and gazetteer alone.

    Raises
    ------
    ValueError
        If something is missing or of another type, or an action set occurs twice.
    """
    stored = msgspec.convert(described, StoredReplies)
    for templates in (stored.templates, stored.with_new_records):
        if len({frozenset(actions) for actions, _ in templates}) != len(templates):
            raise ValueError("an action set occurs twice")
    return stored


def check_weights(weights: Mapping[str, npt.NDArray[Any]], n_features: int, n_actions: int) -> None:
    """Check the arrays of a network against the widths of its input and output.

    Raises
    ------
    ValueError
        If one is missing, superfluous, of another type or shape, or has a number that no training ends with.
    """
    n_layers = sum(name.endswith(".recurrent_kernel") for name in weights)
    expected: dict[str, tuple[int, ...]] = {}
    below = n_features
    for layer in range(max(1, n_layers)):
        recurrent = weights.get(f"lstm_{layer}.recurrent_kernel", np.zeros(0))
        units = len(recurrent) if recurrent.ndim == 2 else 0
        expected[f"lstm_{layer}.kernel"] = below, 4 * units
        expected[f"lstm_{layer}.recurrent_kernel"] = units, 4 * units
        expected[f"lstm_{layer}.bias"] = (4 * units,)
        below = units
    expected["head.kernel"] = n_features + below, n_actions
    expected["head.bias"] = (n_actions,)
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights or name not in expected:
            raise ValueError(f"expected the arrays {', '.join(sorted(expected))}; found {', '.join(sorted(weights))}")
        check_array(name, weights[name], expected[name])
