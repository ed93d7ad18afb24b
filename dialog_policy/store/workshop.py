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

# Folder of what is needed only while a store is made: the request, and receipts of the steps that are finished. It comes and goes in
# one step, by its name, so that a process that is killed leaves a folder to go on in, or a store that only has to take its place.
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
        If the receipt cannot be written, or the disk is full.
    """
    try:
        return msgspec.msgpack.decode(receipt.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        pass
    with refusals(receipt.parent, of_disk=True):
        made = make()
    with refusals(receipt.parent):
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
        folder, aside = store.with_name(f"{store.name}.partial"), store.with_name(f".{store.name}.work")
        discarded = store.with_name(f".{store.name}.discarded")
        wanted = msgspec.json.encode(request, order="deterministic")
        with refusals(store):
            shutil.rmtree(discarded, ignore_errors=True)
            _bring_back(aside, folder)
            if folder.exists():
                _check_ours(folder)
                if _request(folder) == wanted:
                    say(f"Continuing in {folder}, where an earlier call stopped.")
                else:
                    if any(folder.iterdir()):
                        say(f"Discarding {folder}: it belongs to another corpus or to other settings.")
                    folder.rename(discarded)
                    shutil.rmtree(discarded)
            if not folder.exists():
                aside.mkdir()
                (aside / _REQUEST).write_bytes(wanted)
                folder.mkdir()
                aside.rename(folder / WORK)
        with refusals(folder, of_disk=True):
            yield folder
        with refusals(store):
            (folder / WORK).rename(aside)
        replace_folder(folder, store)
        with refusals(store):
            shutil.rmtree(aside)


def _bring_back(aside: Path, folder: Path) -> None:
    """Go back to before the last step if a process was killed in it; remove what was left of one killed in its first or after its last."""
    if not aside.exists():
        return
    if folder.exists() and not (folder / WORK).exists():
        aside.rename(folder / WORK)
    else:
        shutil.rmtree(aside)


def _request(folder: Path) -> bytes:
    place = folder / WORK / _REQUEST
    return place.read_bytes() if place.exists() else b""


def _check_replaceable(store: Path) -> None:
    if store.is_dir() and any(store.iterdir()) and not is_store(store):
        raise RunError(f"{store} exists and is not a store. Name another folder, or remove this one.")


def _check_ours(folder: Path) -> None:
    if any(folder.iterdir()) and not (folder / WORK / _REQUEST).is_file():
        raise RunError(f"{folder} exists and is not from an interrupted `prepare`. Remove it, or name another store.")
