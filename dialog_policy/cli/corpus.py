"""``inspect`` and ``convert``."""

from __future__ import annotations

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, say, write_json
from dialog_policy.corpus.statistics import describe, summarise
from dialog_policy.corpus.write import write_corpus

__all__ = ["convert", "inspect"]


@click.command(cls=Command)
@click.argument("corpus")
@corpus_options
@click.option("--json", "json_", metavar="FILE", help="Write everything as JSON, too.")
def inspect(corpus: str, format_: str | None, reader: tuple[str, ...], json_: str | None) -> None:
    """Say what is in a corpus: dialogues, turns, lengths, actions, problems."""
    summary = summarise(read_corpus(corpus, format_, reader))
    if json_:
        write_json(json_, summary)
    click.echo(describe(summary))


@click.command(cls=Command)
@click.argument("corpus")
@click.argument("out")
@corpus_options
def convert(corpus: str, out: str, format_: str | None, reader: tuple[str, ...]) -> None:
    """Write a corpus as JSON Lines, CSV, TSV or Parquet, by OUT's suffix."""
    found = read_corpus(corpus, format_, reader)
    write_corpus(found, out)
    say(f"{len(found)} dialogues with {found.n_turns} turns written to {out}.")
