"""The processes of a group as actors of a Ray cluster."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from dialog_policy.errors import DialogPolicyError, GroupError, OptionError, counted, require

__all__ = ["run_on_ray"]

# How often processes are started again after one was lost.
_ATTEMPTS = 3
# Seconds to wait for room in the cluster.
_WAIT = 300.0

# What a process does: given the coordinator, the number of processes, its rank, and whether processes were lost before.
Work = Callable[[str, int, int, bool], None]


class _Member:
    """An actor: one process of the group."""

    def address(self) -> str:
        import ray

        with socket.create_server(("", 0)) as server:
            return f"{ray.util.get_node_ip_address()}:{server.getsockname()[1]}"

    def work(self, work: Work, coordinator: str, processes: int, rank: int, again: bool) -> tuple[str, str]:
        """Return the name and the text of an error of the user's, or two empty strings: errors are not sent as objects."""
        try:
            work(coordinator, processes, rank, again)
        except DialogPolicyError as error:
            return type(error).__name__, str(error)
        return "", ""


def run_on_ray(work: Work, address: str, processes: int) -> None:
    """Do the work of a group's processes on a Ray cluster, spread over its nodes.

    Every process has one processor reserved, and an equal part of the cluster's GPUs. When a process is lost, all are started again.

    Parameters
    ----------
    work
        A function of a module that all nodes have: it is called with the coordinator, the number of processes, the rank, and
        whether processes were lost before, and joins the others.
    address
        Of the cluster, as ``ray.init`` takes it; ``"local"``: a cluster on this machine for this work alone.
    processes
        How many.

    Raises
    ------
    OptionError
        If there is no such cluster, or no room in it.
    GroupError
        If processes fail, or were lost time after time.
    MissingExtraError
        If Ray is not installed.
    """
    ray = require("ray", extra="ray", purpose="training on a Ray cluster")
    try:
        if address == "local":
            ray.init(num_cpus=processes, include_dashboard=False)
        else:
            ray.init(address)
    except (ConnectionError, ValueError) as error:
        raise OptionError(
            f"--ray: there is no Ray cluster at {address!r} ({error}). Start one with `ray start`."
        ) from None
    try:
        for attempt in range(_ATTEMPTS):
            if _attempt(ray, work, processes, again=attempt > 0):
                return
        raise GroupError(f"processes were lost in each of {counted(_ATTEMPTS, 'attempt')}; Ray's logs say why.")
    finally:
        ray.shutdown()


def _attempt(ray: Any, work: Work, processes: int, *, again: bool) -> bool:
    """Return whether all have finished; False if one was lost."""
    with _members(ray, processes) as members:
        try:
            coordinator = ray.get(members[0].address.remote())
            results = [
                member.work.remote(work, coordinator, processes, rank, again) for rank, member in enumerate(members)
            ]
            waiting = list(results)
            while waiting:
                done, waiting = ray.wait(waiting)
                name, text = ray.get(done[0])
                if name and not (name == "GroupError" and " was lost: " in text):
                    raise GroupError(text)
                if name:
                    return False
        except ray.exceptions.RayActorError:
            return False
        return True


@contextlib.contextmanager
def _members(ray: Any, processes: int) -> Iterator[list[Any]]:
    """Make the actors, on different nodes as far as there are nodes, and end them."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    gpus = int(ray.cluster_resources().get("GPU", 0)) // processes
    needed = {"CPU": 1, **({"GPU": gpus} if gpus else {})}
    group = placement_group([needed] * processes, strategy="SPREAD")
    try:
        ray.get(group.ready(), timeout=_WAIT)
    except ray.exceptions.GetTimeoutError:
        remove_placement_group(group)
        raise OptionError(
            f"--ray: the cluster has had no room for {counted(processes, 'process', 'processes')} with a processor each within "
            f"{_WAIT:g} seconds. It has {ray.cluster_resources().get('CPU', 0):g} processors in all."
        ) from None
    members = [
        ray.remote(_Member)
        .options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        )
        .remote()
        for rank in range(processes)
    ]
    try:
        yield members
    finally:
        for member in members:
            ray.kill(member)
        remove_placement_group(group)
