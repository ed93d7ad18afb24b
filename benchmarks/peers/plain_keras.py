"""A Keras LSTM over dialogues as people write it: one-hot words, everything padded to the longest dialogue, Masking, 0.5 a bit."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.files import Decide, dialogues, main, note_best_epoch, tokens_of_turns

_WORDS, _HIDDEN, _EPOCHS, _PATIENCE = 1_000, 128, 1_000, 10


def _arrays(
    some: list[dict[str, Any]], words: dict[str, int], actions: dict[str, int], longest: int
) -> tuple[Any, Any, Any]:
    import numpy as np

    x = np.zeros((len(some), longest, len(words)), np.float32)
    y = np.zeros((len(some), longest, len(actions)), np.float32)
    weights = np.zeros((len(some), longest), np.float32)
    for row, dialogue in enumerate(some):
        for time_, (tokens, done) in enumerate(tokens_of_turns(dialogue)):
            if time_ == longest:
                break
            x[row, time_, [words[word] for word in tokens if word in words]] = 1
            if done is not None:
                weights[row, time_] = 1
                y[row, time_, [actions[name] for name in done if name in actions]] = 1
    return x, y, weights


def fit(folder: Path, out: Path) -> None:
    """Train with early stopping on the dev part."""
    import keras

    train, dev = dialogues(folder, "train"), dialogues(folder, "dev")
    counts = Counter(word for d in train for tokens, _ in tokens_of_turns(d) for word in tokens)
    words = {word: i for i, (word, _) in enumerate(counts.most_common(_WORDS))}
    names = sorted({name for d in train for turn in d["turns"] for name in turn["actions"] or []})
    actions = {name: i for i, name in enumerate(names)}
    longest = max(len(d["turns"]) for d in train)
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((None, len(words))),
            keras.layers.Masking(),
            keras.layers.LSTM(_HIDDEN, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(len(actions), activation="sigmoid")),
        ]
    )
    network.compile("adam", "binary_crossentropy")
    x, y, weights = _arrays(train, words, actions, longest)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    history = network.fit(
        x,
        y,
        sample_weight=weights,
        validation_data=_arrays(dev, words, actions, longest),
        epochs=_EPOCHS,
        batch_size=32,
        callbacks=[keras.callbacks.EarlyStopping(patience=_PATIENCE, restore_best_weights=True), clock],
        verbose=0,
    )
    network.save(out / "network.keras")
    note_best_epoch(out, ends, [-loss for loss in history.history["val_loss"]])
    (out / "names.json").write_text(json.dumps([words, names]), encoding="utf-8")


def load(out: Path) -> Decide:
    """Load the network; a turn is decided by calling it on the dialogue so far, as it carries no state from call to call."""
    import keras
    import numpy as np

    network = keras.saving.load_model(out / "network.keras")
    words, names = json.loads((out / "names.json").read_text(encoding="utf-8"))
    actions = {name: i for i, name in enumerate(names)}

    def decide(dialogue: dict[str, Any]) -> Iterator[list[str]]:
        x, _, _ = _arrays([dialogue], words, actions, len(dialogue["turns"]))
        for number in range(len(dialogue["turns"])):
            bits = np.asarray(network(x[:, : number + 1]))[0, -1] > 0.5
            yield [name for name, bit in zip(names, bits, strict=True) if bit]

    return decide


if __name__ == "__main__":
    main(fit, load)
