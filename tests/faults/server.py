"""The server, killed at its file-system calls while somebody talks to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.scenarios import COMMAND, COUNT, Fault, Scenario, with_run

if TYPE_CHECKING:
    from tests.faults.harness import Harness, Warm

__all__ = ["SERVER", "kill_server"]

SERVER = "serve"
_USERS = ("hello", "a table for two", "in the west", "yes", "thanks")
_SCENARIO = Scenario(
    SERVER, COMMAND,
    ("serve", "{}/run", "--port", "0", "--store", "{}/s.sqlite", "--corpus", "{}/corpus.jsonl", "--save", "{}/saved.jsonl"),
    with_run(), (),
)  # fmt: skip


class _Server:
    """A server in a child of the warmed process."""

    def __init__(self, warm: Warm, folder: Path, fault: Fault | None = None, at: int = 0) -> None:
        self._warm = warm
        for name in (warm.said, Path(f"{warm.said}-too")):
            name.unlink(missing_ok=True)
        self._pid = warm.begin(_SCENARIO, folder, _SCENARIO.arguments, fault, at)
        self.url = ""
        while not self.url and self._is_alive():
            time.sleep(0.01)
            log = Path(f"{warm.said}-too")
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            self.url = next((json.loads(line)["url"] for line in lines if '"event":"started"' in line), "")

    def _is_alive(self) -> bool:
        try:
            return "Z" not in Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the answer to a request; None if the server is gone."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", content, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return {"status": error.code, **json.loads(error.read())}
        except OSError:
            return None

    def stop(self) -> tuple[int, int]:
        """End it, if it lives; return its exit code and how many calls were counted."""
        if self._is_alive():
            os.kill(self._pid, signal.SIGTERM)
        return self._warm.end()


def _talk(server: _Server) -> tuple[list[str], bool]:
    """Hold a conversation and save it; return which turns were answered, and whether it was saved."""
    answered: list[str] = []
    if not server.url or server.ask("/sessions", {"id": "s"}) is None:
        return answered, False
    for user in _USERS:
        if server.ask("/sessions/s/turns", {"user": user}) is None:
            return answered, False
        answered.append(user)
    return answered, server.ask("/corpus/saved", {"session": "s"}) is not None


def kill_server(harness: Harness, faults: Sequence[Fault], points: int) -> Iterator[tuple[str, int, list[str]]]:
    """Yield, for each point, the fault's name, the point and what was found wrong."""
    warm = harness.warm(train=False)
    shutil.rmtree(harness.template, ignore_errors=True)
    harness.template.mkdir()
    _SCENARIO.prepare(harness.template)
    server = _Server(warm, harness.fresh(), Fault("none", COUNT))
    if _talk(server) != (list(_USERS), True):
        raise RuntimeError(warm.words())
    _, calls = server.stop()
    for fault in faults:
        for at in sorted(harness.random.sample(range(1, calls + 1), min(points, calls))):
            folder = harness.fresh()
            server = _Server(warm, folder, fault, at)
            answered, was_saved = _talk(server)
            server.stop()
            yield fault.name, at, list(_wrong_after(_Server(warm, folder), folder, answered, was_saved))


def _wrong_after(server: _Server, folder: Path, answered: list[str], was_saved: bool) -> Iterator[str]:
    found = server.ask("/sessions/s") or {}
    there = [turn["user"] for turn in found.get("turns", [])]
    # One turn more may be there than was answered: it was kept, and the answer was lost.
    if there[: len(answered)] != answered or len(there) > len(answered) + 1:
        yield f"answered: {answered}, found: {there}"
    saved = folder / "saved.jsonl"
    lines = saved.read_text().splitlines() if saved.exists() else []
    if was_saved and len(lines) != 1:
        yield f"a saved conversation is gone: {lines}"
    if any(len(json.loads(line)["turns"]) != len(_USERS) for line in lines):
        yield f"half a conversation is saved: {lines}"
    if "turns" in found and there:
        server.ask("/corpus/saved", {"session": "s"})
    if server.stop()[0]:
        yield "the server that was started next did not end well"
    known = {"run", "corpus.jsonl", "old.jsonl", "added.jsonl", "saved.jsonl", "s.sqlite"}
    if left := {path.name for path in folder.iterdir()} - known:
        yield f"left over: {sorted(left)}"
