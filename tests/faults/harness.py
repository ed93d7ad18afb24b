"""Kills commands at their file-system calls, fills the disk, and looks at what is left.

``python -m tests.faults.harness`` runs everything and prints a table; ``tests/faults/test_faults.py`` runs a short form. For each
point a folder is made as it is before the command. The command runs in a forked child until the fault. Afterwards every output is
as it was before or as it is after an undisturbed run, and after the same command once more (trainings: with ``--resume`` where
there is a checkpoint) the folder is byte for byte what an undisturbed run leaves.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "tests" / "fixtures"
RUN, DIALOGUES = FIXTURES / "run-format-4", FIXTURES / "run-format-4-dialogues.jsonl"
SETTINGS = (
    "hidden=4", "epochs=3", "batch_size=4",
    *(f'{part}=[{{kind="bits", max_terms=30}}]' for part in ("user", "system", "context")),
)  # fmt: skip
COMMAND = "tests.faults.actions:command"
# As in faults.c.
COUNT, KILL, TORN, ERROR_ONCE, ERROR_FROM = range(5)


@dataclass(frozen=True)
class Fault:
    """What happens at a call: `kind` as in faults.c, with an error number, and whether calls that read or that change are meant."""

    name: str
    kind: int
    error: int = 0
    of_reads: bool = False


KILLS = (Fault("killed before the call", KILL), Fault("killed in the call", TORN))
ERRORS = (
    Fault("disk full", ERROR_FROM, errno.ENOSPC),
    Fault("permission taken away", ERROR_FROM, errno.EACCES),
    Fault("input/output error", ERROR_ONCE, errno.EIO),
    Fault("input/output error when reading", ERROR_FROM, errno.EIO, of_reads=True),
)


@dataclass(frozen=True)
class Scenario:
    """A command in a folder.

    Attributes
    ----------
    name
        For people.
    function, arguments, stdin
        What the child calls; ``{}`` in an argument is the folder.
    prepare
        Makes the folder as it is before.
    outputs
        Names of the files and folders that the command writes: each is old or new at any moment.
    retry
        Arguments of the run after the fault, from the folder; None: the same again.
    first
        Arguments of a command that is run undisturbed in the prepared folder.
    train
        Whether the child needs Keras.
    environment
        Variables of the child.
    may_recover
        Whether errors may be got over without a word, as those of a cache are.
    undoes_itself
        Whether the command once more gives back what was before.
    """

    name: str
    function: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    outputs: tuple[str, ...]
    stdin: str = ""
    retry: Callable[[Path], tuple[str, ...]] | None = None
    train: bool = False
    first: tuple[str, ...] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    may_recover: bool = False
    undoes_itself: bool = False


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


def content(path: Path) -> dict[str, str]:
    """Return what is at a path: relative names to hashes; not what is hidden or differs between equal runs (times, logs)."""
    if path.is_dir():
        files = {p.relative_to(path): p for p in sorted(path.rglob("*")) if p.is_file()}
        seen = {name: p for name, p in files.items() if not any(x == "logs" or x[0] == "." for x in name.parts)}
        return {name.as_posix(): _hash(p) for name, p in seen.items()}
    return {"": _hash(path)} if path.exists() else {}


def _hash(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "run.json":
        with suppress(ValueError):
            data = json.dumps({**json.loads(data), "created": ""}).encode()
    return sha256(data).hexdigest()


def everything(folder: Path) -> list[str]:
    """Return the names of all that is in a folder, but for logs, whose names have times."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if "logs" not in p.relative_to(folder).parts
    )


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
        self._template, self._work = folder / "template", folder / "work"

    def close(self) -> None:
        """End the warmed processes."""
        for warm in self._warm.values():
            warm.close()

    def warm(self, train: bool) -> Warm:
        """Return the warmed process, with Keras or without."""
        if train not in self._warm:
            self._warm[train] = Warm(self._library, train=train, folder=self.folder)
        return self._warm[train]

    def _fresh(self) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._template, self._work)
        return self._work

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
        shutil.rmtree(self._template, ignore_errors=True)
        self._template.mkdir()
        scenario.prepare(self._template)
        if scenario.first is not None:
            before = replace(scenario, function=COMMAND)
            code, _ = warm(before, self._template, scenario.first)
            if code:
                raise RuntimeError(f"{scenario.name}: {warm.words()}")
        old = {name: content(self._template / name) for name in scenario.outputs}
        calls = {}
        for of_reads in {fault.of_reads for fault in faults}:
            work = self._fresh()
            code, calls[of_reads] = warm(scenario, work, scenario.arguments, Fault("none", COUNT, of_reads=of_reads))
            if code:
                raise RuntimeError(f"{scenario.name}: {warm.words()}")
        new = {name: content(work / name) for name in scenario.outputs}
        whole = everything(work)
        for fault in faults:
            most = calls[fault.of_reads]
            for at in sorted(self.random.sample(range(1, most + 1), min(points, most))):
                work = self._fresh()
                code, _ = warm(scenario, work, scenario.arguments, fault, at)
                said = warm.words()
                wrong = list(self._wrong_after(scenario, fault, code, said, old, new))
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


