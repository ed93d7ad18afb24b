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
@click.option("--serving", is_flag=True, help="Measure how long a decision takes in a conversation, not training.")
@click.option("--json", "json_", metavar="FILE", help="Write the figures as JSON, too.")
@corpus_options
def benchmark(
    corpus: str | None, serving: bool, json_: str | None, format_: str | None, reader: tuple[str, ...]
) -> None:
    """Measure the speed of training or serving on this machine.

    Training runs on two threads, next to Keras as people write it, to PyTorch and to the machine's matrix multiplication,
    as far as they are installed. The dialogues are as long as STAR's or as those of CORPUS. Time and memory are also
    measured as the corpus grows from 1,000 to 100,000 dialogues. This takes some minutes.

    --serving runs on one core, next to the same network called through Keras. It uses made-up dialogues and 300 features,
    or CORPUS with the default settings. This takes a minute.

    The command needs the extra `train` and a source checkout, whose folder benchmarks/ holds the harnesses. Figures mean
    little where other programs run.
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
