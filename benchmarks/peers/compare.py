"""One run over contenders and corpora, and its table."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contender import CHECKOUT
from dialog_policy import Corpus, evaluate, load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import DialogPolicyError
from dialog_policy.evaluation import PredictionFile

__all__ = ["CONTENDERS", "CORPORA", "compare_peers", "kept_rows", "short_table", "table"]


class Contender(NamedTuple):
    """A program of this folder.

    Attributes
    ----------
    name
        As the table has it.
    command
        Module and arguments after fit or predict, the dialogues and the folder.
    packages
        What is installed to decide, and what to train.
    """

    name: str
    command: tuple[str, ...]
    packages: tuple[str, str]


_OWN = "dialog-policy", "dialog-policy[train]"


CONTENDERS = {
    "own": Contender("this package, defaults", ("benchmarks.peers.own", "defaults"), _OWN),
    "hcn": Contender("setting of a hybrid code network", ("benchmarks.peers.own", "hcn"), _OWN),
    "keras": Contender(
        "Keras LSTM as people write it", ("benchmarks.peers.plain_keras",), ("tensorflow", "tensorflow")
    ),
    "regression": Contender(
        "logistic regression, scikit-learn", ("benchmarks.peers.regression",), ("scikit-learn", "scikit-learn")
    ),
    "rasa": Contender("Rasa 3.6.21, TED policy", ("benchmarks.peers.rasa_ted",), ("rasa", "rasa")),
}
# Corpus: file, options of its reader. Where a corpus has no test part here, its dev part is the test part, and a tenth of the
# training part takes the place of the dev part.
CORPORA: dict[str, tuple[str, dict[str, str]]] = {
    "bundled": ("", {}),
    "babi5": ("dialog-bAbI-tasks.zip", {"task": "5"}),
    "dstc2": ("dstc2.zip", {}),
    "ted": ("ted-paper.zip", {"folder": "e2e-status", "labels": "set"}),
}


def compare_peers(
    corpora: Sequence[str],
    contenders: Sequence[str],
    out: Path,
    public: Path,
    rasa: Path | None,
    most: int | None = None,
    rasa_epochs: int = 100,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each contender on each corpus; what was measured before, in `out`, is not measured again.

    Parameters
    ----------
    corpora, contenders
        Keys of :data:`CORPORA` and :data:`CONTENDERS`.
    out
        Where everything is kept: a folder for each corpus and `most`, in it one for each contender.
    public
        The folder of the public corpora.
    rasa
        Python of an environment that has Rasa; None: Rasa takes no part.
    most
        At most so many dialogues of each part.
    rasa_epochs
        For how many epochs Rasa is trained.

    Raises
    ------
    DialogPolicyError
        If a corpus is not there, or a contender fails.
    """
    for corpus in corpora:
        place = out / (corpus if most is None else f"{corpus}-{most}")
        folder = _dialogues(corpus, place / "dialogues", public, most)
        for key in contenders:
            contender = CONTENDERS[key]
            if key != "rasa":
                yield _row(corpus, contender, folder, place / key, sys.executable)
            elif rasa is not None:
                name = f"{contender.name}, {rasa_epochs} epochs"
                contender = contender._replace(name=name, command=(*contender.command, str(rasa_epochs)))
                yield _row(corpus, contender, folder, place / f"{key}-{rasa_epochs}", str(rasa))


def kept_rows(out: Path, most: int | None = None) -> list[dict[str, Any]]:
    """Return all rows that were ever measured into a folder, in the order of the table: by corpus, dialogues and contender.

    Parameters
    ----------
    out
        The folder.
    most
        Only those that were measured with so many dialogues at most. None: all.
    """
    pattern = "*/*/row.json" if most is None else f"*-{most}/*/row.json"
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob(pattern))]
    places = list(CORPORA), [contender.name for contender in CONTENDERS.values()]

    def order(row: dict[str, Any]) -> tuple[int, int, int, str]:
        contender = next(n for n, name in enumerate(places[1]) if row["contender"].startswith(name))
        return places[0].index(row["corpus"]), row["dialogues"], contender, row["contender"]

    return sorted(rows, key=order)


def _dialogues(corpus: str, folder: Path, public: Path, most: int | None) -> Path:
    if folder.exists():
        return folder
    file, options = CORPORA[corpus]
    whole = load_corpus(public / file if file else CHECKOUT / "corpora" / "desk.jsonl", reader=options)
    sizes = {part: len(whole.split(part)) if part in whole.splits else 0 for part in ("train", "dev", "test")}
    train = list(whole.split("train")) if sizes["train"] else list(whole)
    if corpus == "ted":  # no part is official here: every fifth story is held out
        train, test = [d for n, d in enumerate(train) if n % 5], train[::5]
    else:
        test = list(whole.split("test" if sizes["test"] else "dev"))
    if sizes["test"]:
        dev = list(whole.split("dev"))
    else:
        train, dev = [d for n, d in enumerate(train) if n % 10], train[::10]
    folder.mkdir(parents=True)
    for name, dialogues in (("train", train), ("dev", dev), ("test", test)):
        write_corpus(whole.with_dialogues(dialogues[:most]), folder / f"{name}.jsonl")
    return folder


