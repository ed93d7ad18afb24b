"""``train``."""

from __future__ import annotations

from typing import Any

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, say
from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, RunError
from dialog_policy.runtime.folder import aside, check_target

__all__ = ["choose_dev", "train"]


def choose_dev(dev: str, corpus: Corpus, format_: str | None, reader: tuple[str, ...]) -> Corpus | str | None:
    """Return the dev part that ``--dev`` names: a split of the corpus, ``inner``, ``none``, or another corpus."""
    if dev == "none":
        return None
    if dev == "inner":
        return dev
    if dev in corpus.splits:
        try:
            return corpus.split(dev)
        except CorpusError:  # the hash may leave a small corpus' dev part empty
            return None
    return read_corpus(dev, format_, reader)


@click.command(cls=Command)
@click.argument("corpus")
@click.option("--out", required=True, metavar="RUN", help="Folder to write the run to.")
@click.option(
    "--split", default="train", show_default=True, help="Part of the corpus to train on; `all` for the whole."
)
@click.option(
    "--dev",
    default="dev",
    show_default=True,
    metavar="SPLIT|CORPUS|inner|none",
    help="What to stop by: a part of the corpus, another corpus, an inner tenth of the training part, or nothing. "
    "A part with fewer than 20 dialogues is not used: training then runs for a fixed number of epochs.",
)
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    default=None,
    help="What Keras computes with (extra `jax`).  [default: $KERAS_BACKEND or tensorflow]",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Settings and reader options that did best on a known corpus: babi5, babi6, dstc2, sgd, sim-m, star. "
    "--config, --set and --reader change them.",
)
@click.option("--config", metavar="FILE.toml", help="Settings, one KEY = VALUE a line.")
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="KEY=VALUE",
    help="Single settings, such as hidden=256 epochs=30. Takes several.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted, as if it had not been.")
@corpus_options
def train(
    corpus: str,
    out: str,
    split: str,
    dev: str,
    backend: str | None,
    recipe: str | None,
    config: str | None,
    set_: tuple[str, ...],
    resume: bool,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Train a policy on a corpus and write it to a run folder.

    The settings and what they mean: docs/training.md.
    """
    from pathlib import Path

    from dialog_policy.network.backend import choose_backend
    from dialog_policy.policy import DialogPolicy, make_config
    from dialog_policy.policy.config import parse_settings, read_settings
    from dialog_policy.policy.recipes import load_recipe

    if backend is not None:
        choose_backend(backend)
    settings: dict[str, Any] = {}
    if recipe is not None:
        settings, options = load_recipe(recipe)
        reader = (*(f"{name}={value}" for name, value in options.items()), *reader)
    if config is not None:
        settings.update(read_settings(config))
    policy = DialogPolicy(make_config({**settings, **parse_settings(set_)}))
    check_target(Path(out))
    found = read_corpus(corpus, format_, reader)
    part = found.split(split)
    try:
        policy.fit(part, choose_dev(dev, found, format_, reader), out=out, resume=resume)
    except KeyboardInterrupt:
        if aside(Path(out)).exists():
            raise RunError(
                f"stopped. The last finished epoch is kept in {aside(Path(out))}; go on with the same command and --resume."
            ) from None
        raise
    info = policy.runtime_.info
    used = info["corpus"]["dev"]
    best = max((row["dev_turn_accuracy"] for row in policy.history_ if "dev_turn_accuracy" in row), default=None)
    say(
        f"Trained on {info['corpus']['train']['dialogues']} dialogues ({info['corpus']['train']['turns']} turns, "
        f"{len(policy.actions_)} actions) for {len(policy.history_)} epochs"
        + (f"; best turn accuracy on {used['dialogues']} dev dialogues {best:.3f}" if used and best is not None else "")
        + f". The run is in {out}."
    )
    if info["fallback"] is not None:
        below, coverage, precision = (info["fallback"][name] for name in ("below", "coverage", "precision"))
        say(
            f"Acting from a confidence of {below:.2f}, it is right in {precision:.1%} of the {coverage:.1%} it decides."
        )
    elif policy.config.fallback_precision is not None:
        say("Warning: without a dev part no confidence was chosen for the precision asked for.")
