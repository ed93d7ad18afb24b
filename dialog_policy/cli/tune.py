"""``tune``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from dialog_policy.cli.options import Command, FiniteRange, corpora_argument, corpus_options, read_corpus, say
from dialog_policy.cli.train import choose_dev
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.stored import StoredCorpus
from dialog_policy.errors import OptionError
from dialog_policy.files import atomic_write, check_output, write_file

__all__ = ["tune"]


@click.command(cls=Command)
@corpora_argument
@click.option("--out", required=True, metavar="FOLDER", help="Folder for the search. An existing search is continued.")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Number of trials in all, including those of earlier calls.",
)
@click.option("--minutes", type=FiniteRange(min=0, min_open=True), help="Minutes after which no new trial begins.")
@click.option(
    "--split", default="train", show_default=True, help="Part of the corpus to train on; `all` for the whole corpus."
)
@click.option(
    "--dev",
    default=None,
    metavar="SPLIT|CORPUS|inner",
    help="Validation part on which settings are compared. `inner`, a tenth of the training part, leaves the corpus' own dev part "
    "unseen.  [default: inner; for a store, the part it was prepared with]",
)
@click.option("--config", metavar="FILE.toml", help="File with the initial settings.")
@click.option("--set", "set_", multiple=True, metavar="KEY=VALUE", help="Single initial settings. Takes several.")
@click.option(
    "--seed", type=click.IntRange(min=0, max=2**32 - 1), default=0, show_default=True, help="Seed of the search."
)
@corpus_options
def tune(
    corpora: tuple[str, ...],
    out: str,
    trials: int,
    minutes: float | None,
    split: str,
    dev: str | None,
    config: str | None,
    set_: tuple[str, ...],
    seed: int,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Search for better settings (extra `tune`).

    Writes to FOLDER the trials (study.db, trials.csv), the best settings for `train --config` (best.toml) and, with the extra
    `report`, a plot of the importance of each setting (importances.svg).
    """
    from dialog_policy.features.stored import features_of
    from dialog_policy.policy import make_config, tuning
    from dialog_policy.policy.config import parse_settings, read_settings

    settings: dict[str, Any] = read_settings(config) if config else {}
    base = make_config({**settings, **parse_settings(set_)})
    folder = check_output(out, folder=True)
    corpus = read_corpus(corpora, format_, reader)
    if dev is None:
        dev = features_of(corpus).dev if isinstance(corpus, StoredCorpus) else "inner"
    validation = choose_dev(dev, corpus, format_, reader)
    if validation is None:
        raise OptionError(
            "--dev: settings are compared on a validation part. Give a part of the corpus, another corpus, or 'inner'."
        )
    study = tuning.tune(
        corpus.split(split),
        validation if isinstance(validation, Corpus) else None,
        base=base,
        out=folder,
        trials=trials,
        timeout=None if minutes is None else 60 * minutes,
        seed=seed,
    )
    table = study.trials_dataframe(attrs=("number", "value", "params", "state", "duration"))
    write_file(folder / "trials.csv", table.to_csv(index=False))
    best = {**settings, **parse_settings(set_), **tuning.best_settings(study)}
    write_file(folder / "best.toml", "".join(f"{name} = {_toml(value)}\n" for name, value in best.items()))
    picture = _picture(study, folder / "importances.svg")
    say(f"The trials are in {folder / tuning.STUDY} and trials.csv{picture}.")
    first = study.trials[0].value
    click.echo(
        f"{len(study.trials)} trials; the best (number {study.best_trial.number}) has a turn accuracy of {study.best_value:.4f}"
        + (f", the initial settings have {first:.4f}" if first is not None else "")
        + f".\nTrain with it: dialog-policy train {shlex.join(corpora)} --config {folder / 'best.toml'} --out RUN"
    )


def _toml(value: Any) -> str:
    """Write a value of a setting in TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _picture(study: Any, path: Path) -> str:
    """Draw how much each setting mattered (functional ANOVA, Hutter et al. 2014); say what was drawn."""
    import optuna

    finished = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if len(finished) < 3 or len({trial.value for trial in finished}) < 2:
        return "; too few trials have finished to measure the importance of settings"
    try:
        import matplotlib
    except ModuleNotFoundError:
        return "; the plot of importances needs the extra `report`"
    matplotlib.use("svg")
    from matplotlib import pyplot

    importances = optuna.importance.get_param_importances(study)
    figure, axes = pyplot.subplots(figsize=(6, 0.5 + 0.4 * len(importances)), layout="constrained")
    names = list(importances)[::-1]
    bars = axes.barh(names, [importances[name] for name in names])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(xlabel="share of the variance of the turn accuracy", title="Importance of the settings", xlim=(0, 1.1))
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as file:
        figure.savefig(file, format="svg")
    pyplot.close(figure)
    return ", the importance of each setting in importances.svg"
