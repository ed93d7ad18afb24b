"""``evaluate``, ``predict`` and ``score``."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from dialog_policy.baselines import load_baselines, load_training_part
from dialog_policy.cli.options import Command, corpus_options, read_corpus, say
from dialog_policy.cli.outputs import Outputs, output_options
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation.metrics import score_predictions
from dialog_policy.evaluation.mistakes import find_mistakes
from dialog_policy.evaluation.prediction_files import read_predictions, write_predictions
from dialog_policy.text.tokens import tokenize

__all__ = ["evaluate", "predict", "score"]


@click.command(cls=Command)
@click.argument("run_or_corpus", metavar="RUN CORPUS", nargs=-1, required=True)
@click.option("--split", default=None, help="Part of the corpus; `all` for the whole.  [default: test]")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Instead of evaluating RUN, train K policies, each tested on the dialogues that it did not see; "
    "RUN, if given, lends its settings.",
)
@click.option(
    "--free-running", is_flag=True, help="Feed the policy its own past actions and replies, not the true ones."
)
@output_options
@corpus_options
def evaluate(
    run_or_corpus: tuple[str, ...],
    split: str | None,
    folds: int | None,
    free_running: bool,
    resamples: int,
    format_: str | None,
    reader: tuple[str, ...],
    **outputs: Any,
) -> None:
    """See how often a policy is right, next to simple baselines.

    A prediction is right when the set of actions is exactly the true one. Needs no TensorFlow, but for --folds.
    """
    from dialog_policy.runtime import Policy

    wanted = Outputs(**outputs)
    wanted.check()
    if folds is not None:
        result = _cross_validate(run_or_corpus, split, folds, free_running, resamples, format_, reader)
        wanted.emit(result)
        return
    if len(run_or_corpus) != 2:
        raise click.UsageError("expected RUN and CORPUS (or CORPUS with --folds K).")
    policy = Policy.load(run_or_corpus[0])
    corpus = read_corpus(run_or_corpus[1], format_, reader, policy.info["corpus"])
    part = corpus.split(split or "test")
    _warn_of_known(policy, part)
    predictions = list(policy.predict(part, free_running=free_running))
    training, tokenizer = load_training_part(policy.run), policy.info["config"]["tokenizer"]
    result = score_predictions(
        predictions,
        part,
        known_actions=policy.actions.classes_,
        known_words=training and training.words,
        support=training and training.support,
        tokenizer=tokenizer,
        split=split or "test",
        baselines={n: b.predict(part) for n, b in load_baselines(policy.run, policy.actions).items()},
        replies=policy.replies(part, predictions) if part.replies_are_templates else None,
        resamples=resamples,
    )
    result["mode"] = "free-running" if free_running else "teacher-forced"
    result["policy"] = policy.id
    if wanted.shows_mistakes:
        modes = {result["mode"]: predictions}
        if free_running:
            modes["teacher-forced"] = list(policy.predict(part, probabilities=False))
        result["mistakes"] = find_mistakes(modes, part, tokenizer=tokenizer)
    wanted.emit(result, history=policy.info["history"])


def _cross_validate(
    arguments: tuple[str, ...],
    split: str | None,
    folds: int,
    free_running: bool,
    resamples: int,
    format_: str | None,
    reader: tuple[str, ...],
) -> dict[str, Any]:
    from dialog_policy.policy import Config, cross_validate, make_config
    from dialog_policy.runtime import Policy

    if len(arguments) > 2:
        raise click.UsageError("expected CORPUS, or RUN and CORPUS.")
    run = Policy.load(arguments[0]) if len(arguments) == 2 else None
    config = make_config(run.info["config"]) if run else Config()
    part = read_corpus(arguments[-1], format_, reader, run.info["corpus"] if run else None).split(split or "all")
    return cross_validate(config, part, folds, split=split or "all", free_running=free_running, resamples=resamples)


def _warn_of_known(policy: Any, corpus: Corpus) -> None:
    """Say so where dialogues were part of the training."""
    for name, used in (("trained on", "train"), ("stopped and tuned by", "dev")):
        known = sum(dialogue.fingerprint() in policy.fingerprints[used] for dialogue in corpus)
        if known:
            say(f"Warning: the run was {name} {known} of these {len(corpus)} dialogues; their results are no test.")


@click.command(cls=Command)
@click.argument("run")
@click.argument("corpus")
@click.option("--split", default="test", show_default=True, help="Part of the corpus; `all` for the whole.")
@click.option("--out", required=True, metavar="PREDICTIONS.jsonl", help="File to write, one line a turn.")
@click.option(
    "--free-running", is_flag=True, help="Feed the policy its own past actions and replies, not the true ones."
)
@corpus_options
def predict(
    run: str, corpus: str, split: str, out: str, free_running: bool, format_: str | None, reader: tuple[str, ...]
) -> None:
    """Write a policy's predictions for a corpus, with probabilities."""
    from dialog_policy.runtime import Policy

    policy = Policy.load(run)
    part = read_corpus(corpus, format_, reader, policy.info["corpus"]).split(split)
    count = write_predictions(out, policy.predict(part, free_running=free_running))
    say(f"{count} predictions written to {out}.")


@click.command(cls=Command)
@click.argument("predictions")
@click.argument("corpus")
@click.option("--split", default="all", show_default=True, help="Part of the corpus that the predictions are for.")
@click.option(
    "--actions",
    "actions_file",
    metavar="FILE",
    help="The actions that the policy was trained on, one a line.  [default: those of the corpus' train part]",
)
@output_options
@corpus_options
def score(
    predictions: str,
    corpus: str,
    split: str,
    actions_file: str | None,
    resamples: int,
    format_: str | None,
    reader: tuple[str, ...],
    **outputs: Any,
) -> None:
    """Score the predictions of any policy: JSON Lines with dialogue, turn (from 0), actions."""
    wanted = Outputs(**outputs)
    wanted.check()
    if not Path(predictions).is_file():
        raise OptionError(f"there is no file of predictions {predictions!r}.")
    with _uncollected():
        found = read_corpus(corpus, format_, reader)
        part, training = found.split(split), _training_part(found)
        known: Iterable[str] | None = training and training.support
        result = score_predictions(
            read_predictions(predictions),
            part,
            known_actions=known if actions_file is None else _read_actions(actions_file),
            known_words=training and training.words,
            support=training and training.support,
            split=split,
            resamples=resamples,
        )
        if wanted.shows_mistakes:
            result["mistakes"] = find_mistakes({"predictions": read_predictions(predictions)}, part)
    wanted.emit(result)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Stop the collector of cyclic garbage: with millions of turns in memory, its rounds take most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _training_part(corpus: Corpus) -> TrainingPart | None:
    """Return what the corpus' own train part tells, if it has one."""
    try:
        return TrainingPart.of(corpus.split("train"), tokenize)
    except CorpusError:
        return None


def _read_actions(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--actions: {path} cannot be read ({error}).") from None
    return [line.strip() for line in lines if line.strip()]
