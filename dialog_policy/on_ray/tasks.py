"""Work on shards as tasks of a Ray cluster, whose nodes see the same files (extra ``ray``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from dialog_policy.errors import DialogPolicyError, RunError
from dialog_policy.on_ray.cluster import connect

__all__ = ["RayTasks"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# Tasks that wait for each processor: their results need room, and may be large.
_AHEAD = 2
# A task whose process or machine is lost is done again so often.
_RETRIES = 3


class RayTasks:
    """An executor (:class:`~dialog_policy.executor.Executor`) that sends tasks to a Ray cluster; leave it by ``with``.

    Every node has this package installed and sees corpora, stores and runs at the same paths. Each task has one processor. One that
    is lost with its process or its machine is done again, elsewhere if need be.

    Parameters
    ----------
    address
        Of the cluster, as ``ray.init`` takes it; ``"local"``: a cluster of this machine alone.

    Raises
    ------
    OptionError
        If there is no such cluster.
    MissingExtraError
        If Ray is not installed.
    """

    def __init__(self, address: str) -> None:
        self._ray = connect(address)
        self.processes = max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield the results in the order of the tasks; see :class:`~dialog_policy.executor.Executor`."""
        remote = self._ray.remote(_outcome).options(num_cpus=1, max_retries=_RETRIES)
        waiting: deque[Any] = deque()
        try:
            for task in tasks:
                waiting.append(remote.remote(function, task))
                if len(waiting) > _AHEAD * self.processes:
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for reference in waiting:
                self._ray.cancel(reference)

    def _result(self, reference: Any) -> Any:
        try:
            result, error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            raise RunError(
                f"a task was lost on the Ray cluster, {_RETRIES + 1} times ({str(lost).strip().splitlines()[0]}). "
                "Finished work is kept: run the same command again. Ray's logs and `ray status` say more."
            ) from None
        if error is not None:
            raise error
        return result


def _outcome(function: Callable[[Any], Any], task: Any) -> tuple[Any, DialogPolicyError | None]:
    """Return a result, or an error of the user's as it is: Ray would wrap it in one of its own."""
    try:
        return function(task), None
    except DialogPolicyError as error:
        return None, error
