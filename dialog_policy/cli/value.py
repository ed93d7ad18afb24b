"""``value``."""

from __future__ import annotations

from typing import Any

import click

from dialog_policy.cli.options import Command, corpus_options, say
from dialog_policy.cli.outputs import Forms, form_options
from dialog_policy.cli.policies import find_policies, read_their_corpus
from dialog_policy.cli.resampling import resamples_option
from dialog_policy.evaluation.intervals import RESAMPLES
from dialog_policy.ope import ESTIMATORS, estimate_value
from dialog_policy.ope.estimate import LEAST_RESAMPLES
from dialog_policy.ope.target_policy import TARGET_POLICIES

__all__ = ["value"]


@click.command(cls=Command)
@click.argument("policy")
@click.argument("corpus")
@click.option(
    "--split",
    default=None,
    help="Part of the corpus; `all` for the whole corpus.  [default: test; all, if the policy is a file of predictions]",
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    type=click.Choice(list(ESTIMATORS)),
    metavar="NAME",
    help=f"Estimator; may be given several times. One of {', '.join(ESTIMATORS)}.  [default: all]",
)
@click.option("--gamma", default=1.0, show_default=True, type=float, help="Discount for each decision before a reward.")
@click.option("--clip", type=float, metavar="WEIGHT", help="Upper limit of a dialogue's weight.  [default: no limit]")
@click.option(
    "--target-policy",
    type=click.Choice(list(TARGET_POLICIES)),
    default=None,
    help="The policy to evaluate: `stochastic` draws actions by its probabilities; `greedy` always takes its predicted actions, "
    "as `serve` does.  [default: stochastic]",
)
@click.option("--greedy", is_flag=True, hidden=True)
@click.option(
    "--estimate-propensities",
    is_flag=True,
    help="Estimate the propensities even if the log has them. If it has none, they are always estimated.",
)
@resamples_option(RESAMPLES, LEAST_RESAMPLES, "Bootstrap resamples for the 95 % intervals.")
@form_options
@corpus_options
def value(
    policy: str,
    corpus: str,
    split: str | None,
    estimators: tuple[str, ...],
    gamma: float,
    clip: float | None,
    target_policy: str | None,
    greedy: bool,
    estimate_propensities: bool,
    resamples: int,
    format_: str | None,
    reader: tuple[str, ...],
    **forms: Any,
) -> None:
    """Estimate the reward that a policy would earn, from a log of dialogues that another policy led.

    This is off-policy evaluation. POLICY is a RUN, a baseline of a run (RUN:bigram) or a file of predictions. Either the turns of
    CORPUS have a reward, or each dialogue has one in its field `reward`. The propensities of the logged actions are read from the
    turns or estimated. If the log says too little about the policy, the command draws no conclusion. It needs no TensorFlow.
    """
    if greedy:
        if target_policy == "stochastic":
            raise click.UsageError("--greedy contradicts --target-policy stochastic; give one of them.")
        say("--greedy is deprecated; use --target-policy greedy.")
        target_policy = "greedy"
    outputs = Forms(**forms)
    outputs.check(policy, corpus)
    named = find_policies([policy])[0]
    estimated = estimate_value(
        named.predictor,
        read_their_corpus(corpus, [named], format_, reader),
        name=named.name,
        split=split or ("all" if named.policy is None else "test"),
        estimators=estimators or tuple(ESTIMATORS),
        gamma=gamma,
        clip=clip,
        target_policy=target_policy or "stochastic",
        estimate_propensities=estimate_propensities,
        resamples=resamples,
    )
    outputs.emit(estimated)
