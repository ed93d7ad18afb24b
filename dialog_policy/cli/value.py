"""``value``."""

from __future__ import annotations

from typing import Any

import click

from dialog_policy.cli.options import Command, corpus_options
from dialog_policy.cli.outputs import Forms, form_options
from dialog_policy.cli.policies import find_contenders, read_their_corpus
from dialog_policy.ope import ESTIMATORS, estimate_value
from dialog_policy.report.text_report import terminal
from dialog_policy.report.value_table import value_table

__all__ = ["value"]


@click.command(cls=Command)
@click.argument("policy")
@click.argument("corpus")
@click.option(
    "--split", default=None, help="Part of the corpus; `all` for the whole.  [default: test, for predictions all]"
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    type=click.Choice(list(ESTIMATORS)),
    metavar="NAME",
    help=f"Which estimates, one for each: {', '.join(ESTIMATORS)}.  [default: all]",
)
@click.option("--gamma", default=1.0, show_default=True, type=float, help="Discount for each decision before a reward.")
@click.option("--clip", type=float, metavar="WEIGHT", help="Greatest weight of a dialogue.  [default: no limit]")
@click.option(
    "--greedy",
    is_flag=True,
    help="Value the policy that always takes its predicted actions, as `serve` does, not one that draws by its probabilities.",
)
@click.option(
    "--estimate-propensities",
    is_flag=True,
    help="Estimate them though they were logged. Else only where they were not.",
)
@form_options
@corpus_options
def value(
    policy: str,
    corpus: str,
    split: str | None,
    estimators: tuple[str, ...],
    gamma: float,
    clip: float | None,
    greedy: bool,
    estimate_propensities: bool,
    format_: str | None,
    reader: tuple[str, ...],
    **forms: Any,
) -> None:
    """Estimate what a policy is worth from the rewards of dialogues that another one led.

    POLICY is a RUN, a baseline of a run (RUN:bigram) or a file of predictions. The turns of CORPUS have a reward, or each
    dialogue has one in its field `reward`; turns have the propensity of what was done, or it is estimated. Where the log says
    too little about the policy, nothing is concluded. Needs no TensorFlow.
    """
    contender = find_contenders([policy])[0]
    found = read_their_corpus(corpus, [contender], format_, reader)
    name = split or ("test" if contender.run is not None else "all")
    part = found.split(name)
    run = contender.run if contender.baseline is None else None
    result = estimate_value(
        contender.predictions(part) if run is None else run.logged_probabilities(part),
        part,
        name=contender.name,
        split=name,
        estimators=estimators or tuple(ESTIMATORS),
        gamma=gamma,
        clip=clip,
        act_greedily=greedy,
        estimate_propensities=estimate_propensities,
    )
    Forms(**forms).write(result)
    click.echo(value_table(result, **terminal()))
