"""Fitting the baselines in a process of their own: ``dialog_policy.baselines.process.main`` is what it runs.

A thread would share Python's lock with the training, and scikit-learn would be imported while TensorFlow is. The process imports
it meanwhile, on a core that is free, and waits for the dialogues. What it returns has the same bits as :func:`fit_baselines` in the caller's own process.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.errors import require
from dialog_policy.executor import cores
from dialog_policy.threads import InBackground

__all__ = ["BaselineParts", "FitsBaselines", "fits_baselines", "main"]

# What a run stores of baselines: see FittedBaselines.to_parts.
BaselineParts = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]

# The child is found where this process has found the package, whatever the caller has added to the path.
_CODE = "import sys; sys.path[:] = {path!r}; from dialog_policy.baselines.process import main; main()"
_LENGTH_BYTES = 8
_DESCRIBED = "described"


class _Order(msgspec.Struct, array_like=True):
    """What is to be fitted; of the corpus, what the baselines look at."""

    dialogues: list[Dialogue]
    actions: list[str]
    tokenizer: str
    seed: int


class FitsBaselines:
    """Fits baselines beside what the caller does: in the process given, or in a thread.

    Parameters
    ----------
    process
        Runs :func:`main`; None: there is none.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process
        self._is_over = False

    def begin(self, corpus: Corpus, space: ActionSpace, *, tokenizer: str, seed: int) -> InBackground[BaselineParts]:
        """Begin to fit the baselines; parameters as for :func:`~dialog_policy.baselines.fit.fit_baselines`."""

        def here() -> BaselineParts:
            return fit_baselines(corpus, space, tokenizer=tokenizer, seed=seed).to_parts()

        process = self._process
        if process is None:
            return InBackground(here)

        def there() -> BaselineParts:
            try:
                order = _Order(list(corpus), list(space), tokenizer, seed)
                return _ask(process, msgspec.msgpack.encode(order))
            except (OSError, SafetensorError, TypeError, ValueError, KeyError, msgspec.MsgspecError):
                if self._is_over:
                    raise
                # It has ended, for whatever reason, or the dialogues have something that is not JSON.
                return here()

        return InBackground(there)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._is_over = True
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent any more
                pipe.close()


def _ask(process: subprocess.Popen[bytes], order: bytes) -> BaselineParts:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(order).to_bytes(_LENGTH_BYTES, "big") + order)
    process.stdin.flush()
    answer = process.stdout.read()
    header = int.from_bytes(answer[:_LENGTH_BYTES], "little")  # a safetensors file begins with the length of its header
    described = msgspec.json.decode(answer[_LENGTH_BYTES : _LENGTH_BYTES + header])["__metadata__"][_DESCRIBED]
    return msgspec.json.decode(described, type=dict[str, Any]), load(answer)


@contextlib.contextmanager
def fits_baselines(*, apart: bool) -> Iterator[FitsBaselines]:
    """Within it, baselines can be fitted beside what the caller does; whatever goes on then is ended in the end.

    Parameters
    ----------
    apart
        Whether a process of its own may be started. It is only where it gains: if this process would have to import
        scikit-learn first and has more than one core. If the process ends before it should, a thread of this one takes its place.
    """
    process = None
    if apart and "sklearn" not in sys.modules and cores() > 1 and sys.executable:
        with contextlib.suppress(OSError):  # no more processes, or no memory for them: a thread does as well
            process = subprocess.Popen(
                [sys.executable, "-c", _CODE.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
    fits = FitsBaselines(process)
    try:
        yield fits
    finally:
        fits.end()


def main() -> None:
    """Read an order from stdin, and write the baselines to stdout; end as soon as stdin does, which the caller keeps open."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the caller's to handle
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    require("sklearn.linear_model", extra="train", purpose="fitting the baselines")
    order = msgspec.msgpack.decode(orders.get(), type=_Order)
    fitted = fit_baselines(
        Corpus(order.dialogues), ActionSpace(order.actions), tokenizer=order.tokenizer, seed=order.seed
    )
    described, arrays = fitted.to_parts()
    sys.stdout.buffer.write(save(arrays, {_DESCRIBED: msgspec.json.encode(described).decode()}))
    sys.stdout.flush()
    os._exit(0)  # what was imported need not be taken apart


def _read(orders: queue.SimpleQueue[bytes]) -> None:
    """Pass on the order, and end the process when stdin ends, whatever it does."""
    length = int.from_bytes(sys.stdin.buffer.read(_LENGTH_BYTES), "big")
    content = sys.stdin.buffer.read(length)
    if length and len(content) == length:
        orders.put(content)
        sys.stdin.buffer.read(1)
    os._exit(0)
