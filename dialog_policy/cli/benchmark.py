"""``benchmark``."""

from __future__ import annotations

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, write_json

__all__ = ["benchmark"]


@click.command(cls=Command)
@click.argument("corpus", required=False)
@click.option("--serving", is_flag=True, help="Not training, but how long a decision takes in a conversation.")
@click.option("--json", "json_", metavar="FILE", help="Write the figures as JSON, too.")
@corpus_options
def benchmark(
    corpus: str | None, serving: bool, json_: str | None, format_: str | None, reader: tuple[str, ...]
) -> None:
    """See how fast it is on this machine, next to others that do the same.

    Training: on two threads, by turns with Keras as people write it, with PyTorch and with the machine's matrix
    multiplication, what is installed of them; on dialogues as long as STAR's, or as those of CORPUS; and how time and
    memory grow from 1,000 to 100,000 dialogues. Takes some minutes.

    --serving: on one core, next to the same network asked through Keras; on made-up dialogues and 300 features, or on CORPUS
    with the default settings. Takes a minute.

    Needs the extra `train`. Figures mean little where other programs run.
    """
    given = None if corpus is None else read_corpus(corpus, format_, reader)
    if serving:
        from dialog_policy.benchmark.serving import describe_serving, measure_serving

        result = measure_serving(given)
        words = describe_serving(result)
    else:
        from dialog_policy.benchmark.training import describe_training, measure_training

        result = measure_training(None if given is None else [len(dialogue) for dialogue in given])
        words = describe_training(result)
    if json_:
        write_json(json_, result)
    click.echo(words)
