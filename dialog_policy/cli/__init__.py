"""The command line: one thin command a verb."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Any

import click

from dialog_policy.cli.benchmark import benchmark
from dialog_policy.cli.chat import chat
from dialog_policy.cli.compare import compare
from dialog_policy.cli.corpus import convert, download, inspect, split, validate
from dialog_policy.cli.evaluate import evaluate, predict, score
from dialog_policy.cli.export import export
from dialog_policy.cli.prepare import prepare
from dialog_policy.cli.serve import serve
from dialog_policy.cli.train import train
from dialog_policy.cli.tune import tune
from dialog_policy.cli.value import value
from dialog_policy.corpus.readers import ADDRESSES, readers
from dialog_policy.errors import did_you_mean

__all__ = ["main"]


class _Group(click.Group):
    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Run the command line; that of this process, if `args` is None, and then end the process."""
        try:
            return super().main(args, *rest, **options)
        except SystemExit as end:
            if args is None and "tensorflow" in sys.modules:
                _end_at_once(end.code)
            raise

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.commands)
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the first sentence of their help, in full."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=500)) for name, command in self.commands.items()]
            )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the formats that CORPUS may have."""
        with formatter.section("Formats of CORPUS (recognised automatically; --format NAME overrides)"):
            formatter.write_dl([(reader.name, reader.help) for reader in (*readers().values(), *ADDRESSES.values())])


def _end_at_once(code: object) -> None:
    """End a process that has imported TensorFlow: Python would take more than half a second to take its modules apart."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if not isinstance(code, int) or not all(thread.daemon for thread in others):
        return
    atexit._run_exitfuncs()  # noqa: SLF001 (what os._exit leaves out)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dialog-policy")
def main() -> None:
    """Train a policy that predicts a dialogue system's next actions, and measure how often it is right.

    \b
    dialog-policy inspect  corpora/desk.jsonl
    dialog-policy train    corpora/desk.jsonl --out runs/desk
    dialog-policy evaluate runs/desk corpora/desk.jsonl --html report.html
    dialog-policy chat     runs/desk

    CORPUS is a file, a folder or a .zip/.tar.gz in one of the formats below. RUN is the folder that `train` writes.
    `dialog-policy COMMAND --help` describes a command.
    """  # noqa: D301 (the backslash-b is a mark of click's, which leaves the lines after it as they are)


for _command in (
    inspect,
    validate,
    convert,
    split,
    download,
    prepare,
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
