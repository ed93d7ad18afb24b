"""``evaluate``, ``predict`` and ``score``."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import click

from dialog_policy.cli.executors import executor_options, opened_executor
from dialog_policy.cli.options import Command, corpora_argument, corpus_options, keep_inputs, read_corpus, say
from dialog_policy.cli.outputs import Outputs, output_options
from dialog_policy.collector import uncollected
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import CorpusError, OptionError, counted
from dialog_policy.evaluation import Evaluation
from dialog_policy.evaluation import evaluate as judge
from dialog_policy.evaluation.prediction_files import PredictionFile, write_predictions
from dialog_policy.evaluation.predictions_in_parts import predicted_in_parts
from dialog_policy.files import check_output
from dialog_policy.runtime.run_reader import MANIFEST
from dialog_policy.text.tokens import tokenize

__all__ = ["evaluate", "predict", "score"]


@click.command(cls=Command)
@click.argument("run_and_corpora", metavar="RUN CORPUS...", nargs=-1, required=True)
@click.option("--split", default=None, help="Part of the corpus; `all` for the whole corpus.  [default: test]")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Instead of evaluating RUN, train K policies and test each on the dialogues that it did not see. RUN is optional; if it "
    "is given, its settings are used.",
)
@click.option(
    "--free-running", is_flag=True, help="Feed the policy its own past actions and replies instead of the true ones."
)
@executor_options("1")
@output_options
@corpus_options
def evaluate(
    run_and_corpora: tuple[str, ...],
    split: str | None,
    folds: int | None,
    free_running: bool,
    processes: int | None,
    ray: str | None,
    resamples: int,
    format_: str | None,
    reader: tuple[str, ...],
    **outputs: Any,
) -> None:
    """Measure how often a policy is right, and compare it with simple baselines.

    A prediction is right when the set of actions is exactly the true one. Only --folds needs TensorFlow.
    """
    from dialog_policy.runtime import Policy

    forms = Outputs(**outputs)
    forms.check(*run_and_corpora)
    options: dict[str, Any] = {
        "free_running": free_running,
        "mistakes": forms.shows_mistakes,
        "resamples": resamples,
    }
    if folds is not None:
        if processes is not None or ray is not None:
            raise OptionError("--folds trains one policy after the other. Leave out --processes and --ray.")
        forms.emit(_cross_validate(run_and_corpora, split or "all", folds, format_, reader, options))
        return
    run, *corpora = run_and_corpora
    if not corpora:
        raise click.UsageError("expected RUN and CORPUS (or CORPUS with --folds K).")
    with opened_executor(processes, ray) as executor:
        several = executor.processes > 1 or ray is not None
        policy = Policy.load(run, threads=1 if several else 0)
        corpus = read_corpus(corpora, format_, reader, policy.info["corpus"])
        evaluation = judge(policy, corpus, split=split or "test", executor=executor if several else None, **options)
    forms.emit(evaluation, history=policy.info["history"])


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

    run, corpora = None, arguments
    if _is_run(arguments[0]):
        run, corpora = Policy.load(arguments[0]), arguments[1:]
    if not corpora:
        raise click.UsageError(f"{arguments[0]} is a run: expected RUN and CORPUS, or CORPUS alone.")
    config = make_config(run.info["config"]) if run else Config()
    corpus = read_corpus(corpora, format_, reader, run.info["corpus"] if run else None)
    return cross_validate(config, corpus, folds, split=split, **options)


def _is_run(path: str) -> bool:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    return Path(path, MANIFEST).exists()


@click.command(cls=Command)
@click.argument("run")
@corpora_argument
@click.option("--split", default="test", show_default=True, help="Part of the corpus; `all` for the whole corpus.")
@click.option("--out", required=True, metavar="PREDICTIONS.jsonl", help="File to write, one line per turn.")
@click.option(
    "--free-running", is_flag=True, help="Feed the policy its own past actions and replies instead of the true ones."
)
@click.option(
    "--sets",
    is_flag=True,
    help="Also write the five most probable action sets and the probability of the corpus' own set.",
)
@executor_options("1")
@corpus_options
def predict(
    run: str,
    corpora: tuple[str, ...],
    split: str,
    out: str,
    free_running: bool,
    sets: bool,
    processes: int | None,
    ray: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Write a policy's predictions for a corpus, with probabilities.

    Only turns whose actions are known are predicted. If the corpus has no actions at all (a table without that column), all
    turns are predicted, and the policy does not know the system's past actions.
    """
    from dialog_policy.runtime import Policy

    if sets and free_running:
        raise click.UsageError("--sets needs the true history; leave out --free-running.")
    if Path(out).suffix.lower() not in ("", ".jsonl", ".ndjson"):
        name = Path(out).with_suffix("")
        better = name if name.suffix.lower() in (".jsonl", ".ndjson") else name.with_suffix(".jsonl")
        raise OptionError(f"--out {out}: predictions are written as JSON Lines. Call the file {better}.")
    check_output(out)
    keep_inputs([*corpora, run], out)
    with opened_executor(processes, ray) as executor:
        several = executor.processes > 1 or ray is not None
        policy = Policy.load(run, threads=1 if several else 0)
        part = read_corpus(corpora, format_, reader, policy.info["corpus"], annotated=False).split(split)
        every_turn = not part.n_targets
        if every_turn:
            say(
                "The corpus has no actions. Every turn is predicted, and the system's past actions are unknown to the policy."
            )
        predictions = predicted_in_parts(
            policy, part, executor, free_running=free_running, logged=sets, every_turn=every_turn
        )
        say(f"{counted(write_predictions(out, predictions), 'prediction')} written to {out}.")


@click.command(cls=Command)
@click.argument("predictions")
@click.argument("corpus")
@click.option("--split", default="all", show_default=True, help="Part of the corpus that the predictions are for.")
@click.option(
    "--actions",
    "actions_file",
    metavar="FILE",
    help="File with the actions that the policy was trained on, one per line.  [default: those of the corpus' train part]",
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
    """Score the predictions of any policy, given as JSON Lines with dialogue, turn (from 0) and actions."""
    forms = Outputs(**outputs)
    forms.check(predictions, corpus)
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
            mistakes=forms.shows_mistakes,
            resamples=resamples,
        )
    forms.emit(evaluation)


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
