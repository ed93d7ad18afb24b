"""How long a decision takes: a session against the same network asked through Keras, one core, in one run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contender import CHECKOUT
from benchmarks.machine import describe_machine, machine, spread
from benchmarks.memory import peak_memory_mb
from benchmarks.workload import conversations
from dialog_policy.corpus import Corpus

if TYPE_CHECKING:
    from dialog_policy.runtime import Policy

__all__ = ["describe_serving", "measure_serving"]

# The default encoders (200 + 100 … features), each with its share of 300 features less flags and action bits.
_NARROW: dict[str, Any] = {
    "user": [
        {"kind": "bits", "max_terms": 169},
        {"kind": "lsa", "dim": 34},
        {"kind": "lsa", "unit": "character", "ngrams": [3, 5], "dim": 17},
    ],
    "system": [{"kind": "lsa", "dim": 17}],
    "context": [{"kind": "lsa", "dim": 16}],
}
_DIALOGUES, _ROUNDS, _TOGETHER, _KERAS_TURNS = 400, 5, 256, 60


def measure_serving(corpus: Corpus | None = None) -> dict[str, Any]:
    """Measure serving.

    Parameters
    ----------
    corpus
        Dialogues to train on for a moment and to serve, half each; None: :func:`~benchmarks.workload.conversations`.

    Returns
    -------
    dict
        ``ratios.keras_predict`` and ``ratios.keras_call`` (their median time ÷ ours), ``respond_us_p50, respond_us_p99``,
        ``respond_many_turns_per_s, load_s, rss_mb, network`` (widths), ``keras_predict_us_p50, keras_call_us_p50``; without a
        corpus also ``default_encoder``, the same of ours for the default encoder in its full width. Each figure of ours is the
        median of five rounds; ``spread`` has the least and the greatest. ``compiled``: whether the compiled parts were in use.
        ``machine``: what it was measured on.
    """
    about = machine("onnxruntime", "msgspec", "keras", "tensorflow")
    dialogues = list(corpus) if corpus is not None else list(conversations(_DIALOGUES))
    half = len(dialogues) // 2
    known, new = dialogues[:half], dialogues[half:]
    with tempfile.TemporaryDirectory() as folder, _one_core():
        result = _ours(known, new, {} if corpus is not None else _NARROW, Path(folder) / "narrow")
        keras = _in_child("keras", *map(str, result["network"]), json.dumps([len(dialogue) for dialogue in new]))
        if corpus is None:
            result["default_encoder"] = _ours(known, new, {}, Path(folder) / "full")
    ours = result["respond_us_p50"]
    ratios = {"keras_predict": keras["predict_us_p50"] / ours, "keras_call": keras["call_us_p50"] / ours}
    return {"ratios": ratios, "machine": about, **result, **{f"keras_{name}": value for name, value in keras.items()}}


def _ours(known: list[Any], new: list[Any], encoders: dict[str, Any], run: Path) -> dict[str, Any]:
    from dialog_policy.corpus.write import write_corpus
    from dialog_policy.policy import DialogPolicy

    policy = DialogPolicy(epochs=1, **encoders).fit(Corpus(known), dev=None, out=run)
    write_corpus(new, run.parent / "new.jsonl")
    measured = _in_child("ours", str(run), str(run.parent / "new.jsonl"))
    widths = [policy.runtime_.engine.encoder.dim, *policy.config.layers, len(policy.actions_)]
    return {"network": widths, **measured}


def _in_child(*arguments: str) -> dict[str, Any]:
    """Measure in a process of its own, which has nothing loaded but what it measures."""
    command = [sys.executable, "-m", "benchmarks.serving", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, cwd=CHECKOUT)
    if done.returncode:
        raise RuntimeError(f"the measuring process failed:\n{done.stderr.decode(errors='replace')}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Keep this process and its children on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _time(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _measure_ours(run: str, corpus: str) -> dict[str, Any]:
    start = time.perf_counter()
    from dialog_policy.runtime import Policy

    policy = Policy.load(run)
    load_s = time.perf_counter() - start
    from dialog_policy.corpus.readers import load_corpus
    from dialog_policy.text.table import TermTable

    dialogues = list(load_corpus(corpus))
    rounds = [_round(run, dialogues) for _ in range(_ROUNDS)]
    spreads = {name: spread([one[name] for one in rounds]) for name in rounds[0]}
    return {
        **{name: own["median"] for name, own in spreads.items()},
        "load_s": load_s,
        "rss_mb": peak_memory_mb(),
        "spread": spreads,
        "compiled": policy.engine.network.is_compiled
        and all(
            table.index.is_compiled for table in policy.engine.encoder.tables["user"] if isinstance(table, TermTable)
        ),
    }


def _round(run: str, dialogues: list[Any]) -> dict[str, float]:
    from dialog_policy.runtime import Policy

    start = time.perf_counter()
    policy = Policy.load(run)  # nothing remembered: the users' utterances are new in every round
    load_again_s = time.perf_counter() - start
    new, again = _one_by_one(policy, dialogues), _one_by_one(policy, dialogues)
    return {
        **{f"respond_us_p{q}": float(np.quantile(new, q / 100)) * 1e6 for q in (50, 99)},
        **{f"respond_heard_before_us_p{q}": float(np.quantile(again, q / 100)) * 1e6 for q in (50, 99)},
        "respond_many_turns_per_s": _many(policy, dialogues),
        "respond_many_all_new_turns_per_s": _many(Policy.load(run), dialogues),
        "load_again_s": load_again_s,
    }


def _one_by_one(policy: Policy, dialogues: list[Any]) -> list[float]:
    """Time every turn of conversations that follow each other, in seconds."""
    spent = []
    for dialogue in dialogues:
        session = policy.start()
        spent += [_time(partial(session.respond, turn.user, turn.context)) for turn in dialogue.turns]
    return spent


def _many(policy: Policy, dialogues: list[Any]) -> float:
    """Measure turns a second of many conversations that go on together."""
    n_turns, spent = 0, 0.0
    for start in range(0, len(dialogues), _TOGETHER):
        group = dialogues[start : start + _TOGETHER]
        sessions = [policy.start() for _ in group]
        for position in range(max(map(len, group))):
            pairs = zip(sessions, group, strict=True)
            requests = [(s, d.turns[position].user, d.turns[position].context) for s, d in pairs if len(d) > position]
            spent += _time(partial(policy.respond_many, requests))
            n_turns += len(requests)
    return n_turns / spent


def _measure_keras(n_features: int, hidden: int, n_actions: int, lengths: list[int]) -> dict[str, float]:
    """Time the same network on the history of each turn, features given."""
    from dialog_policy.network.backend import load_keras

    load_keras()
    from dialog_policy.network.layers import build_network

    network = build_network(n_features, n_actions, hidden=(hidden,), dropout=0.0, seed=0)
    histories = [n for length in lengths for n in range(1, length + 1)][:: max(1, sum(lengths) // _KERAS_TURNS)]
    inputs = [np.random.default_rng(n).normal(size=(1, n, n_features)).astype(np.float32) for n in histories]

    def median_us(ask: Callable[[Any], object]) -> float:
        ask(inputs[0])
        ask(inputs[-1])
        return float(np.median([_time(partial(ask, x)) for x in inputs])) * 1e6

    return {
        "predict_us_p50": median_us(lambda x: network.predict(x, verbose=0)),
        "call_us_p50": median_us(lambda x: np.asarray(network(x))),
    }


def describe_serving(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""

    def ours(measured: dict[str, Any]) -> list[str]:
        p50 = measured["spread"]["respond_us_p50"]
        parts = "compiled" if measured["compiled"] else "in Python and NumPy"
        return [
            f"{' → '.join(map(str, measured['network']))}, {parts}",
            f"  respond             {measured['respond_us_p50']:8.0f} µs median, {measured['respond_us_p99']:.0f} µs p99, "
            f"utterances never heard before ({p50['least']:.0f} to {p50['greatest']:.0f} µs in {_ROUNDS} rounds);",
            f"                      {measured['respond_heard_before_us_p50']:8.0f} µs median, "
            f"{measured['respond_heard_before_us_p99']:.0f} µs p99, heard before",
            f"  respond_many        {measured['respond_many_turns_per_s']:8,.0f} turns/s, "
            f"{measured['respond_many_all_new_turns_per_s']:,.0f} where every utterance is new",
            f"  import and load     {measured['load_s']:8.2f} s, load alone {measured['load_again_s'] * 1e3:.0f} ms, "
            f"{measured['rss_mb']:.0f} MB resident at the most",
        ]

    lines = ours(result)
    for name, words in (("predict", "model.predict(x)"), ("call", "model(x)")):
        lines.append(
            f"  Keras {words:17}{result[f'keras_{name}_us_p50']:6,.0f} µs median on the history of the turn: "
            f"{result['ratios'][f'keras_{name}']:,.0f} × ours, its features ready made"
        )
    if "default_encoder" in result:
        lines += ["The default encoder in its full width:", *ours(result["default_encoder"])]
    return "\n".join([*lines, describe_machine(result["machine"])])


if __name__ == "__main__":
    which, *given = sys.argv[1:]
    if which == "ours":
        print(json.dumps(_measure_ours(given[0], given[1])))
    else:
        print(json.dumps(_measure_keras(int(given[0]), int(given[1]), int(given[2]), json.loads(given[3]))))
