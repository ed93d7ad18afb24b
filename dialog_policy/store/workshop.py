"""Where a store is made: beside its place, in steps that are each done once, however often a process is killed between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dialog_policy.corpus.stored import is_store
from dialog_policy.errors import RunError
from dialog_policy.files import locked, recover_folder, refusals, replace_folder

__all__ = ["WORK", "once", "workshop"]

# Folder of what is needed only while a store is made.
WORK = "work"
_REQUEST = "request.json"

_T = TypeVar("_T")


def once(receipt: Path, kind: type[_T], make: Callable[[], _T]) -> _T:
    """Return what a finished step has left in its receipt; do it, and write the receipt, if it is not finished.

    Parameters
    ----------
    receipt
        The file.
    kind
        What it holds.
    make
        Does the step.

    Raises
    ------
    OptionError
        If the disk is full.
    """
    try:
        return msgspec.msgpack.decode(receipt.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        pass
    with refusals(receipt.parent, of_disk=True):
        made = make()
        aside = receipt.with_name(f"{receipt.name}.partial")
        aside.write_bytes(msgspec.msgpack.encode(made))
        aside.replace(receipt)
    return made


@contextmanager
def workshop(store: Path, request: dict[str, Any], say: Callable[[str], None]) -> Iterator[Path]:
    """Hold the place of a store, and give the folder in which it is made; then it takes its place in one step.

    If something goes wrong the folder stays as it is, and the next call with the same request goes on in it.

    Parameters
    ----------
    store
        The store's place. A store that is there is replaced when the new one is finished.
    request
        All that the result depends on.
    say
        Tells the user what happens to what an earlier call has left.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    RunError
        If another process makes this store, or there is something else at its place.
    OptionError
        If nothing can be written there.
    """
    with locked(store, "preparing a store"):
        recover_folder(store)
        _check_replaceable(store)
        folder = store.with_name(f"{store.name}.partial")
        wanted = msgspec.json.encode(request, order="deterministic")
        with refusals(store):
            if folder.exists():
                _check_ours(folder)
                if (folder / _REQUEST).read_bytes() == wanted:
                    say(f"Continuing in {folder}, where an earlier call stopped.")
                else:
                    say(f"Discarding {folder}: it belongs to another corpus or to other settings.")
                    shutil.rmtree(folder)
            if not folder.exists():
                (folder / WORK).mkdir(parents=True)
                (folder / _REQUEST).write_bytes(wanted)
        yield folder
        with refusals(store):
            shutil.rmtree(folder / WORK)
            (folder / _REQUEST).unlink()
        replace_folder(folder, store)


def _check_replaceable(store: Path) -> None:
    if store.is_dir() and any(store.iterdir()) and not is_store(store):
        raise RunError(f"{store} exists and is not a store. Name another folder, or remove this one.")


def _check_ours(folder: Path) -> None:
    if not (folder / _REQUEST).is_file():
        raise RunError(f"{folder} exists and is not from an interrupted `prepare`. Remove it, or name another store.")
