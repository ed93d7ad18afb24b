"""Policies of this package: the defaults, and the setting of a hybrid code network."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.files import Decide, main, note_best_epoch

# Hybrid code networks (Williams, Asadi & Zweig 2017): bits of words and the mean of word vectors, 128 units, one dialogue a step,
# one template at each turn. Its action mask is code that somebody writes for a domain; there is none here.
_HCN = {
    "user": [{"kind": "bits"}, {"kind": "word2vec", "pools": ["mean"]}],
    "system": [],
    "context": [{"kind": "bits"}],
    "batches": "single",
}


def _fit(folder: Path, out: Path, settings: dict[str, Any]) -> None:
    import keras

    from dialog_policy import DialogPolicy

    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    policy = DialogPolicy(**settings).fit(folder / "train.jsonl", dev=folder / "dev.jsonl", callbacks=[clock])
    policy.save(out / "run")
    if "dev_turn_accuracy" in policy.history_[0]:  # small validation parts are not used
        note_best_epoch(out, ends, [epoch["dev_turn_accuracy"] for epoch in policy.history_])


def _load(out: Path) -> Decide:
    from dialog_policy import Policy

    policy = Policy.load(out / "run")
    known = frozenset(policy.actions.classes_)

    def decide(dialogue: dict[str, Any]) -> Iterator[list[str]]:
        session = policy.start()
        for turn in dialogue["turns"]:
            step = session.respond(turn.get("user") or "", turn.get("context") or {})
            # What training never had is nothing that this policy knows to have been done.
            done = None if turn["actions"] is None else known & set(turn["actions"])
            session.observe(actions=done, system=turn.get("system") or "")
            yield sorted(step.actions)

    return decide


if __name__ == "__main__":
    setting = _HCN if sys.argv.pop() == "hcn" else {}
    main(lambda folder, out: _fit(folder, out, setting), _load)
