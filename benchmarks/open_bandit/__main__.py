"""The command: one file of logged data, two packages, one table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.ope.estimators import ESTIMATORS
from dialog_policy.ope.evidence import Evidence, estimate
from dialog_policy.ope.shrinkage import DRos, SwitchDR

__all__ = ["Logs", "draw_logs", "lambdas_of", "our_estimates", "table"]

_ACTIONS, _FEATURES = 5, 3
# Of the weights, as `SwitchDR` looks for its threshold among them; of λ, as `DRos` does.
_QUANTILES = (0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2)
_GRID = (1000.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)


class Logs(NamedTuple):
    """Logged bandit data: m logs of n decisions among k actions.

    Attributes
    ----------
    action, reward, pscore
        Shape (m, n): what was done, the reward of 0 or 1, the logging policy's probability of the action.
    target, q
        Shape (m, n, k): the target policy's probabilities, and the rewards that a model expects.
    value
        The target policy's true value.
    """

    action: Any
    reward: Floats
    pscore: Floats
    target: Floats
    q: Floats
    value: float


def draw_logs(n_logs: int, n_decisions: int, seed: int = 0) -> Logs:
    """Draw logs in a world whose rewards are not linear in the context, while the model of them is: ridge regression an action."""
    rng = np.random.default_rng(seed)
    rewarding, logging, wanted = (rng.normal(size=(_FEATURES, _ACTIONS)) for _ in range(3))

    def expected(x: Floats) -> Floats:
        chances: Floats = 1 / (1 + np.exp(-(x @ rewarding + np.square(x).sum(axis=-1, keepdims=True) / 2 - 1)))
        return chances

    def policy(x: Floats, weights: Floats, sharpness: float) -> Floats:
        shares: Floats = np.exp(sharpness * (x @ weights))
        shares /= shares.sum(axis=-1, keepdims=True)
        return shares

    x = rng.normal(size=(n_logs, n_decisions, _FEATURES))
    shares = policy(x, logging, 0.7)
    action = (shares.cumsum(axis=-1) < rng.random((n_logs, n_decisions, 1))).sum(axis=-1).clip(0, _ACTIONS - 1)
    taken = action[:, :, None]
    reward = (rng.random(action.shape) < np.take_along_axis(expected(x), taken, axis=-1)[:, :, 0]).astype(np.float64)
    many = rng.normal(size=(1_000_000, _FEATURES))
    value = float((policy(many, wanted, 1.0) * expected(many)).sum(axis=-1).mean())
    q = np.stack([_ridge(*log) for log in zip(x, action, reward, strict=True)])
    pscore = np.take_along_axis(shares, taken, axis=-1)[:, :, 0]
    return Logs(action, reward, pscore, policy(x, wanted, 1.0), q, value)


def _ridge(x: Floats, action: Any, reward: Floats) -> Floats:
    inputs = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    columns = []
    for number in range(_ACTIONS):
        own = inputs[action == number]
        gram = own.T @ own + np.eye(inputs.shape[1])
        columns.append(inputs @ np.linalg.solve(gram, own.T @ reward[action == number]))
    return np.stack(columns, axis=1)


def _evidence(logs: Logs, number: int) -> Evidence:
    taken = logs.action[number][:, None]
    target, q = logs.target[number], logs.q[number]
    weights = np.take_along_axis(target, taken, axis=1) / logs.pscore[number][:, None]
    of_taken = np.take_along_axis(q, taken, axis=1)
    return Evidence(weights, logs.reward[number][:, None], of_taken, (target * q).sum(axis=1, keepdims=True))


def lambdas_of(logs: Logs) -> dict[str, list[list[float | None]]]:
    """Return the λ to choose from by estimator and log, the greatest first; None is ∞."""
    weights = (_evidence(logs, number).weights for number in range(len(logs.reward)))
    return {
        "switch_dr": [[None, *np.quantile(own, _QUANTILES).tolist(), 0.0] for own in weights],
        "dros": [[None, *_GRID, 0.0]] * len(logs.reward),
    }


def our_estimates(logs: Logs) -> dict[str, list[float]]:
    """Return the estimates of this package by estimator, in the order of the logs."""
    fixed = {name: ESTIMATORS[name] for name in ("dm", "ips", "snips", "dr", "sndr")}
    fixed |= {"switch_dr, λ = 2": SwitchDR([2.0]), "dros, λ = 10": DRos([10.0])}
    lambdas = lambdas_of(logs)
    estimates: dict[str, list[float]] = {}
    for number in range(len(logs.reward)):
        evidence = _evidence(logs, number)
        own = {key: [np.inf if value is None else value for value in lambdas[key][number]] for key in lambdas}
        tuned = {
            "switch_dr, λ by SLOPE": SwitchDR(own["switch_dr"]),
            "dros, λ by SLOPE": DRos(own["dros"]),
        }
        for name, estimator in (fixed | tuned).items():
            estimates.setdefault(name, []).append(estimate(estimator, evidence))
    return estimates


def table(ours: Mapping[str, list[float]], theirs: Mapping[str, list[float]], value: float) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| estimator | first log: here | Open Bandit Pipeline | greatest difference | RMSE here | RMSE theirs |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, own in ours.items():
        both = np.array([own, theirs[name]])
        errors = np.sqrt(np.square(both - value).mean(axis=1))
        difference = np.abs(both[0] - both[1]).max()
        yield (
            f"| {name} | {both[0, 0]:.6f} | {both[1, 0]:.6f} | {difference:.1e} | {errors[0]:.5f} | {errors[1]:.5f} |"
        )


def main() -> int:
    """Draw logs, let both packages estimate, print the table."""
    python = Path(os.environ.get("OBP_PYTHON", ".venv-obp/bin/python"))
    if not python.exists():
        print(
            f"There is no environment with Open Bandit Pipeline at {python}. It needs Python 3.9: python3.9 -m venv .venv-obp, "
            "then .venv-obp/bin/pip install 'obp==0.5.7' 'matplotlib<3.8'; or name its Python in OBP_PYTHON.",
            file=sys.stderr,
        )
        return 2
    n_logs, n_decisions = 200, 300
    logs = draw_logs(n_logs, n_decisions)
    with tempfile.TemporaryDirectory() as folder:
        data, lambdas = Path(folder) / "logs.npz", Path(folder) / "lambdas.json"
        np.savez(data, **{name: column for name, column in logs._asdict().items() if name != "value"})
        lambdas.write_text(json.dumps(lambdas_of(logs)), encoding="utf-8")
        program = Path(__file__).with_name("theirs.py")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(python), str(program), str(data), str(lambdas)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=environment,
        )
    print(f"{n_logs} logs of {n_decisions} decisions; the target policy's true value is {logs.value:.4f}.\n")
    for line in table(our_estimates(logs), json.loads(done.stdout), logs.value):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
