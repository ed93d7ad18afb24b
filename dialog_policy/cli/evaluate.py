"""``evaluate``, ``predict`` and ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, say
from dialog_policy.cli.outputs import Outputs, output_options
from dialog_policy.collector import uncollected
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation import Evaluation
from dialog_policy.evaluation import evaluate as judge
from dialog_policy.evaluation.intervals import check_resamples
from dialog_policy.evaluation.prediction_files import PredictionFile, write_predictions
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
    check_resamples(resamples)
    options: dict[str, Any] = {
        "free_running": free_running,
        "mistakes": wanted.shows_mistakes,
        "resamples": resamples,
    }
    if folds is not None:
        wanted.emit(_cross_validate(run_or_corpus, split or "all", folds, format_, reader, options).to_json())
        return
    if len(run_or_corpus) != 2:
        raise click.UsageError("expected RUN and CORPUS (or CORPUS with --folds K).")
    policy = Policy.load(run_or_corpus[0])
    corpus = read_corpus(run_or_corpus[1], format_, reader, policy.info["corpus"])
    evaluation = judge(policy, corpus, split=split or "test", **options)
    wanted.emit(evaluation.to_json(), history=policy.info["history"])


def _cross_validate(
    arguments: tuple[str, ...],
    split: str,
    folds: int,
    format_: str | None,
    reader: tuple[str, ...],
    options: dict[str, Any],
) -> Evaluation:
    from dialog_policy.policy import Config, cross_validate, make_config
    from dialog_policy.runtime import Policy

    if len(arguments) > 2:
        raise click.UsageError("expected CORPUS, or RUN and CORPUS.")
    run = Policy.load(arguments[0]) if len(arguments) == 2 else None
    config = make_config(run.info["config"]) if run else Config()
    corpus = read_corpus(arguments[-1], format_, reader, run.info["corpus"] if run else None)
    return cross_validate(config, corpus, folds, split=split, **options)


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
    check_resamples(resamples)
    if not Path(predictions).is_file():
        raise OptionError(f"there is no file of predictions {predictions!r}.")
    with uncollected():
        loaded = read_corpus(corpus, format_, reader)
        actions = None if actions_file is None else ActionSpace(_read_actions(actions_file))
        evaluation = judge(
            PredictionFile(predictions, actions=actions),
            loaded,
            split=split,
            training=_training_part(loaded),
            mistakes=wanted.shows_mistakes,
            resamples=resamples,
        )
    wanted.emit(evaluation.to_json())


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
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
