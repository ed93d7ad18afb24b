"""The runs that are served, by name; each can be loaded anew while it is in use."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.metric_names import MAIN_METRICS
from dialog_policy.runtime import Policy
from dialog_policy.serving.errors import NotFoundError
from dialog_policy.serving.logs import log
from dialog_policy.serving.schemas import Model

__all__ = ["Run", "Runs", "name_runs", "set_aside"]


class Run:
    """One served run.

    Attributes
    ----------
    name
        Its name for clients.
    path
        Its folder or archive.
    policy
        As loaded last. A request goes on with the one that it began with.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.policy = Policy.load(path)
        self._evaluation = self._read_evaluation()
        self._loading = asyncio.Lock()
        self._next_load: asyncio.Task[None] | None = None

    async def reload(self) -> None:
        """Load the run again; the old policy answers until the new one is loaded, and stays if it cannot be loaded.

        However many ask at once, one load goes on and one waits, which all those share that came after the first had begun.

        Raises
        ------
        RunError
            If the run cannot be loaded.
        """
        if self._next_load is None:
            self._next_load = asyncio.create_task(self._load())
        await asyncio.shield(self._next_load)

    async def _load(self) -> None:
        async with self._loading:
            self._next_load = None
            self.policy = await asyncio.to_thread(Policy.load, self.path)
            self._evaluation = self._read_evaluation()
            set_aside()
        log("reloaded", run=self.name, policy=self.policy.id)

    def _read_evaluation(self) -> dict[str, Any]:
        """Return what ``evaluate --json`` left in the run's folder, if it is about this policy."""
        try:
            evaluation = msgspec.json.decode((self.path / "evaluation.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return evaluation if isinstance(evaluation, dict) and evaluation.get("policy") == self.policy.id else {}

    def describe(self) -> Model:
        """Describe the policy: what it can do, was trained on, and how accurate it is."""
        info, config = self.policy.info, self.policy.info["config"]
        best = max((row["dev_turn_accuracy"] for row in info["history"] if "dev_turn_accuracy" in row), default=None)
        metrics: dict[str, Any] = {} if best is None else {"dev_turn_accuracy": best}
        evaluation = self._evaluation
        if evaluation:
            metrics |= {name: evaluation[name] for name in MAIN_METRICS if name in evaluation}
            metrics["of"] = {name: evaluation.get(name) for name in ("corpus", "split", "dialogues", "turns")}
        return Model(
            name=self.name,
            policy=self.policy.id,
            created=info["created"],
            package_version=info["package_version"],
            actions=list(self.policy.actions.classes_),
            takes_one_action=self.policy.takes_one_action,
            fallback_below=self.policy.fallback_below,
            hidden=config["hidden"] if isinstance(config["hidden"], list) else [config["hidden"]],
            epochs=len(info["history"]),
            corpus=info["corpus"],
            metrics=metrics,
        )


class Runs(Mapping[str, Run]):
    """The served runs; the first is the one that is meant where none is named."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._runs = {name: Run(name, path) for name, path in paths.items()}
        self.default = next(iter(self._runs.values()))

    def __getitem__(self, name: str) -> Run:
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def named(self, name: str | None) -> Run:
        """Return a run by its name, the first without one.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        """
        if name is None:
            return self.default
        if name not in self._runs:
            raise NotFoundError(
                f"no run is called {name!r}; served are {', '.join(self._runs)}.{did_you_mean(name, self._runs)}"
            )
        return self._runs[name]


def set_aside() -> None:
    """Exempt the objects that exist now from the collector of cycles: a policy's tables are many objects, and stay.

    To go through all of them takes tens of milliseconds, a few times a second under load.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def name_runs(arguments: Iterable[str]) -> dict[str, Path]:
    """Read ``PATH`` or ``NAME=PATH`` of each run; a path's last part is its name.

    Raises
    ------
    OptionError
        If two runs have the same name.
    """
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or Path(argument).exists():
            name, path = Path(argument).resolve().name.removesuffix(".zip"), argument
        if name in paths:
            raise OptionError(f"two runs are called {name!r}. Give one another name: {name}-2={path}.")
        paths[name] = Path(path)
    return paths
