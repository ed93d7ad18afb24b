"""The runs that are served, by name; each can be loaded anew while it is in use."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from dialog_policy.errors import DialogPolicyError, OptionError, RunError, did_you_mean
from dialog_policy.metric_names import MAIN_METRICS
from dialog_policy.prediction import Probability
from dialog_policy.runtime import Policy
from dialog_policy.runtime.history import kept_accuracy
from dialog_policy.serving.errors import NotFoundError
from dialog_policy.serving.logs import log
from dialog_policy.serving.schemas import Model

__all__ = ["Run", "Runs", "name_runs", "set_aside"]


_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _Evaluation(msgspec.Struct):
    """What is shown of an evaluation."""

    policy: str
    corpus: str | None = None
    split: str | None = None
    dialogues: _Count | None = None
    turns: _Count | None = None
    turn_accuracy: Probability | None = None
    dialogue_accuracy: Probability | None = None
    micro_f1: Probability | None = None
    macro_f1: Probability | None = None
    weighted_f1: Probability | None = None


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
    problem
        Why the run could not be loaded again, if the last attempt failed.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.policy = Policy.load(path)
        self.problem: str | None = None
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
            await self._exchange(None)

    async def follow(self, wanted: str) -> None:
        """Load the run again if another policy is wanted; it is served only if it is that one.

        Parameters
        ----------
        wanted
            The policy's id.

        Raises
        ------
        RunError
            If the run cannot be loaded, or is another policy.
        """
        async with self._loading:
            if self.policy.id == wanted:
                self.problem = None
            else:
                await self._exchange(wanted)

    async def _exchange(self, wanted: str | None) -> None:
        try:
            policy = await asyncio.to_thread(Policy.load, self.path)
            if wanted not in (None, policy.id):
                raise RunError(
                    f"{self.path} has the policy {policy.id[:12]}…, and {wanted[:12]}… is wanted, which another server "
                    "has loaded for this name. Copy the same run to this machine; the server keeps looking for it."
                )
        except Exception as error:
            self.problem = str(error) if isinstance(error, DialogPolicyError) else f"{type(error).__name__}: {error}"
            raise
        self.policy, self.problem = policy, None
        self._evaluation = self._read_evaluation()
        set_aside()
        log("reloaded", run=self.name, policy=policy.id)

    def _read_evaluation(self) -> _Evaluation | None:
        """Return what ``evaluate --json`` left in the run's folder, if it is about this policy."""
        try:
            evaluation = msgspec.convert(self.policy.run.beside("evaluation.json"), _Evaluation)
        except (msgspec.ValidationError, RecursionError):
            return None
        return evaluation if evaluation.policy == self.policy.id else None

    def describe(self) -> Model:
        """Describe the policy: what it can do, was trained on, and how accurate it is."""
        info, config = self.policy.info, self.policy.info["config"]
        accuracy = kept_accuracy(info["history"])
        metrics: dict[str, Any] = {} if accuracy is None else {"dev_turn_accuracy": accuracy}
        evaluation = self._evaluation
        if evaluation is not None:
            metrics |= {name: value for name in MAIN_METRICS if (value := getattr(evaluation, name)) is not None}
            metrics["of"] = {name: getattr(evaluation, name) for name in ("corpus", "split", "dialogues", "turns")}
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
            problem=self.problem,
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
