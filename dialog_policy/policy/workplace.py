"""Where a run is made: beside its place, with a checkpoint after every epoch, one training at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dialog_policy.errors import DivergenceError, RunError, counted
from dialog_policy.files import atomic_folder, locked, recover_folder, refusals, replace_folder
from dialog_policy.network.checkpoint import CHECKPOINT, epochs_done
from dialog_policy.runtime.folder import LOGS, check_target, partial_folder
from dialog_policy.runtime.run_reader import MANIFEST

__all__ = ["workplace"]


@contextmanager
def workplace(run: Path, resume: bool | None) -> Iterator[Path]:
    """Hold the place of a run, and make the folder in which it is trained; a finished run then takes its place.

    A finished run is recognised by its manifest, which is written last. If the training ends otherwise, the folder stays for as
    long as a checkpoint in it makes it worth something: after an interruption, and when the training diverges.

    Parameters
    ----------
    run
        The run's place. A run that is there is replaced when the new one is finished, in one step.
    resume
        True: go on from the checkpoint of an interrupted training, or of the run itself. False: begin anew, and discard a
        checkpoint. None: begin anew; a checkpoint is refused, so that it is not lost unasked.

    Yields
    ------
    Path
        The folder to work in.

    Raises
    ------
    RunError
        If another process writes this run; there is something else at its place; there is a checkpoint and `resume` is None;
        there is none and `resume` is True.
    OptionError
        If the place cannot be written.
    DivergenceError
        Of the training, with a sentence more about what is kept.
    """
    check_target(run)
    with locked(run, "training"):
        recover_folder(run)
        folder = partial_folder(run)
        _settle(folder, run)
        _prepare(folder, run, resume)
        try:
            with refusals(folder, of_disk=True):  # Keras' own logs are written there, too
                yield folder
            if (folder / MANIFEST).exists():
                check_target(run)
                replace_folder(folder, run)
        except DivergenceError as error:
            raise DivergenceError(error.problem, _kept(folder)) from error
        finally:
            if not (folder / CHECKPOINT).exists():
                shutil.rmtree(folder, ignore_errors=True)


def _kept(folder: Path) -> str:
    """Say what a training that has diverged leaves: the checkpoint of its last good epoch, if there was one."""
    done = epochs_done(folder / CHECKPOINT) if (folder / CHECKPOINT).exists() else None
    if done is None:
        return "Nothing of it is kept."
    return (
        f"The weights after epoch {done} are kept in {folder}: --resume --set epochs={done} (in Python: epochs={done} and "
        "resume=True) makes a run of them, --restart (resume=False) begins anew."
    )


def _settle(folder: Path, run: Path) -> None:
    """Finish what a process was killed at that had just finished a run: of two whole runs the newer one has the name."""
    if not (folder / MANIFEST).exists():
        return
    if not run.exists() or _written(folder / MANIFEST) > _written(run / MANIFEST):
        replace_folder(folder, run)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _prepare(folder: Path, run: Path, resume: bool | None) -> None:
    if folder.exists() and not _is_ours(folder):
        raise RunError(
            f"{folder} exists and is not from an interrupted training. Training needs this folder: remove it, or name "
            "another run."
        )
    checkpoint = folder / CHECKPOINT
    if resume is None and checkpoint.exists():
        done = epochs_done(checkpoint)
        state = "a checkpoint that cannot be read" if done is None else f"a checkpoint after {counted(done, 'epoch')}"
        date = datetime.fromtimestamp(checkpoint.stat().st_mtime).astimezone().strftime("%Y-%m-%d %H:%M")
        raise RunError(
            f"an interrupted training left {state} in {folder}, written {date}. Continue it with --resume, or discard it "
            "and begin anew with --restart (in Python: resume=True or resume=False)."
        )
    if resume and not checkpoint.exists():
        if not (run / CHECKPOINT).exists():
            raise RunError(
                f"there is no training to resume at {run}: neither {folder} nor the run itself has a checkpoint "
                f"({CHECKPOINT}). Train without --resume."
            )
        with atomic_folder(folder) as copy:
            shutil.copyfile(run / CHECKPOINT, copy / CHECKPOINT)
    elif not resume:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()


def _is_ours(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    return not names or LOGS in names or CHECKPOINT in names