def _copied(*names: str) -> Callable[[Path], None]:
    """Prepare a folder with the run, a corpus, and old outputs."""

    def prepare(folder: Path) -> None:
        shutil.copytree(RUN, folder / "run")
        shutil.copy(DIALOGUES, folder / "corpus.jsonl")
        lines = DIALOGUES.read_text().splitlines(keepends=True)
        (folder / "old.jsonl").write_text("".join(lines[:2]))
        (folder / "added.jsonl").write_text("".join(lines[2:]))
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("old")

    return prepare


def _with_old_split(folder: Path) -> None:
    _copied()(folder)
    (folder / "parts").mkdir()
    for part in ("train", "dev"):
        shutil.copy(folder / "old.jsonl", folder / "parts" / f"{part}.jsonl")


def _with_copy_of_run(*names: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        _copied()(folder)
        for name in names:
            shutil.copytree(RUN, folder / name)

    return prepare


def _with_other_before(folder: Path) -> None:
    _with_copy_of_run("run.before")(folder)
    (folder / "run.before" / "notes.txt").write_text("another one")


def _resumed(run: str, *arguments: str) -> Callable[[Path], tuple[str, ...]]:
    def retry(folder: Path) -> tuple[str, ...]:
        has_checkpoint = (folder / f"{run}.partial" / "training.safetensors").exists()
        return (*arguments, "--resume") if has_checkpoint else arguments

    return retry


def scenarios(mirror: str) -> list[Scenario]:
    """Return all scenarios.

    Parameters
    ----------
    mirror
        Address from which the corpus of several files is fetched.
    """
    command, actions = COMMAND, "tests.faults.actions"
    train = ("train", "{}/corpus.jsonl", "--out", "{}/trained", "--split", "all", "--dev", "inner")
    train = (*train, *(word for setting in SETTINGS for word in ("--set", setting)))
    evaluation = ("evaluate", "{}/run", "{}/corpus.jsonl", "--split", "all", "--resamples", "20")
    forms = ("--json", "{}/e.json", "--html", "{}/e.html", "--markdown", "{}/e.md", "--csv", "{}/csv")
    order = {"run": "{}/trained", "corpus": {"paths": ["{}/corpus.jsonl"]}, "saved": "{}/added.jsonl"}

    def _with_trained(folder: Path) -> None:
        _copied()(folder)
        lines = DIALOGUES.read_text().splitlines(keepends=True)
        (folder / "corpus.jsonl").write_text("".join(lines[:4]))
        (folder / "added.jsonl").write_text("".join(lines[4:]))

    def listed(folder: Path) -> None:
        files = {name: sha256(text).hexdigest() for name, text in FETCHED.items()}
        about = {"title": "t", "licence": "l", "citation": "c", "homepage": "h", "format": "jsonl"}
        (folder / "list.json").write_text(json.dumps({"c": {**about, "url": "{file}", "files": files}}))

    return [
        Scenario(
            "convert", command, ("convert", "{}/corpus.jsonl", "{}/out.csv", "--force"), _copied("out.csv"), ("out.csv",)
        ),
        Scenario("convert to Parquet", command, ("convert", "{}/corpus.jsonl", "{}/new/out.parquet", "--force"), _copied(), ("new/out.parquet",)),
        Scenario(
            "split", command, ("split", "{}/corpus.jsonl", "{}/parts", "--force", "--parts", "train=0.6", "--parts", "dev=0.4"),
            _with_old_split, ("parts",),
        ),
        Scenario(
            "predict", command,
            ("predict", "{}/run", "{}/corpus.jsonl", "--split", "all", "--out", "{}/p.jsonl"), _copied("p.jsonl"), ("p.jsonl",),
        ),
        Scenario(
            "evaluate", command, (*evaluation, *forms), _copied("e.json", "e.html", "e.md"), ("e.json", "e.html", "e.md"),
        ),
        Scenario(
            "evaluate --plots", command, (*evaluation, "--plots", "{}/plots"), _copied("plots/accuracy.svg"), (),
        ),
        Scenario("export", command, ("export", "{}/run", "{}/run.zip"), _copied("run.zip"), ("run.zip",)),
        Scenario("append", f"{actions}:append", ("{}/old.jsonl", "{}/added.jsonl"), _copied(), ("old.jsonl",)),
        Scenario("save", f"{actions}:save", ("{}/run", "{}/other"), _with_copy_of_run("other"), ("other",)),
        Scenario(
            "restore", f"{actions}:restore", ("{}/run",), _with_other_before, ("run", "run.before"),
            undoes_itself=True,
        ),
        Scenario(
            "cache", f"{actions}:encoded", ("{}/corpus.jsonl",), _copied(), ("cache",),
            environment={"DIALOG_POLICY_CACHE": "{}/cache"}, may_recover=True,
        ),
        Scenario(
            "download", f"{actions}:download", ("c", "{}/list.json", mirror, "{}/cache"), listed,
            tuple(f"cache/c/{name}" for name in FETCHED),
        ),
        Scenario(
            "train", command, train, _copied(), ("trained",), train=True, retry=_resumed("trained", *train),
        ),
        Scenario(
            "train over a run", command, train, _with_copy_of_run("trained"), ("trained",), train=True,
            retry=_resumed("trained", *train),
        ),
        Scenario(
            "retrain", f"{actions}:retrain", (), _with_trained, ("trained",), train=True, stdin=json.dumps(order), first=train,
        ),
    ]  # fmt: skip


FETCHED = {"a.jsonl": b'{"id": "a", "turns": []}\n' * 9_000, "b/c.jsonl": b'{"id": "c", "turns": []}\n' * 9_000}


@contextmanager
def mirrored(folder: Path) -> Iterator[str]:
    """Serve the files to download."""
    for name, text in FETCHED.items():
        path = folder / "mirror" / "c" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder / "mirror"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def harness(seed: int = 0) -> Iterator[tuple[Harness, list[Scenario]]]:
    """Make a harness in a folder of its own, and all scenarios."""
    with tempfile.TemporaryDirectory() as name, mirrored(Path(name)) as mirror:
        made = Harness(Path(os.path.realpath(name)), seed)
        try:
            yield made, scenarios(mirror)
        finally:
            made.close()


def main() -> int:
    """Run everything, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=12, help="points of each fault in each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="commands whose name begins so; may be given several times")
    options = parser.parse_args()
    wrongs: list[str] = []
    print("| command | fault | points | wrong |\n| --- | --- | ---: | ---: |")
    with harness(options.seed) as (tried, known):
        for scenario in known:
            if not any(scenario.name.startswith(name) for name in options.only or [""]):
                continue
            counts: dict[str, list[int]] = {}
            for fault, at, wrong in tried.run(scenario, (*KILLS, *ERRORS), options.points):
                count = counts.setdefault(fault, [0, 0])
                count[0] += 1
                count[1] += bool(wrong)
                wrongs += [f"{scenario.name}, {fault}, call {at}: {text}" for text in wrong]
            for fault, (points, bad) in counts.items():
                print(f"| {scenario.name} | {fault} | {points} | {bad} |", flush=True)
    print("\n".join(wrongs), file=sys.stderr)
    return bool(wrongs)


if __name__ == "__main__":
    sys.exit(main())
