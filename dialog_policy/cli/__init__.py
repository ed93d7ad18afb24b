"""The command line: one thin command a verb."""

from __future__ import annotations

from typing import Any

import click

from dialog_policy.cli.benchmark import benchmark
from dialog_policy.cli.chat import chat
from dialog_policy.cli.compare import compare
from dialog_policy.cli.corpus import convert, download, inspect, split, validate
from dialog_policy.cli.evaluate import evaluate, predict, score
from dialog_policy.cli.export import export
from dialog_policy.cli.serve import serve
from dialog_policy.cli.train import train
from dialog_policy.cli.tune import tune
from dialog_policy.cli.value import value
from dialog_policy.errors import did_you_mean

__all__ = ["main"]


class _Group(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.commands)
            raise click.UsageError(f"{error.message}{hint}", ctx) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dialog-policy")
def main() -> None:
    r"""Train a policy that predicts a dialogue system's next actions, and see how often it is right.

    \b
    dialog-policy inspect  corpora/desk.jsonl
    dialog-policy train    corpora/desk.jsonl --out runs/desk
    dialog-policy evaluate runs/desk corpora/desk.jsonl --html report.html
    dialog-policy chat     runs/desk

    CORPUS is a file, a folder or a .zip/.tar.gz in any known format: JSON Lines, CSV, TSV, Parquet, plain transcript, STAR,
    dialog bAbI, ConvLab's unified format. RUN is the folder that `train` writes.
    """


for _command in (
    inspect,
    validate,
    convert,
    split,
    download,
    train,
    tune,
    evaluate,
    predict,
    score,
    compare,
    value,
    export,
    chat,
    serve,
    benchmark,
):
    main.add_command(_command)
