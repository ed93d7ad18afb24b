"""``benchmark``."""

from __future__ import annotations

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, write_json

__all__ = ["benchmark"]


@click.command(cls=Command)
@click.argument("corpus", required=False)
@click.option("--serving", is_flag=True, required=True, help="How long a decision takes in a conversation.")
@click.option("--json", "json_", metavar="FILE", help="Write the figures as JSON, too.")
@corpus_options
def benchmark(
    corpus: str | None, serving: bool, json_: str | None, format_: str | None, reader: tuple[str, ...]
) -> None:
    """See how fast it is on this machine, next to the same network asked through Keras.

    Without CORPUS on made-up dialogues, 300 features wide; with one, the network that the default settings make of it. Needs
    the extra `train`. Takes a minute, on one core; timings mean little where other programs run.
    """
    from dialog_policy.benchmark.serving import describe_serving, measure_serving

    result = measure_serving(None if corpus is None else read_corpus(corpus, format_, reader))
    if json_:
        write_json(json_, result)
    click.echo(describe_serving(result))
