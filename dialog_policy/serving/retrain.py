"""The process that trains runs again: ``python -m dialog_policy.serving.retrain``; reads orders from stdin, a JSON object a line.

Writes its progress as a JSON object a line: the order's number, and what has changed; the last of an order's has ``ended``: 0, or
2 if the user can do something about what went wrong. It trains with the run's own settings, on the dialogues that the run was trained on
and the saved ones, with the same validation part for early stopping: the test part, which the run has never seen, stays unseen.
Both policies are measured on the validation part.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError, DivergenceError, counted
from dialog_policy.files import locked
from dialog_policy.runtime import Policy
from dialog_policy.runtime.folder import partial_folder
from dialog_policy.serving.previous import take_over
from dialog_policy.serving.schemas import RetrainingResult
from dialog_policy.serving.training import CorpusSource

__all__ = ["main", "parts", "sentence"]


class _Order(msgspec.Struct):
    number: int
    run: str
    corpus: CorpusSource
    saved: str


def parts(policy: Policy, corpus: Corpus, saved: Corpus | None) -> tuple[Corpus, Corpus | None]:
    """Return the training part, the saved dialogues in it, and the validation part of the run's training (if it had one).

    Raises
    ------
    CorpusError
        If the run was trained on another corpus.
    """
    known = policy.fingerprints
    prints = [(dialogue, dialogue.fingerprint()) for dialogue in corpus]
    dev = [dialogue for dialogue, print_ in prints if print_ in known["dev"]]
    train = [dialogue for dialogue, print_ in prints if print_ in known["train"] and print_ not in known["dev"]]
    if not train:
        raise CorpusError(
            f"the run was not trained on {corpus.name}: it contains none of the run's dialogues.",
            remedy="Start the server with the corpus that it was trained on.",
        )
    used = _fingerprints((*train, *dev))
    names = {dialogue.id for dialogue in corpus}
    for dialogue in saved or ():
        if dialogue.fingerprint() not in used:
            name = dialogue.id if dialogue.id not in names else f"saved-{dialogue.id}"
            train.append(msgspec.structs.replace(dialogue, id=name, split="train"))
    return corpus.with_dialogues(train), corpus.with_dialogues(dev) if dev else None


def _fingerprints(dialogues: Iterable[Dialogue]) -> set[str]:
    return {dialogue.fingerprint() for dialogue in dialogues}


def sentence(result: RetrainingResult) -> str:
    """Say what a retraining changed: better or worse, on what, by how much."""
    added = counted(result.added_dialogues, "dialogue")
    new = (
        f"{added} of them new ({counted(result.added_turns, 'turn')})" if result.added_dialogues else "none of them new"
    )
    learnt = f"Trained on {counted(result.dialogues, 'dialogue')}, {new}."
    if result.missing_dialogues:
        learnt += (
            f" {counted(result.missing_dialogues, 'dialogue')} of the previous training or validation part were left out, since "
            "they are no longer in the corpus or the saved dialogues as they were. To train on what was changed, use "
            "`dialog-policy train`."
        )
    before, after = result.turn_accuracy_before, result.turn_accuracy_after
    if before is None or after is None:
        return (
            f"{learnt} Whether the policy is better was not measured, since the run has no validation part: "
            "evaluate it on dialogues that it was not trained on."
        )
    turns = result.validation_turns
    difference = round((after - before) * turns)
    verdict = "as good as before" if not difference else "better" if difference > 0 else "worse"
    detail = f", {counted(abs(difference), 'turn')} {'more' if difference > 0 else 'fewer'}" if difference else ""
    return (
        f"{learnt} The policy is {verdict}: on the validation part ({counted(result.validation_dialogues, 'dialogue')}, "
        f"{counted(turns, 'turn')}) its turn accuracy is {after:.1%}, before it was {before:.1%}{detail}."
    )


def main() -> int:
    """Carry out orders until there are no more."""
    if hasattr(os, "nice"):
        os.nice(10)  # whoever is being answered meanwhile goes first
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=_Order)
        report = _Reporter(order.number)
        ended = 0
        try:
            # One at a time, also of several servers.
            with locked(order.run, "retraining"):
                _train(order, report)
        except DivergenceError as error:
            shutil.rmtree(partial_folder(_retrained(Path(order.run))), ignore_errors=True)
            report(message=error.problem)
            ended = 2
        except DialogPolicyError as error:
            report(message=str(error))
            ended = 2
        report(ended=ended)
    return 0


class _Reporter:
    """Writes what has changed in the progress of one order."""

    def __init__(self, order: int) -> None:
        self.order = order

    def __call__(self, *, ended: int | None = None, **changes: Any) -> None:
        line = {"order": self.order, "changes": changes, "ended": ended}
        print(msgspec.json.encode(line).decode(), flush=True)


def _retrained(run: Path) -> Path:
    """Return where the new run is made before it takes its place."""
    return run.with_name(f"{run.name}.retrained")


def _train(order: _Order, report: _Reporter) -> None:
    run = Path(order.run)
    policy = Policy.load(run)
    source = order.corpus
    corpus = load_corpus(source.paths, format=source.format, reader=source.reader)
    place = Path(order.saved)
    # An empty one is what a server leaves that was killed when it had just made the file.
    saved = load_corpus(place) if place.exists() and place.stat().st_size else None
    train, dev = parts(policy, corpus, saved)
    known, used = policy.fingerprints, _fingerprints(train) | _fingerprints(dev or ())
    added = [dialogue for dialogue in train if dialogue.fingerprint() not in known["train"]]
    new = counted(len(added), "dialogue") if added else "none"
    report(message=f"Training on {counted(len(train), 'dialogue')}, {new} of them new.")
    from dialog_policy.evaluation import evaluate
    from dialog_policy.network.backend import be_lean, load_keras
    from dialog_policy.policy import DialogPolicy

    be_lean()
    # What Keras keeps of an earlier training, such as the numbers in names, is forgotten.
    load_keras().utils.clear_session()

    retrained = _retrained(run)
    DialogPolicy.from_config(policy.info["config"]).fit(
        train, dev=dev, out=retrained, resume=False, callbacks=[_progress(report)]
    )
    before, after = (
        None if dev is None else evaluate(each, dev, baselines=(), resamples=0)
        for each in (policy, Policy.load(retrained))
    )
    result = RetrainingResult(
        dialogues=len(train),
        added_dialogues=len(added),
        added_turns=sum(len(dialogue) for dialogue in added),
        validation_dialogues=0 if after is None else after.dialogues,
        validation_turns=0 if after is None else after.turns,
        turn_accuracy_before=None if before is None else before.turn_accuracy,
        turn_accuracy_after=None if after is None else after.turn_accuracy,
        missing_dialogues=len((known["train"] | known["dev"]) - used),
    )
    take_over(retrained, run)
    report(message=sentence(result), result=result)


def _progress(report: _Reporter) -> Any:
    """Return a Keras callback that reports every epoch."""
    from dialog_policy.network.backend import load_keras

    def tell(epoch: int, logs: dict[str, float] | None) -> None:
        epochs = progress.params["epochs"]
        figures = {name: float(value) for name, value in (logs or {}).items() if math.isfinite(value)}
        report(epoch=epoch + 1, epochs=epochs, share=(epoch + 1) / epochs, metrics=figures)

    progress = load_keras().callbacks.LambdaCallback(on_epoch_end=tell)
    return progress


if __name__ == "__main__":
    sys.exit(main())
