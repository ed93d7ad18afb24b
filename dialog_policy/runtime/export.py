"""One archive with what serving needs and a card that says what it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.errors import OptionError, counted
from dialog_policy.files import check_output, locked
from dialog_policy.metric_names import MAIN_METRICS, METRIC_NAMES
from dialog_policy.runtime.folder import repack, write_archive
from dialog_policy.runtime.policy import Policy
from dialog_policy.runtime.run_reader import RunReader

__all__ = ["export_run"]


class _Metrics(msgspec.Struct):
    """What the card shows of a policy or baseline, by the names of :data:`MAIN_METRICS`; None where a figure is undefined."""

    turn_accuracy: float | None
    dialogue_accuracy: float | None
    micro_f1: float | None
    macro_f1: float | None
    weighted_f1: float | None


class _Figures(_Metrics, kw_only=True):
    """What the card shows of an evaluation."""

    policy: str
    corpus: str
    split: str
    mode: str
    dialogues: int
    turns: int
    warnings: list[str] = []
    baselines: dict[str, _Metrics] = {}
    ci95: dict[str, tuple[float, float] | None] | None = None


_SERVING = (
    "decoder.json", "dialogues.json", "encoder.json", "encoder.safetensors", "model.onnx", "network.safetensors",
    "replies.json",
)  # fmt: skip


def export_run(
    run: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    licence: str | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> str:
    """Pack what serving needs of a run, with a model card, into one ``.zip`` that :meth:`Policy.load` reads as it is.

    The same run, licence and evaluation give the same bytes.

    Parameters
    ----------
    run
        A run's folder.
    target
        The archive to write.
    licence
        Under which licence the policy may be used; what the corpus says about it is not known here.
    evaluation
        What ``dialog-policy evaluate --json`` wrote for this run.

    Returns
    -------
    str
        The policy's id, by which servers tell which policy they serve.

    Raises
    ------
    RunError
        If the run is incomplete or was changed.
    OptionError
        If the target's name does not end in ``.zip`` or the evaluation is not a whole one of this run.
    """
    path = Path(target)
    if path.suffix != ".zip":
        raise OptionError(f"expected a name that ends in .zip for the archive, found {str(target)!r}.")
    check_output(path)
    reader = RunReader.open(run)
    policy = Policy(reader)
    figures = None if evaluation is None else _figures(evaluation, policy, reader.place)
    card = {"MODEL_CARD.md": "\n".join((*_card(policy, licence, figures), "")).encode()}
    with locked(path, "exporting"):
        write_archive(path, repack(reader, _SERVING, card))
    return policy.id


def _figures(evaluation: Mapping[str, Any], policy: Policy, place: str) -> _Figures:
    remedy = f"`dialog-policy evaluate {place} CORPUS --json FILE` makes one."
    if evaluation.get("policy") != policy.id:
        raise OptionError(f"this evaluation is not one of the run {place}. {remedy}")
    try:
        return msgspec.convert(evaluation, _Figures)
    except msgspec.ValidationError as error:
        raise OptionError(f"this is not a whole evaluation of the run {place}: {error}. {remedy}") from None


def _card(policy: Policy, licence: str | None, figures: _Figures | None) -> Iterator[str]:
    """Yield the lines of a page: what the policy does, from which data, how often it is right, what it cannot do."""
    info = policy.info
    corpus, config, names = info["corpus"], info["config"], policy.actions.classes_
    train, dev = corpus["train"], corpus["dev"]
    yield from (f"# {policy.name}: a dialogue policy trained on {corpus['name']}", "")
    yield from (f"- Trained: {info['created'][:10]} with dialog-policy {info['package_version']}",)
    yield from (f"- Licence: {licence or 'not stated'}", f"- Policy: `{policy.id}`", "")
    one = (
        "takes one action a turn"
        if policy.takes_one_action
        else "takes a set of actions a turn, the empty set included"
    )
    yield from ("## What it does", "")
    yield (
        "From the turns of a dialogue so far, what the user says now and what the system has learnt (`context`), it says what "
        f"the system should do next. It knows {len(names)} actions and {one}:"
    )
    yield from ("", ", ".join(f"`{name}`" for name in names), "", "```python")
    yield from ("from dialog_policy.runtime import Policy", "", 'policy = Policy.load("this-file.zip")')
    yield from ("session = policy.start()", 'step = session.respond("hello")', "```", "")
    yield from ("## Data", "", "| part | dialogues | turns to predict |", "| --- | --- | --- |")
    yield f"| training | {train['dialogues']:,} | {train['turns']:,} |"
    if dev:
        yield f"| validation: early stopping, calibration | {dev['dialogues']:,} | {dev['turns']:,} |"
    options = " ".join(f"{key}={value}" for key, value in corpus["reader"].items() if value)
    yield from ("", f"Format {corpus['format']}{f', reader options {options}' if options else ''}.", "")
    hidden = config["hidden"] if isinstance(config["hidden"], list) else [config["hidden"]]
    units = " and ".join(map(str, hidden))
    epochs = counted(len(info["history"]), "epoch")
    yield from (f"An LSTM over turns ({units} units), {epochs}, seed {config['seed']}.", "")
    yield from ("## How often it is right", "")
    if figures is None:
        yield from ("Not evaluated, or the evaluation was not given to the export.", "")
    else:
        yield from _results(figures)
    yield from ("## Limits", "")
    yield "- It knows the words, actions and kinds of dialogue of its corpus; outside of them its figures say nothing."
    yield (
        "- `step.fallback` marks decisions with little confidence. Whoever builds a bot decides what may never be done "
        "unasked: pass `allowed=`."
    )
    yield "- Replies are templates of the corpus, filled from the dialogue. They are as good, and as biased, as it is."


def _results(figures: _Figures) -> Iterator[str]:
    for warning in figures.warnings:
        yield from (f"**Warning:** {warning}", "")
    sizes = f"{counted(figures.dialogues, 'dialogue')}, {counted(figures.turns, 'turn')}"
    yield f"{figures.corpus}, split {figures.split}: {sizes}, {figures.mode}."
    yield from (
        "",
        f"| | {' | '.join(METRIC_NAMES[metric] for metric in MAIN_METRICS)} |",
        f"| --- |{' ---: |' * len(MAIN_METRICS)}",
    )
    for row, metrics in {"this policy": figures, **figures.baselines}.items():
        values = (getattr(metrics, metric) for metric in MAIN_METRICS)
        yield f"| {row} | {' | '.join('–' if value is None else f'{value:.3f}' for value in values)} |"
    yield ""
    if interval := (figures.ci95 or {}).get("turn_accuracy"):
        yield from (f"95 % CI of the turn accuracy, over dialogues: {interval[0]:.3f} to {interval[1]:.3f}.", "")
