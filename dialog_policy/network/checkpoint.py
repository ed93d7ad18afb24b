"""The state of a training on disk: arrays in safetensors, the rest in the file's metadata as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from dialog_policy.errors import RunError
from dialog_policy.files import atomic_write

__all__ = ["CHECKPOINT", "epochs_done", "read_checkpoint", "write_checkpoint"]

CHECKPOINT = "training.safetensors"


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write what a training needs to go on; the file is whole at any moment."""
    described = msgspec.json.encode({name: value for name, value in state.items() if name != "arrays"})
    with atomic_write(folder / CHECKPOINT) as file:
        _write_tensors(file, state["arrays"], {"state": described.decode()})


def _write_tensors(file: BinaryIO, arrays: dict[str, npt.NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a file of safetensors, an array after the other; ``safetensors.numpy.save`` has every array in memory three times."""
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # so all are aligned
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in order:
        dtype, start, end = arrays[name].dtype, end, end + arrays[name].nbytes
        kind = "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"
        header[name] = {"dtype": kind, "shape": arrays[name].shape, "data_offsets": (start, end)}
    described = msgspec.json.encode(header)
    described += b" " * (-len(described) % 8)
    file.write(len(described).to_bytes(8, "little") + described)
    for name in order:
        little_endian = arrays[name].dtype.newbyteorder("<")
        file.write(np.ascontiguousarray(arrays[name], little_endian).data)


class _State(msgspec.Struct):
    """What is written beside the arrays."""

    history: Annotated[list[dict[str, float]], msgspec.Meta(min_length=1)]
    about: dict[str, Any] = {}
    best: float | None = None
    wait: int | None = None
    first_loss: float | None = None


def epochs_done(path: Path) -> int | None:
    """Return after how many epochs a checkpoint was written; None if it cannot be read."""
    try:
        with safe_open(path, "numpy") as file:
            return len(msgspec.json.decode(file.metadata()["state"], type=_State).history)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote.

    Raises
    ------
    RunError
        If there is none or it cannot be read.
    """
    path = folder / CHECKPOINT
    try:
        with safe_open(path, "numpy") as file:
            state: dict[str, Any] = msgspec.json.decode(file.metadata()["state"])
            msgspec.convert(state, _State)
            state["arrays"] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        if not all(np.isfinite(array).all() for array in state["arrays"].values()):
            raise ValueError("it has a number that is not finite")
    except FileNotFoundError:
        raise RunError(
            f"{folder} has no {CHECKPOINT}: there is no training to resume. Train without --resume."
        ) from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(
            f"{path} is not a training's checkpoint ({error}). Begin anew with --restart (in Python: resume=False)."
        ) from None
    return state
