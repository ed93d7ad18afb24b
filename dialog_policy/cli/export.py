"""``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from dialog_policy.cli.options import Command, say
from dialog_policy.errors import OptionError

__all__ = ["export"]


@click.command(cls=Command)
@click.argument("run")
@click.argument("archive", metavar="FILE.zip")
@click.option("--licence", metavar="TEXT", help="Licence that the model card states.")
@click.option(
    "--evaluation", metavar="FILE", help="File that `evaluate --json` wrote for this run; the card shows its figures."
)
def export(run: str, archive: str, licence: str | None, evaluation: str | None) -> None:
    """Pack the files of a run that serving needs, with a model card, into one archive.

    `Policy.load` and every command that takes a RUN read the archive as it is. Left out: what only further training needs, the
    baselines, logs, reports.
    """
    from dialog_policy.runtime.export import export_run

    figures = None if evaluation is None else _evaluation(evaluation)
    policy = export_run(run, archive, licence=licence, evaluation=figures)
    say(f"{archive} written, {Path(archive).stat().st_size / 1e6:.1f} MB: policy {policy}.")


def _evaluation(path: str) -> dict[str, Any]:
    try:
        evaluation = msgspec.json.decode(Path(path).read_bytes())
    except OSError as error:
        raise OptionError(f"the evaluation {path} cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise OptionError(f"the evaluation {path} is not JSON: {error}.") from None
    if not isinstance(evaluation, dict):
        raise OptionError(f"the evaluation {path} is not a file that `evaluate --json` writes: expected a JSON object.")
    return evaluation