def _row(corpus: str, contender: Contender, folder: Path, out: Path, python: str) -> dict[str, Any]:
    result = out / "row.json"
    if result.exists():
        kept: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return kept
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    fit_seconds, fit_memory = _process(python, contender, "fit", folder, out)
    _, memory = _process(python, contender, "predict", folder, out)
    timed = json.loads((out / "predict.json").read_text(encoding="utf-8"))
    microseconds = sorted(timed["microseconds"])
    row = {
        "corpus": corpus,
        "dialogues": len((folder / "train.jsonl").read_bytes().splitlines()),
        "contender": contender.name,
        **_accuracy(PredictionFile(out / "predictions.jsonl"), folder),
        "fit_seconds": fit_seconds,
        "fit_mib": fit_memory,
        **({"best_seconds": None} if not (out / "fit.json").exists() else json.loads((out / "fit.json").read_text())),
        "import_seconds": timed["import_seconds"],
        "load_seconds": timed["load_seconds"],
        "installed_mib": _installed(python, contender.packages),
        "decision_us": statistics.median(microseconds),
        "decision_p99_us": microseconds[int(0.99 * len(microseconds))],
        "mib": memory,
        "machine": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }
    result.write_text(json.dumps(row), encoding="utf-8")
    return row


def _accuracy(predictor: Any, folder: Path) -> dict[str, Any]:
    test: Corpus = load_corpus(folder / "test.jsonl")
    evaluation = evaluate(predictor, test).to_json()
    intervals = evaluation["ci95"]
    return {name: [evaluation[name], *intervals[name]] for name in ("turn_accuracy", "micro_f1")}


def _installed(python: str, packages: Sequence[str]) -> list[float]:
    """Return what distributions take on the disk with all that they require, in MiB."""
    command = [python, "-m", "benchmarks.peers.installed", *packages]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    sizes: list[int] = json.loads(done.stdout)
    return [size / (1 << 20) for size in sizes]


def _process(python: str, contender: Contender, command: str, folder: Path, out: Path) -> tuple[float, float]:
    """Run a command of a contender; return its seconds and its peak memory in MiB."""
    module, *arguments = contender.command
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(CHECKOUT),
    }
    begin = time.perf_counter()
    with (out / f"{command}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [python, "-m", module, command, str(folder), str(out), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise DialogPolicyError(f"{contender.name} failed; {out / command}.log says why.")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of two Markdown tables: what is right and what training takes, and what deciding takes."""
    yield "| corpus, training dialogues | policy | turn accuracy | micro F1 | training | to the best epoch |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        timed = ["–" if row[key] is None else f"{row[key]:.0f} s" for key in ("fit_seconds", "best_seconds")]
        yield _line(_place(row), row["contender"], _percent(row["turn_accuracy"]), _percent(row["micro_f1"]), *timed)
    yield ""
    yield "| corpus, training dialogues | policy | decision: median, p99 | import | load | memory: deciding, training | installed: deciding, training |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        yield _line(
            _place(row),
            row["contender"],
            f"{_duration(row['decision_us'])}, {_duration(row['decision_p99_us'])}",
            f"{row['import_seconds']:.1f} s",
            f"{row['load_seconds']:.2f} s",
            f"{row['mib']:,.0f}, {row['fit_mib']:,.0f} MiB",
            "{:,.0f}, {:,.0f} MiB".format(*row["installed_mib"]),
        )


def short_table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table that README has: turn accuracy on each corpus, then what decides on the first one."""
    corpora = list(dict.fromkeys(row["corpus"] for row in rows))
    yield _line("policy", *corpora, "decision, median", "installed")
    yield _line(*["---"] * (len(corpora) + 3))
    places = {(row["contender"], row["corpus"]): row for row in rows}
    for contender in dict.fromkeys(row["contender"] for row in rows):
        own = [places.get((contender, corpus)) for corpus in corpora]
        first = next(row for row in own if row is not None)
        yield _line(
            contender,
            *("–" if row is None else _percent(row["turn_accuracy"]) for row in own),
            _duration(first["decision_us"]),
            f"{first['installed_mib'][0]:,.0f} MiB",
        )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _place(row: dict[str, Any]) -> str:
    return f"{row['corpus']}, {row['dialogues']:,}"


def _percent(value_low_high: Sequence[float]) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * value for value in value_low_high))


def _duration(microseconds: float) -> str:
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:.1f} ms"
