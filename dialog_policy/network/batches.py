"""Dialogues of different lengths as batches for Keras."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import keras
import numpy as np
import numpy.typing as npt

from dialog_policy.errors import OptionError, check_whole, did_you_mean
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.backend import compiles
from dialog_policy.network.config import ClassWeight, Strategy, Weighting
from dialog_policy.network.lengths import few_lengths
from dialog_policy.network.plan import NOBODY, BatchPlan, ceil_div
from dialog_policy.text.embedding import PADDING_ID
from dialog_policy.text.table import FloatArray

__all__ = ["COMPILED_LENGTHS", "EVALUATION_ROWS", "WHOLE", "DialogueBatches", "Share", "evaluation_batches"]

_Inputs = FloatArray | dict[str, npt.NDArray[Any]]
_IntArray = npt.NDArray[np.int64]

# Lengths of batches where a network is compiled for each: more cost more seconds than their padding saves.
COMPILED_LENGTHS = 8
# Dialogues that are computed together where nothing is learnt.
EVALUATION_ROWS = 32


class Share(NamedTuple):
    """The part of every batch that one of several processes computes.

    Attributes
    ----------
    rank
        The number of the process, from 0.
    processes
        How many there are.
    devices
        How many devices all of them have; each device computes equally many rows.
    """

    rank: int
    processes: int
    devices: int


# The share of a process that trains alone.
WHOLE = Share(0, 1, 1)


class DialogueBatches(keras.utils.PyDataset):
    """Batches (features, action bits, turn weights) of dialogues of any lengths, for ``fit`` of any Keras model.

    Padding is on the right and has weight 0, so no mask is needed: a causal LSTM computes every real turn as if there were no
    padding. Use a loss with ``reduction="mean_with_sample_weight"``; with Keras' default reduction padding shrinks the loss.
    Measure by :class:`~dialog_policy.network.turns.TurnMean`: padding and the batches change the figures of Keras' own metrics.
    Call ``fit`` with ``shuffle=False``: which dialogues share a batch, and the order of the batches, changes every epoch.
    All batches have the same number of rows, :attr:`batch_size`; where dialogues are missing, the rows are padding. (One batch
    may have fewer rows, see `max_lengths`.)

    Parameters
    ----------
    encoded
        The dialogues.
    batch_size
        Maximum number of rows in a batch. With ``"bucket"`` and ``"pad"`` the dialogues are divided evenly between as few
        batches as possible, so that there is no smaller last batch, whose few dialogues would weigh more.
    strategy
        ``"bucket"``: dialogues of similar length share a batch, padded to the longest of them or, with `max_lengths`, to the
        next of that many lengths. ``"exact"``: only dialogues of equal length share a batch, so there is no padding, but
        batches of rare lengths have empty rows. ``"pad"``: any dialogues, padded to the longest of all, in one shape.
        ``"single"``: one dialogue per batch. ``"window"``: each row advances through its dialogues by `window` turns per batch,
        for dialogues of thousands of turns; the features come with ``fresh``, which marks where the state starts anew
        (:func:`dialog_policy.network.layers.windowed`). Gradients stop at the border of a window (truncated back-propagation,
        Williams & Peng 1990).
    max_lengths
        Maximum number of batch lengths with ``"bucket"``, chosen by :mod:`dialog_policy.network.lengths` so that batches are
        padded least; a network is compiled anew for each length. Where one is compiled anyway (JAX), the longest dialogues may
        be a batch of fewer rows. None: no limit.
    window
        Turns per window.
    weighting
        ``"turn"``: every turn to predict weighs 1. ``"dialogue"``: the turns of a dialogue share its weight, so that every
        dialogue weighs the same; over all turns the mean is 1.
    class_weight
        ``"balanced"``: rare action sets have as much weight as frequent ones; ``"none"``: all turns have the same weight.
    packed
        Whether features come without those of trainable tables, and with the packed terms from which
        :func:`dialog_policy.network.embedding.with_embeddings` computes these. For each of `encoded.embedded`, numbered from
        0: ``terms_n``, ids, and ``texts_n``, to which text of the batch each belongs, both filled up with ids 0 to a power of
        two; ``shares_n``, one over the number of terms of each text; ``rows_n``, shape (batch, time), each turn's text.
    seed
        The order of epoch e depends only on (seed, e), so that an interrupted training can continue exactly.
    epoch
        The first epoch, counted from 0.
    share
        Which rows of every batch this process yields. All processes plan the same batches from the dialogues' lengths, so they
        agree on them without communication. Empty rows are added if the devices cannot divide a batch evenly.

    Raises
    ------
    OptionError
        If there are no dialogues, a number is not positive, or a name is unknown.
    """

    def __init__(
        self,
        encoded: EncodedDialogues,
        batch_size: int = 32,
        *,
        strategy: Strategy = "bucket",
        max_lengths: int | None = None,
        window: int = 64,
        weighting: Weighting = "turn",
        class_weight: ClassWeight = "none",
        packed: bool = False,
        seed: int = 0,
        epoch: int = 0,
        share: Share = WHOLE,
    ) -> None:
        super().__init__(workers=1)
        if not isinstance(encoded, EncodedDialogues):
            raise OptionError(
                f"expected encoded dialogues, found {type(encoded).__name__}. dialog_policy.features.encode.encode_dialogues"
                "(corpus, encoder) encodes a corpus, EncodedDialogues.from_arrays(features, targets) takes arrays of your own."
            )
        if not encoded.lengths.sum():
            raise OptionError("there are no dialogues with turns to make batches of.")
        for name, number, least in (
            ("batch_size", batch_size, 1),
            ("window", window, 1),
            ("max_lengths", 1 if max_lengths is None else max_lengths, 1),
            ("seed", seed, 0),
        ):
            check_whole(name, number, least)
        for name, value, known in (
            ("strategy", strategy, get_args(Strategy)),
            ("weighting", weighting, get_args(Weighting)),
            ("class_weight", class_weight, get_args(ClassWeight)),
        ):
            if value not in known:
                hint = did_you_mean(str(value), known)
                raise OptionError(f"{name}: expected one of {', '.join(known)}; found {value!r}.{hint}")
        self.encoded, self.strategy, self.window, self.seed = encoded, strategy, window, seed
        self.packed = packed
        self._mean_terms = [encoded.mean_terms(part) for part in encoded.embedded] if packed else []
        self.share = share
        self._plan = BatchPlan(
            encoded, batch_size, strategy=strategy, max_lengths=max_lengths, window=window, seed=seed, devices=share.devices,
            same_sizes=not compiles(),
        )  # fmt: skip
        self.batch_size = self._plan.batch_size
        self._weights = encoded.dialogue_weights() if weighting == "dialogue" else None
        self._balance = encoded.balanced_weights() if class_weight == "balanced" else None
        self.epoch = epoch
        self._batches = self._plan.batches(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[_Inputs, FloatArray, FloatArray]:
        batch = self._batches[index]
        here = self._mine(len(batch.dialogues))
        turns = self.encoded.padded_turns(batch.dialogues[here], batch.length, batch.starts[here])
        features = self.encoded.features(turns, embedded=not self.packed)
        weights = self.encoded.weights(turns)
        if self._weights is not None:
            rows = batch.dialogues[here]
            weights *= np.where(rows == NOBODY, 0.0, self._weights[rows]).astype(np.float32)[:, None]
        if self._balance is not None:
            weights *= self._balance[turns].astype(np.float32)
        inputs: dict[str, npt.NDArray[Any]] = {"features": features}
        if self.packed:
            inputs.update(self._packed_terms(self.turns(index)))
        if self.strategy == "window":
            inputs["fresh"] = (batch.starts[here] == 0).astype(np.float32)[:, None]
        return inputs if len(inputs) > 1 else features, self.encoded.targets(turns), weights

    def _mine(self, size: int) -> slice:
        """Return this process' share of so many rows."""
        size //= self.share.processes
        return slice(self.share.rank * size, (self.share.rank + 1) * size)

    def _packed_terms(self, turns: _IntArray) -> dict[str, npt.NDArray[Any]]:
        """Return this process' share of the terms of a whole batch: each text is embedded once, wherever it is said."""
        inputs: dict[str, npt.NDArray[Any]] = {}
        devices = self.share.devices
        for number, part in enumerate(self.encoded.embedded):
            packed, rows = self.encoded.packed(part, turns)
            ids, counts = packed.values, packed.counts
            # Sizes depend on the batch's shape, so that a compiled network sees few: as many texts as turns, and one more, to
            # which what fills the terms up belongs; as many terms as so many turns have on average, or more by a power of two.
            size = 1 << max(len(ids) - 1, int(turns.size * self._mean_terms[number])).bit_length()
            size = ceil_div(size, devices) * devices
            terms, texts = np.full(size, PADDING_ID, dtype=np.int32), np.full(size, turns.size, dtype=np.int32)
            terms[: len(ids)], texts[: len(ids)] = ids, np.repeat(np.arange(len(counts)), counts)
            shares = np.zeros(ceil_div(turns.size + 1, devices) * devices, dtype=np.float32)
            np.divide(1.0, counts, out=shares[: len(counts)], where=counts > 0, casting="same_kind")
            whole = {"terms": terms, "texts": texts, "shares": shares, "rows": rows.astype(np.int32)}
            inputs.update({f"{name}_{number}": array[self._mine(len(array))] for name, array in whole.items()})
        return inputs

    def turns(self, index: int) -> _IntArray:
        """Turn numbers of a batch, shape (rows, time), as :meth:`EncodedDialogues.padded_turns` gives them.

        ``predictions[turns[turns != PADDING]] = predicted[turns != PADDING]`` puts what a model predicted for the batch back in
        the corpus' own order.
        """
        batch = self._batches[index]
        return self.encoded.padded_turns(batch.dialogues, batch.length, batch.starts)

    def turns_in(self, index: int) -> int:
        """Count the real turns of a batch."""
        batch = self._batches[index]
        left = np.where(batch.dialogues == NOBODY, 0, self.encoded.lengths[batch.dialogues] - batch.starts)
        return int(np.clip(left, 0, batch.length).sum())

    def on_epoch_end(self) -> None:
        """Deal the dialogues anew."""
        self.epoch += 1
        self._batches = self._plan.batches(self.epoch)


def evaluation_batches(
    encoded: EncodedDialogues, batch_size: int = EVALUATION_ROWS, max_lengths: int | None = None
) -> list[_IntArray]:
    """Turn numbers of all dialogues, shortest first, in few large padded batches of shape (≤ batch_size, time).

    With `max_lengths` all batches have `batch_size` rows and one of so many lengths.
    """
    order = np.argsort(encoded.lengths, kind="stable")
    groups = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    longest = [max(1, int(encoded.lengths[group].max())) for group in groups]
    if max_lengths is None:
        return [encoded.padded_turns(*batch) for batch in zip(groups, longest, strict=True)]
    padded = few_lengths(longest, max_lengths)
    batches = []
    for group, least in zip(groups, longest, strict=True):
        rows = np.full(batch_size, NOBODY, dtype=np.int64)
        rows[: len(group)] = group
        batches.append(encoded.padded_turns(rows, next(n for n in padded if n >= least)))
    return batches
