"""``benchmark``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import click

import dialog_policy
from dialog_policy.cli.options import Command, corpus_options, read_corpus, write_json
from dialog_policy.errors import OptionError

__all__ = ["benchmark"]


@click.command(cls=Command)
@click.argument("corpus", required=False)
@click.option(
    "--serving", is_flag=True, help="Measure how long a decision in a conversation takes, instead of training."
)
@click.option("--json", "json_", metavar="FILE", help="Also write the figures as JSON.")
@corpus_options
def benchmark(
    corpus: str | None, serving: bool, json_: str | None, format_: str | None, reader: tuple[str, ...]
) -> None:
    """Measure the speed of training or serving on this machine.

    By default it measures training on two threads and compares it with plain Keras code, with PyTorch (if installed) and with
    the machine's matrix multiplication. The dialogues are as long as STAR's or as those of CORPUS. It also measures how time
    and memory grow from 1,000 to 100,000 dialogues. This takes some minutes.

    With --serving it measures decisions on one core and compares them with the same network called through Keras. It uses
    made-up dialogues and 300 features, or CORPUS with the default settings. This takes a minute.

    The command needs the extra `train` and a source checkout, whose folder benchmarks/ has the harnesses. The figures mean
    little while other programs are running.
    """
    harness = _harness("serving" if serving else "training")
    dialogues = None if corpus is None else read_corpus(corpus, format_, reader)
    if serving:
        result = harness.measure_serving(dialogues)
        text = harness.describe_serving(result)
    else:
        result = harness.measure_training(None if dialogues is None else [len(dialogue) for dialogue in dialogues])
        text = harness.describe_training(result)
    if json_:
        write_json(json_, result)
    click.echo(text)


def _harness(name: str) -> ModuleType:
    """Import a module of the folder ``benchmarks`` that a source checkout has beside the package."""
    checkout = Path(dialog_policy.__file__).resolve().parent.parent
    if not (checkout / "benchmarks" / f"{name}.py").is_file():
        raise OptionError(
            "benchmark: the harnesses are not part of the installed package; clone the source repository and run "
            "./scripts/benchmark there"
        )
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    return importlib.import_module(f"benchmarks.{name}")
