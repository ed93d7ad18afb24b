"""A training by several processes (``dialog_policy.distributed``) that a Ray cluster starts, and starts again after a loss."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dialog_policy.errors import GroupError, OptionError, counted
from dialog_policy.on_ray.cluster import connect

__all__ = ["train_on_ray"]

# How often the processes are started before it is given up.
_ATTEMPTS = 4
# Seconds to wait for room in the cluster.
_WAIT = 300.0
_MAIN = "from dialog_policy.cli import main; main()"
# prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


class _Ended(NamedTuple):
    """How a process has ended: its exit code, negative for a signal, and what it said."""

    code: int
    said: str


class _Member:
    """An actor: runs one process of the training on its node, a process of its own that ends with the actor."""

    def address(self) -> str:
        """Return a host and port of this node for process 0."""
        import ray

        with socket.create_server(("", 0)) as server:
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def run(self, words: Sequence[str], folder: str) -> _Ended:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_end_with_parent,
        )
        said = process.communicate()[0]
        return _Ended(process.returncode, said)


def _end_with_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def train_on_ray(
    words: Callable[[bool], Sequence[str]], address: str, processes: int | None, say: Callable[[str], None]
) -> str:
    """Run ``dialog-policy train --distributed`` as several processes of a Ray cluster, spread over its nodes.

    Every process has one processor reserved and an equal part of the cluster's GPUs. When one is lost with its node, or killed, all
    are started again.

    Parameters
    ----------
    words
        The command's words for all processes, without those that say which of them it is; is told whether processes were lost
        before.
    address
        Of the cluster, as ``ray.init`` takes it; ``"local"``: a cluster of this machine alone.
    processes
        How many. None: one a node.
    say
        Takes sentences about what is going on.

    Returns
    -------
    str
        What process 0 has said.

    Raises
    ------
    OptionError
        If there is no such cluster, or no room in it.
    GroupError
        If processes fail, or were lost time after time.
    MissingExtraError
        If Ray is not installed.
    """
    ray = connect(address, processes)
    try:
        n = processes or max(1, sum(node["Alive"] for node in ray.nodes()))
        for attempt in range(_ATTEMPTS):
            ended = _attempt(ray, words(attempt > 0), n)
            if ended and all(one.code == 0 for one in ended):
                return ended[0].said
            failed = next((one for one in ended if one.code > 0), None)
            if ended and failed is not None and all(one.code >= 0 for one in ended):
                raise GroupError(failed.said.strip().rpartition("\n")[2].removeprefix("Error: "))
            say("A process was lost; all are started again.")
        raise GroupError(f"processes were lost in each of {counted(_ATTEMPTS, 'attempt')}; Ray's logs say why.")
    finally:
        ray.shutdown()


def _attempt(ray: Any, words: Sequence[str], processes: int) -> list[_Ended]:
    """Return how each process has ended; nothing, if an actor was lost."""
    with _members(ray, processes) as members:
        try:
            coordinator = ray.get(members[0].address.remote())
            more = ["--distributed", "--coordinator", coordinator, "--processes", str(processes)]
            running = [
                member.run.remote([*words, *more, "--rank", str(rank)], os.getcwd())
                for rank, member in enumerate(members)
            ]
            ended: list[_Ended] = ray.get(running)
        except ray.exceptions.RayActorError:
            return []
        return ended


@contextlib.contextmanager
def _members(ray: Any, processes: int) -> Iterator[list[Any]]:
    """Make the actors, on different nodes as far as there are nodes, and end them."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    gpus = int(ray.cluster_resources().get("GPU", 0)) // processes
    group = placement_group([{"CPU": 1, **({"GPU": gpus} if gpus else {})}] * processes, strategy="SPREAD")
    try:
        ray.get(group.ready(), timeout=_WAIT)
    except ray.exceptions.GetTimeoutError:
        remove_placement_group(group)
        raise OptionError(
            f"--ray: the cluster has had no room for {counted(processes, 'process', 'processes')} with a processor each within "
            f"{_WAIT:g} seconds. It has {ray.cluster_resources().get('CPU', 0):g} processors in all."
        ) from None
    actor = ray.remote(_Member)
    members = [
        actor.options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        ).remote()
        for rank in range(processes)
    ]
    try:
        yield members
    finally:
        for member in members:
            ray.kill(member)
        remove_placement_group(group)
