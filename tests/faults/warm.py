"""A warmed process that forks one child for each order: ``python -m tests.faults.warm [train]``, with the faults preloaded.

Orders come as a JSON object a line on stdin, answers leave the same way. The parent imports and computes nothing else, so a child
begins where a fresh process is after its imports.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback

from dialog_policy.corpus.readers import readers

# Seconds after which a child counts as one that hangs: far more than any takes, on any machine.
_HANGS = 300


def _imported(train: bool) -> None:
    for module in ("cli", "runtime.export", "corpus.append", "corpus.download", "report", "evaluation"):
        importlib.import_module(f"dialog_policy.{module}")
    importlib.import_module("tests.faults.actions")
    for module in (
        "matplotlib.figure",
        "jinja2",
        "pooch",
        "requests",
        "pyarrow.parquet",
        "onnxruntime",
        "yaml",
    ):
        importlib.import_module(module)
    for module in (
        "corpus.readers",
        "evaluation.prediction_files",
        "baselines",
        "runtime.predicting",
        "policy.config",
        "serving.app",
        "serving.server",
    ):
        importlib.import_module(f"dialog_policy.{module}")
    readers()
    if train:
        from dialog_policy.network.backend import load_keras

        load_keras()
        for module in ("policy", "policy.fitting", "network.training", "serving.retrain"):
            importlib.import_module(f"dialog_policy.{module}")


def _obey(order: dict[str, object], library: ctypes.CDLL) -> int:
    """Do in the child what is ordered; return the exit code."""
    os.environ.update(order["environment"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        opened = os.open(order[name], os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    module, _, function = order["function"].partition(":")
    called = getattr(importlib.import_module(module), function)
    library.set_fault(order["kind"], order["at"], order["error"], order["of_reads"], os.fsencode(order["folder"]))
    try:
        code = called(*order["arguments"])
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 70
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 70
    return code if isinstance(code, int) else 0


def main(train: str = "") -> None:
    """Take orders until stdin ends."""
    library = ctypes.CDLL(None)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _imported(train == "train")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            code = 70
            signal.alarm(_HANGS)
            try:
                code = _obey(order, library)
            finally:
                os._exit(code)
        print(json.dumps({"pid": child}), file=answers, flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code, "calls": library.count_calls()}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
