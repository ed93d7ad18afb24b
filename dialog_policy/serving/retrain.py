"""The process that trains a run again: ``python -m dialog_policy.serving.retrain``; reads what to do from stdin, as JSON.

Writes its progress as a JSON object a line. Trains with the run's own settings, on the dialogues that the run was trained on
and the saved ones, and stops by the same dev part: what the run has never seen, its test part, stays unseen.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError
from dialog_policy.runtime import Policy
from dialog_policy.serving.training import CorpusSource

__all__ = ["main", "parts"]


class _Wanted(msgspec.Struct):
    run: str
    corpus: CorpusSource
    saved: str


def parts(policy: Policy, corpus: Corpus, saved: Corpus | None) -> tuple[Corpus, Corpus | None]:
    """Return the training part, the saved dialogues in it, and the dev part that the run was stopped by (if it was).

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
            f"the run was not trained on {corpus.name}: none of its dialogues is in there.",
            remedy="Start the server with the corpus that it was trained on.",
        )
    there = {dialogue.fingerprint() for dialogue in (*train, *dev)}
    names = {dialogue.id for dialogue in corpus}
    for dialogue in saved or ():
        if dialogue.fingerprint() not in there:
            name = dialogue.id if dialogue.id not in names else f"saved-{dialogue.id}"
            train.append(msgspec.structs.replace(dialogue, id=name, split="train"))
    return corpus.with_dialogues(train), corpus.with_dialogues(dev) if dev else None


def main() -> int:
    """Train; return the exit code: 2 if the user can do something about it."""
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=_Wanted)
    if hasattr(os, "nice"):
        os.nice(10)  # whoever is being answered meanwhile goes first
    try:
        _train(wanted)
    except DialogPolicyError as error:
        _tell(message=str(error))
        return 2
    return 0


def _train(wanted: _Wanted) -> None:
    run = Path(wanted.run)
    policy = Policy.load(run)
    source = wanted.corpus
    corpus = load_corpus(source.path, format=source.format, reader=source.reader)
    saved = load_corpus(wanted.saved, format="jsonl") if Path(wanted.saved).exists() else None
    train, dev = parts(policy, corpus, saved)
    added = 0 if saved is None else len(saved)
    _tell(
        message=f"Training on {len(train)} dialogues, {added} saved ones among them.", dialogues=len(train), saved=added
    )
    from dialog_policy.policy import DialogPolicy

    made = run.parent / f"{run.name}.retrained"
    trained = DialogPolicy.from_config(policy.info["config"]).fit(
        train, dev=dev, out=made, resume=False, callbacks=[_progress()]
    )
    _take_over(made, run)
    best = max((row["dev_turn_accuracy"] for row in trained.history_ if "dev_turn_accuracy" in row), default=None)
    measured = "" if best is None else f" Turn accuracy on the dev part: {best:.3f}."
    _tell(message=f"Trained on {len(train)} dialogues, {added} saved ones among them.{measured}")


def _take_over(made: Path, run: Path) -> None:
    """Give the new run its name; the one before it is kept beside it."""
    before = run.parent / f"{run.name}.before"
    shutil.rmtree(before, ignore_errors=True)
    os.replace(run, before)
    os.replace(made, run)


def _progress() -> Any:
    """Return a Keras callback that tells every epoch."""
    from dialog_policy.network.backend import load_keras

    def tell(epoch: int, logs: dict[str, float] | None) -> None:
        epochs = progress.params["epochs"]
        figures = {name: float(value) for name, value in (logs or {}).items()}
        _tell(epoch=epoch + 1, epochs=epochs, share=(epoch + 1) / epochs, **figures)

    progress = load_keras().callbacks.LambdaCallback(on_epoch_end=tell)
    return progress


def _tell(**what: Any) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
