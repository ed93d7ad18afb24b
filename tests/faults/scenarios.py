"""The commands that are disturbed, and what is in their folders before."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    """What happens at a call: `kind` as in faults.c, with an error number, and whether calls that read or that change are meant.

    With `disk` it is no call: the folder is a file system of its own, with so many KiB left.
    """

    name: str
    kind: int
    error: int = 0
    of_reads: bool = False
    disk: bool = False


KILLS = (Fault("killed before the call", KILL), Fault("killed in the call", TORN))
ERRORS = (
    Fault("disk full", ERROR_FROM, errno.ENOSPC),
    Fault("permission taken away", ERROR_FROM, errno.EACCES),
    Fault("input/output error", ERROR_ONCE, errno.EIO),
    Fault("input/output error when reading", ERROR_FROM, errno.EIO, of_reads=True),
)
SMALL_DISK = Fault("file system of its own is full", COUNT, disk=True)


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


def with_run(*names: str) -> Callable[[Path], None]:
    """Return what prepares a folder with the run, a corpus, and old outputs of these names."""

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
    with_run()(folder)
    (folder / "parts").mkdir()
    for part in ("train", "dev"):
        shutil.copy(folder / "old.jsonl", folder / "parts" / f"{part}.jsonl")


def _with_copy_of_run(*names: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        with_run()(folder)
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
    prepare = ("prepare", "{}/corpus.jsonl", "{}/store", "--split", "all", "--dev", "inner", "--processes", "1")
    prepare = (
        *prepare,
        *(word for part in ("user", "system", "context") for word in ("--set", f'{part}=[{{kind="bits"}}]')),
    )
    evaluation = ("evaluate", "{}/run", "{}/corpus.jsonl", "--split", "all", "--resamples", "20")
    forms = ("--json", "{}/e.json", "--html", "{}/e.html", "--markdown", "{}/e.md", "--csv", "{}/csv")
    order = {"number": 1, "run": "{}/trained", "corpus": {"paths": ["{}/corpus.jsonl"]}, "saved": "{}/added.jsonl"}

    def _with_trained(folder: Path) -> None:
        with_run()(folder)
        lines = DIALOGUES.read_text().splitlines(keepends=True)
        (folder / "corpus.jsonl").write_text("".join(lines[:4]))
        (folder / "added.jsonl").write_text("".join(lines[4:]))

    def listed(folder: Path) -> None:
        files = {name: sha256(text).hexdigest() for name, text in FETCHED.items()}
        about = {"title": "t", "licence": "l", "citation": "c", "homepage": "h", "format": "jsonl"}
        (folder / "list.json").write_text(json.dumps({"c": {**about, "url": "{file}", "files": files}}))

    return [
        Scenario(
            "convert", command, ("convert", "{}/corpus.jsonl", "{}/out.csv", "--force"), with_run("out.csv"), ("out.csv",)
        ),
        Scenario("convert to Parquet", command, ("convert", "{}/corpus.jsonl", "{}/new/out.parquet", "--force"), with_run(), ("new/out.parquet",)),
        Scenario(
            "split", command, ("split", "{}/corpus.jsonl", "{}/parts", "--force", "--parts", "train=0.6", "--parts", "dev=0.4"),
            _with_old_split, ("parts",),
        ),
        Scenario(
            "predict", command,
            ("predict", "{}/run", "{}/corpus.jsonl", "--split", "all", "--out", "{}/p.jsonl"), with_run("p.jsonl"), ("p.jsonl",),
        ),
        Scenario(
            "evaluate", command, (*evaluation, *forms), with_run("e.json", "e.html", "e.md"), ("e.json", "e.html", "e.md"),
        ),
        Scenario(
            "evaluate --plots", command, (*evaluation, "--plots", "{}/plots"), with_run("plots/accuracy.svg"), (),
        ),
        Scenario("export", command, ("export", "{}/run", "{}/run.zip"), with_run("run.zip"), ("run.zip",)),
        Scenario("append", f"{actions}:append", ("{}/old.jsonl", "{}/added.jsonl"), with_run(), ("old.jsonl",)),
        Scenario("save", f"{actions}:save", ("{}/run", "{}/other"), _with_copy_of_run("other"), ("other",)),
        Scenario(
            "restore", f"{actions}:restore", ("{}/run",), _with_other_before, ("run", "run.before"),
            undoes_itself=True,
        ),
        Scenario(
            "cache", f"{actions}:encoded", ("{}/corpus.jsonl",), with_run(), ("cache",),
            environment={"DIALOG_POLICY_CACHE": "{}/cache"}, may_recover=True,
        ),
        Scenario(
            "download", f"{actions}:download", ("c", "{}/list.json", mirror, "{}/cache"), listed,
            tuple(f"cache/c/{name}" for name in FETCHED),
        ),
        Scenario(
            "prepare", command, prepare, with_run(), ("store",),
        ),
        Scenario(
            "train", command, train, with_run(), ("trained",), train=True, retry=_resumed("trained", *train),
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

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that are gone: they were killed."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
