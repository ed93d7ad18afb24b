"""The run before a retraining, kept beside the run so that it can come back."""

from __future__ import annotations

from pathlib import Path

from dialog_policy.files import copy_folder, exchange_folders, locked, replace_folder

__all__ = ["previous_of", "restore_previous", "take_over"]


def previous_of(run: Path) -> Path:
    """Return where the run before the last retraining is kept."""
    return run.with_name(f"{run.name}.before")


def take_over(new: Path, run: Path) -> None:
    """Give a finished run the place of `run`, and keep the one before it beside it; at no moment is there none."""
    copy_folder(run, previous_of(run))
    replace_folder(new, run)


def restore_previous(run: Path) -> None:
    """Exchange a run and the one before it.

    Raises
    ------
    RunError
        If another process is writing the run.
    """
    restored = run.with_name(f"{run.name}.restored")
    with locked(run, "restoring the previous policy"):
        if exchange_folders(run, previous_of(run)):
            return
        copy_folder(previous_of(run), restored)
        take_over(restored, run)
