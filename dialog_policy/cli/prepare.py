"""``prepare``."""

from __future__ import annotations

from typing import Any

import click

from dialog_policy.cli.executors import executor_options, opened_executor
from dialog_policy.cli.options import Command, assignments, corpus_options, say
from dialog_policy.errors import counted
from dialog_policy.executor import cores

__all__ = ["prepare"]


@click.command(cls=Command)
@click.argument("corpora", metavar="CORPUS...", nargs=-1, required=True)
@click.argument("store")
@click.option(
    "--split",
    default="train",
    show_default=True,
    help="Part of the corpus to train on later; `all` for the whole corpus, `none` if the store is only for evaluation.",
)
@click.option(
    "--dev",
    default="auto",
    show_default=True,
    metavar="SPLIT|inner|none|auto",
    help="Validation part of that training, as for `train`.",
)
@click.option("--config", metavar="FILE.toml", help="File with settings of encoders, one KEY = VALUE per line.")
@click.option(
    "--set", "set_", multiple=True, metavar="KEY=VALUE", help="Single settings, such as seed=1. Takes several."
)
@executor_options("one per core")
@corpus_options
def prepare(
    corpora: tuple[str, ...],
    store: str,
    split: str,
    dev: str,
    config: str | None,
    set_: tuple[str, ...],
    processes: int | None,
    ray: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Turn a corpus of any size into a STORE: shards on disk, which every command accepts as CORPUS.

    The corpus is streamed and never held in memory as a whole. After an interruption, the same command continues where it
    stopped. docs/store.md describes stores.
    """
    from dialog_policy.features.stored import features_of
    from dialog_policy.policy.config import make_config, parse_settings, read_settings
    from dialog_policy.store import prepare as make

    settings: dict[str, Any] = {**(read_settings(config) if config else {}), **parse_settings(set_)}
    with opened_executor(processes, ray, cores()) as executor:
        made = make(
            corpora,
            store,
            config=make_config(settings),
            split=split,
            dev=dev,
            format=format_,
            reader=assignments(reader, "--reader"),
            executor=executor,
            say=say,
        )
    shards = counted(len(made.manifest.shards), "shard")
    say(f"{counted(len(made), 'dialogue')} ({counted(made.n_turns, 'turn')}) are in {store}, in {shards}.")
    if not made.manifest.has_features:
        return
    features = features_of(made)
    n_train, n_dev = (sum(s.dialogues for s in part) for part in (features.train, features.dev_shards))
    say(f"Features: {counted(n_train, 'dialogue')} to train on, {n_dev:,} to validate on.")
    for part, (seen, texts) in features.svd_texts.items():
        if seen < texts:
            say(f"The SVD was fitted on {seen:,} of the {texts:,} {part} texts of the training part, evenly spread.")
