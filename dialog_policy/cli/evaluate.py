"""``evaluate``, ``predict`` and ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dialog_policy.cli.options import Command, corpus_options, read_corpus, say, write_json
from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation.metrics import score_predictions
from dialog_policy.evaluation.predictions import read_predictions, write_predictions
from dialog_policy.evaluation.text_report import text_report
from dialog_policy.files import atomic_write

__all__ = ["evaluate", "predict", "score"]


def _report(
    result: dict[str, Any],
    json_: str | None,
    html: str | None,
    *,
    history: list[dict[str, float]] | None = None,
    examples: list[dict[str, Any]] | None = None,
) -> None:
    if json_:
        write_json(json_, result)
    if html:
        from dialog_policy.evaluation.html_report import html_report

        page = html_report(result, history=history, examples=examples)
        with atomic_write(html) as file:
            file.write(page.encode())
    click.echo(text_report(result))


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
@click.option("--json", "json_", metavar="FILE", help="Write all results as JSON.")
@click.option("--html", metavar="FILE", help="Write a report to read in a browser (extra `report`).")
@corpus_options
def evaluate(
    run_or_corpus: tuple[str, ...],
    split: str | None,
    folds: int | None,
    free_running: bool,
    json_: str | None,
    html: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """See how often a policy is right, next to simple baselines.

    A prediction is right when the set of actions is exactly the true one. Needs no TensorFlow, but for --folds.
    """
    from dialog_policy.evaluation.examples import worst_dialogues
    from dialog_policy.runtime import Policy

    if folds is not None:
        _evaluate_folds(run_or_corpus, split, folds, free_running, json_, html, format_, reader)
        return
    if len(run_or_corpus) != 2:
        raise click.UsageError("expected RUN and CORPUS (or CORPUS with --folds K).")
    policy = Policy.load(run_or_corpus[0])
    corpus = read_corpus(run_or_corpus[1], format_, reader, policy.info["corpus"])
    part = corpus.split(split or "test")
    _warn_of_known(policy, part)
    predictions = list(policy.predict(part, free_running=free_running, probabilities=False))
    result = score_predictions(
        predictions,
        part,
        known_actions=policy.actions.classes_,
        split=split or "test",
        baselines=policy.baseline_predictions(part),
        replies=policy.replies(part, predictions) if part.replies_are_templates else None,
    )
    result["mode"] = "free-running" if free_running else "teacher-forced"
    result["policy"] = policy.id
    examples = worst_dialogues(predictions, part) if html else None
    _report(result, json_, html, history=policy.info["history"], examples=examples)


def _evaluate_folds(
    arguments: tuple[str, ...],
    split: str | None,
    folds: int,
    free_running: bool,
    json_: str | None,
    html: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    from dialog_policy.policy import Config, cross_validate, make_config
    from dialog_policy.runtime import Policy

    if len(arguments) > 2:
        raise click.UsageError("expected CORPUS, or RUN and CORPUS.")
    run = Policy.load(arguments[0]) if len(arguments) == 2 else None
    config = make_config(run.info["config"]) if run else Config()
    part = read_corpus(arguments[-1], format_, reader, run.info["corpus"] if run else None).split(split or "all")
    result = cross_validate(config, part, folds, split=split or "all", free_running=free_running)
    _report(result, json_, html)


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
@click.option("--json", "json_", metavar="FILE", help="Write all results as JSON.")
@click.option("--html", metavar="FILE", help="Write a report to read in a browser (extra `report`).")
@corpus_options
def score(
    predictions: str,
    corpus: str,
    split: str,
    json_: str | None,
    html: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Score the predictions of any policy: JSON Lines with dialogue, turn (from 0), actions."""
    from dialog_policy.evaluation.examples import worst_dialogues

    if not Path(predictions).is_file():
        raise OptionError(f"there is no file of predictions {predictions!r}.")
    found = read_corpus(corpus, format_, reader)
    part = found.split(split)
    mine = list(read_predictions(predictions))
    result = score_predictions(mine, part, known_actions=_training_actions(found), split=split)
    _report(result, json_, html, examples=worst_dialogues(mine, part) if html else None)


def _training_actions(corpus: Corpus) -> list[str] | None:
    """Actions of the corpus' own train part, if it has one."""
    try:
        train = corpus.split("train")
    except CorpusError:
        return None
    return sorted({action for dialogue in train for turn in dialogue.turns for action in turn.actions or ()})
