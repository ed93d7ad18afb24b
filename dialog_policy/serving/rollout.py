"""A run that is loaded anew here is loaded anew by every server that shares the store."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec

from dialog_policy.serving.logs import log
from dialog_policy.serving.runs import Run, Runs
from dialog_policy.serving.stores import Store, StoreError

__all__ = ["Rollout"]

# Seconds between two looks into the store, and at most between two attempts to load a run that could not be loaded. Each wait is
# drawn from half to one and a half of it, so that not all servers load at once.
_LOOK_S, _LONGEST_S = 2.0, 60.0


class _Request(msgspec.Struct, frozen=True):
    """What the store says of a run: the policy that every server is to serve; `asked`, in ns since 1970, tells requests apart."""

    policy: str
    asked: int


class _Followed:
    """How far this server is with the requests for one run."""

    def __init__(self) -> None:
        self.looked = False
        self.done: _Request | None = None
        self.failed: _Request | None = None
        self.wait_s, self.try_at = _LOOK_S, 0.0


class Rollout:
    """Loads runs anew, and follows when another server did. Use as an asynchronous context manager.

    The server that is asked loads the run first; if that fails nobody else hears of it. Then it leaves in the store which policy
    it serves now. The others look there every few seconds, load their own copy of the run beside the policy in use, and exchange
    the two if it is the wanted one. A server that cannot do so goes on with its policy, says why in :attr:`Run.problem`, and
    tries again, less and less often.

    A server that starts has just read its run. It follows a request that it finds only if its run, read once more, is the wanted
    one: a newer run that is brought by restarting the servers one by one is not taken back.

    Since it asks the store all the time, it is what logs that the store does not answer, and that it answers again.

    Parameters
    ----------
    runs
        The served runs.
    store
        Where the requests are kept.
    """

    def __init__(self, runs: Runs, store: Store) -> None:
        self.runs, self.store = runs, store
        # False once it is logged that the store does not answer.
        self._is_reached = True
        self._followed = {name: _Followed() for name in runs}

    async def __aenter__(self) -> Rollout:
        self._following = asyncio.create_task(self._follow_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def reload(self, run: Run) -> None:
        """Load a run anew, here and then on all servers.

        Raises
        ------
        RunError
            If it cannot be loaded; all servers go on with the policy that they have.
        StoreError
            If it was loaded here, and the other servers could not be told.
        """
        try:
            await run.reload()
            request = _Request(run.policy.id, time.time_ns())
            await self.store.save_value(_key(run), msgspec.json.encode(request))
        except Exception as error:
            log("reload failed", run=run.name, reason=str(error), failed=True)
            raise
        self._followed[run.name].done = request

    async def _follow_for_ever(self) -> None:
        while True:
            for run in self.runs.values():
                try:
                    await self._look(run, self._followed[run.name])
                except StoreError as error:
                    # The next look may reach the store again.
                    if self._is_reached:
                        log("the store does not answer", reason=str(error), failed=True)
                    self._is_reached = False
                except Exception:
                    log("looking for a wanted policy failed", run=run.name, failed=True)
                else:
                    if not self._is_reached:
                        log("the store answers again")
                    self._is_reached = True
            await asyncio.sleep(_about(_LOOK_S))

    async def _look(self, run: Run, followed: _Followed) -> None:
        """Do what the store says is wanted, unless that is done."""
        request = _decode(await self.store.load_value(_key(run)))
        is_first, followed.looked = not followed.looked, True
        if request is None or request == followed.done:
            return
        now = asyncio.get_running_loop().time()
        if request == followed.failed and now < followed.try_at:
            return
        try:
            await run.follow(request.policy)
        except Exception:  # whatever is wrong with the run: its policy goes on, and the next request is heard
            if is_first:
                log("another policy was wanted before", run=run.name, policy=run.policy.id, wanted=request.policy)
                followed.done, run.problem = request, None
                return
            if request != followed.failed:
                followed.failed, followed.wait_s = request, _LOOK_S
                log("reload failed", run=run.name, reason=run.problem, failed=True)
            followed.wait_s = min(2 * followed.wait_s, _LONGEST_S)
            followed.try_at = now + _about(followed.wait_s)
        else:
            followed.done = request


def _key(run: Run) -> str:
    return f"wanted:{run.name}"


def _decode(data: bytes | None) -> _Request | None:
    """Return a request; None where there is none, or something else."""
    try:
        return None if data is None else msgspec.json.decode(data, type=_Request)
    except msgspec.DecodeError:
        return None


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)
