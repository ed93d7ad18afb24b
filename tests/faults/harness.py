"""Kills commands at their file-system calls, fills the disk, and looks at what is left.

``python -m tests.faults.harness`` runs everything and prints a table; ``tests/faults/test_faults.py`` runs a short form. For each
point a folder is made as it is before the command. The command runs in a forked child until the fault. Afterwards every output is
as it was before or as it is after an undisturbed run, and after the same command once more (trainings: with ``--resume`` where
there is a checkpoint) the folder is byte for byte what an undisturbed run leaves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.faults.folders import content, everything, kibibytes
from tests.faults.scenarios import (
    COMMAND,
    COUNT,
    ERRORS,
    KILL,
    KILLS,
    REPOSITORY,
    SMALL_DISK,
    TORN,
    Fault,
    Scenario,
    mirrored,
    scenarios,
)
from tests.faults.server import SERVER, kill_server


class Warm:
    """A warmed process: each order is carried out in a child of it."""

    def __init__(self, library: Path, *, train: bool, folder: Path) -> None:
        environment = {
            **os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3",
            "DIALOG_POLICY_CACHE": "", "DIALOG_POLICY_STATE": "", "KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
        }  # fmt: skip
        self._log = (folder / f"warm-{train}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm", *(["train"] if train else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment, cwd=folder,
        )  # fmt: skip
        self._folder, self._is_ready = folder, False
        self.said = folder / "said"

    def __call__(
        self, scenario: Scenario, folder: Path, arguments: Sequence[str], fault: Fault | None = None, at: int = 0
    ) -> tuple[int, int]:
        """Carry out a scenario; return the exit code and how many calls were counted. What was said is in the file `said`."""
        self.begin(scenario, folder, arguments, fault, at)
        return self.end()

    def begin(
        self, scenario: Scenario, folder: Path, arguments: Sequence[str], fault: Fault | None = None, at: int = 0
    ) -> int:
        """Begin to carry out a scenario; return the child's process id."""
        stdin = self._folder / "stdin"
        stdin.write_text(scenario.stdin.replace("{}", str(folder)))
        fault = fault or Fault("none", COUNT)
        order = {
            "function": scenario.function, "arguments": [a.replace("{}", str(folder)) for a in arguments],
            "environment": {name: value.replace("{}", str(folder)) for name, value in scenario.environment.items()},
            "stdin": str(stdin), "stdout": str(self.said), "stderr": f"{self.said}-too", "folder": str(folder),
            "kind": fault.kind, "at": at, "error": fault.error, "of_reads": int(fault.of_reads),
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        while not self._is_ready:
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(Path(self._log.name).read_text())
            self._is_ready = line == "ready\n"
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["pid"]

    def end(self) -> tuple[int, int]:
        """Wait for the child's end; return what :meth:`__call__` returns."""
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["calls"]

    def words(self) -> str:
        """Return what the last child said."""
        return self.said.read_text(errors="replace") + Path(f"{self.said}-too").read_text(errors="replace")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()


class Harness:
    """Runs scenarios with faults.

    Parameters
    ----------
    folder
        To work in.
    seed
        Chooses the points.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.random = folder, random.Random(seed)
        library = folder / "faults.so"
        source = Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self._library, self._warm = library, {}
        self.template, self._work = folder / "template", folder / "work"

    def close(self) -> None:
        """End the warmed processes."""
        if os.path.ismount(self._work):
            subprocess.run(["umount", self._work], check=True)
        for warm in self._warm.values():
            warm.close()

    def warm(self, train: bool) -> Warm:
        """Return the warmed process, with Keras or without."""
        if train not in self._warm:
            self._warm[train] = Warm(self._library, train=train, folder=self.folder)
        return self._warm[train]

    def fresh(self, fault: Fault | None = None, at: int = 0) -> Path:
        """Make the folder as it was prepared, on a small disk if the fault is one, and return it."""
        if os.path.ismount(self._work):
            subprocess.run(["umount", self._work], check=True)
        shutil.rmtree(self._work, ignore_errors=True)
        if fault is not None and fault.disk:
            self._work.mkdir()
            size = at + kibibytes(self.template)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", self._work], check=True)
        shutil.copytree(self.template, self._work, dirs_exist_ok=True)
        return self._work

    def can_mount(self) -> bool:
        """Whether a small file system can be had here."""
        place = self.folder / "mounted"
        place.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False, capture_output=True
        )
        if not done.returncode:
            subprocess.run(["umount", place], check=True)
        return not done.returncode

    def run(self, scenario: Scenario, faults: Sequence[Fault], points: int) -> Iterator[tuple[str, int, list[str]]]:
        """Yield, for each point, the fault's name, the point and what was found wrong.

        Parameters
        ----------
        scenario
            The command.
        faults
            What happens; each at `points` points, or at all if there are fewer.
        """
        warm = self.warm(scenario.train)
        shutil.rmtree(self.template, ignore_errors=True)
        self.template.mkdir()
        scenario.prepare(self.template)
        if scenario.first is not None:
            before = replace(scenario, function=COMMAND)
            code, _ = warm(before, self.template, scenario.first)
            if code:
                raise RuntimeError(f"{scenario.name}: {warm.words()}")
        old = {name: content(self.template / name) for name in scenario.outputs}
        calls = {}
        for of_reads in {fault.of_reads for fault in faults}:
            work = self.fresh()
            code, calls[of_reads] = warm(scenario, work, scenario.arguments, Fault("none", COUNT, of_reads=of_reads))
            if code:
                raise RuntimeError(f"{scenario.name}: {warm.words()}")
        new = {name: content(work / name) for name in scenario.outputs}
        whole = everything(work)
        more = max(1, kibibytes(work) - kibibytes(self.template))
        for fault in faults:
            most = more if fault.disk else calls[fault.of_reads]
            for at in sorted(self.random.sample(range(1, most + 1), min(points, most))):
                work = self.fresh(fault, at)
                code, _ = warm(scenario, work, scenario.arguments, fault, 0 if fault.disk else at)
                said = warm.words()
                wrong = list(self._wrong_after(scenario, fault, code, said, old, new))
                if fault.disk:
                    subprocess.run(["mount", "-o", "remount,size=100m", work], check=True)
                again = scenario.arguments if scenario.retry is None else scenario.retry(work)
                is_done = all(content(work / name) == new[name] for name in scenario.outputs)
                for _ in range(2 if scenario.undoes_itself and is_done else 1):
                    code, _ = warm(scenario, work, again)
                wrong += self._wrong_in_the_end(scenario, code, warm.words(), new, whole)
                yield fault.name, at, wrong

    def _wrong_after(
        self, scenario: Scenario, fault: Fault, code: int, said: str, old: dict[str, object], new: dict[str, object]
    ) -> Iterator[str]:
        for name in scenario.outputs:
            found = content(self._work / name)
            if found not in (old[name], new[name]):
                yield f"{name} is neither old nor new: {sorted(found)}"
        if fault.kind in (KILL, TORN):
            if code != -9:
                yield f"not killed, but ended with {code}: {said[-500:]}"
            return
        if "Traceback" in said or code not in (0, 2):
            yield f"ended with {code}: {said[-3000:]}"
        if (
            not code
            and not scenario.may_recover
            and not all(content(self._work / name) == new[name] for name in scenario.outputs)
        ):
            yield f"says that all is well, but it is not: {said[-500:]}"

    def _wrong_in_the_end(
        self, scenario: Scenario, code: int, said: str, new: dict[str, object], whole: list[str]
    ) -> Iterator[str]:
        if code:
            yield f"once more ended with {code}: {said[-1500:]}"
        for name in scenario.outputs:
            if content(self._work / name) != new[name]:
                yield f"{name} is another one after once more"
        found = everything(self._work)
        if found != whole:
            yield f"left over: {sorted(set(found) - set(whole))}, missing: {sorted(set(whole) - set(found))}"


@contextmanager
def harness(seed: int = 0) -> Iterator[tuple[Harness, list[Scenario]]]:
    """Make a harness in a folder of its own, and all scenarios."""
    with tempfile.TemporaryDirectory() as name, mirrored(Path(name)) as mirror:
        made = Harness(Path(os.path.realpath(name)), seed)
        try:
            yield made, scenarios(mirror)
        finally:
            made.close()


def _report(name: str, found: Iterable[tuple[str, int, list[str]]]) -> bool:
    """Print a row for each fault as soon as all its points were tried, and what was wrong; return whether anything was."""
    any_wrong = False
    for fault, points in itertools.groupby(found, key=lambda point: point[0]):
        counts = [0, 0]
        for _, at, wrong in points:
            counts[0] += 1
            counts[1] += bool(wrong)
            for text in wrong:
                print(f"{name}, {fault}, call {at}: {text}", file=sys.stderr, flush=True)
        print(f"| {name} | {fault} | {counts[0]} | {counts[1]} |", flush=True)
        any_wrong |= bool(counts[1])
    return any_wrong


def main() -> int:
    """Run everything, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=12, help="points of each kind of kill in each command")
    parser.add_argument("--errors", type=int, default=6, help="points of each kind of error in each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="one command; may be given several times")
    options = parser.parse_args()
    any_wrong = False
    print("| command | fault | points | wrong |\n| --- | --- | ---: | ---: |", flush=True)
    with harness(options.seed) as (tried, known):
        errors = (*ERRORS, *([SMALL_DISK] if tried.can_mount() else []))
        for scenario in known:
            if not options.only or scenario.name in options.only:
                any_wrong |= _report(scenario.name, tried.run(scenario, KILLS, options.points))
                any_wrong |= _report(scenario.name, tried.run(scenario, errors, options.errors))
        if not options.only or SERVER in options.only:
            any_wrong |= _report(SERVER, kill_server(tried, KILLS, options.points))
    return int(any_wrong)


if __name__ == "__main__":
    sys.exit(main())
