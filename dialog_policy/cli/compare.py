"""``compare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from dialog_policy.cli.options import Command, corpus_options, say
from dialog_policy.cli.outputs import Forms, form_options
from dialog_policy.cli.policies import NamedPolicy, find_policies, read_their_corpus
from dialog_policy.cli.resampling import resamples_option
from dialog_policy.comparison import METRICS
from dialog_policy.comparison import compare as compare_policies
from dialog_policy.comparison.compare import LEAST_RESAMPLES, RESAMPLES
from dialog_policy.comparison.result import CurvePoint
from dialog_policy.corpus import Corpus
from dialog_policy.errors import OptionError, counted
from dialog_policy.evaluation.totals import SCALARS

__all__ = ["compare"]


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--curve: expected shares such as 0.1,0.25,0.5,1; found {text!r}.") from None


@click.command(cls=Command)
@click.argument("policies_and_corpus", metavar="POLICY POLICY [POLICY ...] CORPUS", nargs=-1, required=True)
@click.option(
    "--split",
    default=None,
    help="Part of the corpus; `all` for the whole corpus.  [default: test; all, if every policy is a file of predictions]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(SCALARS),
    metavar="NAME",
    help=f"Metric to compare by; may be given several times.  [default: {', '.join(METRICS)}]",
)
@resamples_option(RESAMPLES, LEAST_RESAMPLES, "Resamples of the bootstrap and of the randomisation test.")
@click.option(
    "--curve",
    metavar="SHARES",
    help="Also train each RUN's settings on shares of the corpus' train part, such as 0.1,0.25,0.5,1 (extra `train`).",
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 1_000), help="Trainings for each share.")
@form_options
@corpus_options
def compare(
    policies_and_corpus: tuple[str, ...],
    split: str | None,
    metrics: tuple[str, ...],
    resamples: int,
    curve: str | None,
    seeds: int,
    format_: str | None,
    reader: tuple[str, ...],
    **forms: Any,
) -> None:
    """Compare policies: which is better, by how much, how certain this is, and where they differ.

    A POLICY is a RUN, a baseline of a run (RUN:majority, RUN:bigram, RUN:logreg_dialogue ...) or a file of predictions,
    PREDICTIONS.jsonl. All must cover the same turns. Only --curve needs TensorFlow.
    """
    if len(policies_and_corpus) < 3:
        raise click.UsageError("expected at least two policies and, last, the corpus.")
    *arguments, path = policies_and_corpus
    outputs = Forms(**forms)
    outputs.check(*policies_and_corpus)
    shares = [] if curve is None else _shares(curve)
    policies = find_policies(arguments)
    corpus = read_their_corpus(path, policies, format_, reader)
    part = split or ("test" if any(policy.policy for policy in policies) else "all")
    comparison = compare_policies(
        {policy.name: policy.predictor for policy in policies},
        corpus,
        metrics=metrics or METRICS,
        split=part,
        resamples=resamples,
    )
    if shares:
        comparison = msgspec.structs.replace(comparison, curve=_curve(policies, corpus, part, shares, seeds))
    outputs.emit(comparison)


def _curve(
    policies: Sequence[NamedPolicy], corpus: Corpus, split: str, shares: list[float], seeds: int
) -> list[CurvePoint]:
    from dialog_policy.policy import make_config
    from dialog_policy.policy.curve import learning_curve

    runs = {
        named.name: make_config(named.policy.info["config"])
        for named in policies
        if named.policy is not None and not named.is_baseline
    }
    if not runs:
        raise OptionError("--curve trains the settings of runs, but none of these policies is a run.")
    part = corpus.split(split)
    scored = {dialogue.id for dialogue in part}
    full = corpus.split("train")
    train = full.with_dialogues(dialogue for dialogue in full if dialogue.id not in scored)
    if len(train) < len(full):
        left_out = len(full) - len(train)
        say(
            f"{counted(left_out, 'dialogue')} of the train part {'is' if left_out == 1 else 'are'} scored, and so not used for training."
        )
    # What is scored must not stop the training.
    dev = corpus.split("dev") if "dev" in corpus.splits and split not in ("dev", "all") else "inner"
    return learning_curve(runs, train, part, shares, seeds=seeds, dev=dev)
