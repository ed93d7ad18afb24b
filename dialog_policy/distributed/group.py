"""The processes that train together, as the rest of the package knows them."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec

from dialog_policy.distributed.control import Control
from dialog_policy.distributed.links import Member, meet
from dialog_policy.distributed.place import Place, find_place
from dialog_policy.errors import DialogPolicyError, GroupError

__all__ = ["Group", "current_group", "join"]

_T = TypeVar("_T")
# Seconds within which an error in a computation is known to be another process' end, if it is.
_SOON = 5.0


class Group:
    """Several processes that do the same, or one that is alone.

    Attributes
    ----------
    rank
        The number of this process, from 0.
    processes
        How many there are.
    members
        Who they are, in the order of their ranks; empty if this one is alone.
    place
        Where they met; None if this one is alone.
    """

    def __init__(
        self, place: Place | None = None, members: Sequence[Member] = (), control: Control | None = None
    ) -> None:
        self.rank, self.processes = (0, 1) if place is None else (place.rank, place.processes)
        self.place, self.members, self._control = place, tuple(members), control
        self._at_end: list[Callable[[], None]] = []

    @property
    def leads(self) -> bool:
        """Whether this is process 0, which alone writes files and speaks to people."""
        return self.rank == 0

    def gather(self, value: bytes) -> list[bytes]:
        """Return the values of all processes in the order of their ranks; all must call this, in the same order.

        Raises
        ------
        GroupError
            If one of them has failed or is lost.
        """
        return [value] if self._control is None else self._control.gather(value)

    def once(self, make: Callable[[], _T], kind: type[_T]) -> _T:
        """Return what process 0 makes, to all.

        Parameters
        ----------
        make
            Called by process 0 alone.
        kind
            The type of what it makes, for msgspec.

        Raises
        ------
        GroupError
            If one of them has failed or is lost.
        """
        if self._control is None:
            return make()
        values = self.gather(msgspec.msgpack.encode(make()) if self.leads else b"")
        return msgspec.msgpack.decode(values[0], type=kind)

    def check_same(self, what: str, value: bytes, remedy: str) -> None:
        """Refuse processes of which one has another value than process 0.

        Parameters
        ----------
        what
            What the value is of, as the subject of a sentence in the plural.
        value
            Bytes that must be the same everywhere; only a hash of them is sent.
        remedy
            What to do otherwise.

        Raises
        ------
        GroupError
            If they differ: whose.
        """
        values = self.gather(sha256(value).digest())
        others = [str(member) for member, other in zip(self.members, values, strict=False) if other != values[0]]
        if others:
            raise GroupError(f"{what} of {', '.join(others)} differ from those of process 0. {remedy}")

    def at_end(self, leave: Callable[[], None]) -> None:
        """Have something done when all have finished, by all at the same time."""
        self._at_end.append(leave)

    def finish(self) -> None:
        """Wait until all have finished, and part.

        Raises
        ------
        GroupError
            If one of them has failed or is lost.
        """
        self.gather(b"")
        for leave in self._at_end:
            leave()
        if self._control is not None:
            self._control.close()

    def break_off(self, error: BaseException) -> str:
        """End the group for an error of this process; return why, if the reason is another process.

        A process that was lost has many faces here: whatever waits for it fails in its own way.
        """
        control = self._control
        if control is None:
            return ""
        if self._at_end:
            # What is to be done in the end would wait for the others.
            atexit.register(_exit)
        ours = isinstance(error, DialogPolicyError | KeyboardInterrupt | SystemExit)
        if control.has_ended(0 if ours else _SOON):
            control.leave()
            return control.reason
        if isinstance(error, GroupError):
            control.fail(str(error))  # it says of which process it is
        else:
            what = str(error) if isinstance(error, DialogPolicyError) else f"it failed with {type(error).__name__}"
            control.fail(f"{self.members[self.rank]}: {what}")
        return ""


_ALONE = Group()
_group = _ALONE


def current_group() -> Group:
    """Return the processes that :func:`join` has joined; outside of it, this process alone."""
    return _group


@contextlib.contextmanager
def join(
    coordinator: str | None = None, processes: int | None = None, rank: int | None = None, *, wait: float = 300.0
) -> Iterator[Group]:
    """Train with other processes: within it, ``DialogPolicy.fit`` of all of them is one training.

    Every process does the same within it. Each computes its part of every batch; the result is the one of a single process, and all
    have it in the end. Only process 0 writes. If one process fails or is lost, all end with its message.

    Parameters
    ----------
    coordinator, processes, rank
        ``HOST`` or ``HOST:PORT`` of process 0, how many processes there are, and the number of this one, from 0. What is None is
        taken from what torchrun, Ray, MPI, SLURM or Kubernetes have set (:func:`~dialog_policy.distributed.find_place`).
    wait
        Seconds within which all processes must have come.

    Yields
    ------
    Group
        The processes.

    Raises
    ------
    OptionError
        If something is missing or contradicts the rest.
    GroupError
        If they have not all come in time, if they do not do the same, or if one of them has failed or is lost.
    """
    global _group
    if _group is not _ALONE:
        raise GroupError("this process has already joined a group.")
    place = find_place(coordinator, processes, rank)
    if place.processes == 1:
        yield _ALONE
        return
    met = meet(place, wait)
    control = Control(met, place.rank)
    group = Group(place, met.members, control)
    _group = group
    try:
        yield group
        group.finish()
    except BaseException as error:
        reason = group.break_off(error)
        if reason:
            raise GroupError(reason) from None
        raise
    finally:
        _group = _ALONE


def _exit() -> None:
    """End this process without what libraries do at its end: they would wait for the process that is lost."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
