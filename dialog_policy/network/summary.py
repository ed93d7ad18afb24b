"""A network in words: every layer that has weights, its shape, and how its weights are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["describe_network"]


def describe_network(weights: Mapping[str, Any], layout: Mapping[str, int], *, one_action: bool) -> str:
    """Describe the network as it is computed.

    Parameters
    ----------
    weights
        As :func:`~dialog_policy.network.layers.weights_of` names them.
    layout
        Parts of a turn's features to their widths, in order.
    one_action
        Whether the head is a softmax: exactly one action a turn.

    Returns
    -------
    str
        One line a layer. The weights of the layers add up to the sum on the last line.
    """
    features = sum(layout.values())
    parts = ", ".join(f"{width:,} {name}" for name, width in layout.items() if width)
    lines = [
        f"Input: features (batch, time, {features:,})",
        "  batch: how many dialogues are computed together; any number, so the shape says None.",
        "  time: how many turns these dialogues have; any number, also more than in training, so the shape says None.",
        f"  features: what the policy sees of one turn: {parts}.",
    ]
    width, total = features, 0
    for number in range(sum(name.endswith(".recurrent_kernel") for name in weights)):
        units = weights[f"lstm_{number}.recurrent_kernel"].shape[0]
        count = sum(weights[f"lstm_{number}.{part}"].size for part in ("kernel", "recurrent_kernel", "bias"))
        lines += [
            f"LSTM({units}, return_sequences=True): ({width:,} + {units:,} + 1) × 4 × {units:,} = {count:,} weights",
            f"  (batch, time, {units:,}): at every turn, what this turn and those before it amount to.",
        ]
        width, total = units, total + count
    n_actions = weights["head.bias"].size
    count = weights["head.kernel"].size + n_actions
    seen = features + width
    head = "softmax: exactly one action" if one_action else "sigmoid: any set of actions"
    lines += [
        f"Concatenate: (batch, time, {features:,} + {width:,}): the turn's own features beside the LSTM's output.",
        f"TimeDistributed(Dense({n_actions})): ({seen:,} + 1) × {n_actions:,} = {count:,} weights",
        f"  (batch, time, {n_actions:,}): the same layer at every turn, one number an action ({head}).",
        f"{total + count:,} weights in all.",
    ]
    return "\n".join(lines)
