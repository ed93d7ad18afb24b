"""How fast training is: ours on each backend, Keras as people write it, PyTorch, and the limit of the matrix multiply.

Every contender is a process of its own, which trains an epoch when it is told to; they take turns of three, so that a machine
which is slow for a while is slow for all of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.contender import THREADS, contender
from benchmarks.machine import describe_machine, machine
from benchmarks.scaling import describe_scaling, measure_scaling
from benchmarks.training_contenders import ACTIONS, FEATURES, HIDDEN, OURS
from benchmarks.workload import STAR_LENGTHS

__all__ = ["best_of", "describe_training", "measure_training", "not_compared"]

_ROUNDS = 9
# Epochs of one turn: the first after a pause is slower, and no training pauses after each.
_IN_A_ROW = 3
_OURS = OURS
_RIVALS = ("keras_masking", "batch_of_one", "torch_packed", "torch_padded")
_NEEDS = {"jax": "jax", "torch_packed": "torch", "torch_padded": "torch"}
# Speeds are compared of two that have learnt the same in the end, up to this much of the loss: who does less may be faster.
_WITHIN = 1.01
# Multiplications and additions for one real turn: forward and weight gradients of both kernels and the head, gradient through
# recurrence and head; the inputs need none.
FLOP = 2 * (2 * (4 * HIDDEN * (FEATURES + HIDDEN) + HIDDEN * ACTIONS) + 4 * HIDDEN * HIDDEN + HIDDEN * ACTIONS)


def measure_training(lengths: Sequence[int] | None = None, *, rounds: int = _ROUNDS) -> dict[str, Any]:
    """Measure training.

    Parameters
    ----------
    lengths
        Turns of each dialogue; None: the 2,184 dialogues of STAR's published train part.
    rounds
        Epochs a contender.

    Returns
    -------
    dict
        ``ratios`` (our real turns/s on the best backend ÷ those of ``keras_masking``, ``batch_of_one``, ``torch_packed`` and
        ``torch_padded``; ``sgemm``: our GFLOP/s ÷ those of a 1024³ matrix multiplication), ``best``, ``contenders`` (name to
        turns_per_s, low, high, padding, first_epoch_s, first_batch_s, gflop_per_s, rss_mb, loss), ``sgemm_gflop_per_s``,
        ``missing``, ``not_compared`` (contenders whose loss in the end differs from the median by more than 1 %; batches of
        one see a sample in more steps, and may be below); all of it at batch 32, the same under ``batch_128``; ``scaling``:
        :func:`~benchmarks.scaling.measure_scaling`; ``machine``: :func:`~benchmarks.machine.machine`.
    """
    about = machine("keras", "tensorflow", "jax", "torch")
    given = STAR_LENGTHS if lengths is None else tuple(np.bincount(lengths)[1:].tolist())
    result = _measure(given, 32, rounds)
    return {"machine": about, **result, "batch_128": _measure(given, 128, rounds), "scaling": measure_scaling(given)}


def _measure(histogram: Sequence[int], batch_size: int, rounds: int) -> dict[str, Any]:
    names = (*_OURS, *_RIVALS, "sgemm")
    missing = [name for name in names if name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None]
    n_turns = sum(n * count for n, count in enumerate(histogram, start=1))
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(
                contender(
                    "benchmarks.training_contenders",
                    [name, str(batch_size), json.dumps(list(histogram)), str(rounds)],
                    backend="jax" if name == "jax" else "tensorflow",
                )
            )
            for name in names
            if name not in missing
        }
        started = {name: ask() for name, ask in running.items()}
        measured: dict[str, list[float]] = {name: [] for name in running}
        for first in range(0, rounds, _IN_A_ROW):
            for name, ask in running.items():
                measured[name] += [ask()["value"] for _ in range(first, min(first + _IN_A_ROW, rounds))]
        ended = {name: ask() for name, ask in running.items()}
    sgemm = float(np.median(measured.pop("sgemm")))
    contenders = {}
    for name, values in measured.items():
        speed = started[name]["turns"] / np.array(values)
        contenders[name] = {
            "turns_per_s": float(np.median(speed)),
            "low": float(speed.min()),
            "high": float(speed.max()),
            "gflop_per_s": float(np.median(speed)) * FLOP / 1e9,
            "padding": started[name]["padding"],
            "first_batch_s": started[name]["first_batch_s"],
            "first_epoch_s": started[name]["first_epoch_s"],
            "rss_mb": ended[name]["rss_mb"],
            "loss": ended[name]["loss"],
        }
    best = best_of(contenders)
    ours, others = contenders[best], not_compared(contenders)
    compared = [name for name in _RIVALS if name in contenders and name not in others]
    ratios = {name: ours["turns_per_s"] / contenders[name]["turns_per_s"] for name in compared}
    ratios["sgemm"] = ours["gflop_per_s"] / sgemm
    return {
        "ratios": ratios,
        "best": best,
        "not_compared": others,
        "batch_size": batch_size,
        "dialogues": sum(histogram),
        "turns": n_turns,
        "contenders": contenders,
        "sgemm_gflop_per_s": sgemm,
        "missing": missing,
    }


Measured = Mapping[str, Mapping[str, float]]


def best_of(contenders: Measured) -> str:
    """Name the fastest of our backends, of those that have learnt what most contenders have."""
    ours = [name for name in _OURS if name in contenders]
    left_out = not_compared(contenders)
    return max(
        [name for name in ours if name not in left_out] or ours, key=lambda name: contenders[name]["turns_per_s"]
    )


def not_compared(contenders: Measured) -> list[str]:
    """Name those that have learnt less, or more, than most: their loss is more than 1 % from the median.

    Batches of one see a sample in more steps. They do not count for the median, and may learn more.
    """
    median = usual_loss(contenders)
    return [
        name
        for name, measured in contenders.items()
        if not measured["loss"] <= _WITHIN * median or (measured["loss"] < median / _WITHIN and name != "batch_of_one")
    ]


def usual_loss(contenders: Measured) -> float:
    """Return the median of the losses, without that of batches of one; one that is not a number is above all others."""
    losses = [measured["loss"] for name, measured in contenders.items() if name != "batch_of_one"]
    return float(np.median(np.nan_to_num(losses, nan=np.inf)))


_NAMES = {
    "tensorflow": "ours, TensorFlow",
    "tensorflow_jit": "ours, TensorFlow, jit",
    "jax": "ours, JAX",
    "keras_masking": "Keras: padded, Masking, fit",
    "batch_of_one": "Keras: batches of one",
    "torch_packed": "PyTorch, packed",
    "torch_padded": "PyTorch, padded to its batch",
}


def describe_training(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""
    lines = [describe_machine(result["machine"]), ""]
    for part in (result, result["batch_128"]):
        lines += [
            f"{part['dialogues']:,} dialogues, {part['turns']:,} turns, {FEATURES} → {HIDDEN} → {ACTIONS}, "
            f"batches of {part['batch_size']}, {THREADS} threads",
            f"{'real turns/s (lowest to highest)':>60}  padding  GFLOP/s  first batch  first epoch   memory    loss",
        ]
        for name, measured in part["contenders"].items():
            speed = f"{measured['turns_per_s']:,.0f} ({measured['low']:,.0f} to {measured['high']:,.0f})"
            lines.append(
                f"  {_NAMES[name]:28}{speed:>30}{measured['padding']:9.0%}{measured['gflop_per_s']:9.1f}"
                f"{measured['first_batch_s']:11.1f} s{measured['first_epoch_s']:11.1f} s{measured['rss_mb']:6.0f} MB"
                f"{measured['loss']:8.4f}"
            )
        ratios = part["ratios"]
        for name in part["not_compared"]:
            ratio = part["contenders"][name]["loss"] / usual_loss(part["contenders"])
            lines.append(f"  {_NAMES[name]} is not compared: its loss is {ratio:.3f} × the median of all.")
        against = ", ".join(f"{ratios[name]:.2f} × {_NAMES[name]}" for name in _RIVALS if name in ratios)
        lines += [
            f"  {_NAMES[part['best']]} is {against or 'compared with none'},",
            f"  and does {ratios['sgemm']:.0%} of the {part['sgemm_gflop_per_s']:.0f} GFLOP/s of a 1024³ multiplication.",
            "",
        ]
    lines += [describe_scaling(result["scaling"]), ""]
    if result["missing"]:
        packages = ", ".join(sorted({_NEEDS[name] for name in result["missing"]}))
        lines.append(f"Not installed, so not compared: {packages}. scripts/benchmark installs all contenders.")
    return "\n".join(lines).rstrip()
