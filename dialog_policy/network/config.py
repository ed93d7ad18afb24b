"""Settings of the network and its training, with their legal ranges."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["ClassWeight", "Decoding", "Head", "NetworkConfig", "Precision", "Strategy", "Weighting"]

Decoding = Literal["joint", "independent"]
Head = Literal["auto", "softmax", "sigmoid"]
Strategy = Literal["bucket", "exact", "pad", "single", "window"]
Weighting = Literal["turn", "dialogue"]
Precision = Literal["float32", "mixed"]
ClassWeight = Literal["none", "balanced"]

# Why a number may not be larger, as messages say it.
_Units = Annotated[
    int,
    msgspec.Meta(
        ge=1,
        le=8_192,
        description="a layer of n units has 4·n² recurrent weights, and training keeps four copies of them",
    ),
]
_Epochs = Annotated[
    int, msgspec.Meta(ge=1, le=100_000, description="each epoch is a pass over the whole training part")
]
_Dialogues = Annotated[
    int, msgspec.Meta(ge=1, le=65_536, description="the features of all dialogues of a batch are in memory at once")
]
_Turns = Annotated[
    int, msgspec.Meta(ge=1, le=65_536, description="the states of all these turns are in memory at once")
]
_Share = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
_Rate = Annotated[
    float, msgspec.Meta(gt=0.0, le=1.0, description="a step of AdamW moves every weight by about the learning rate")
]
_Decay = Annotated[
    float, msgspec.Meta(ge=0.0, le=10.0, description="each step shrinks every weight by learning_rate × weight_decay")
]
_Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1, description="NumPy's and scikit-learn's seeds have 32 bits")]

# Defaults that depend on the amount of data: small corpora need small batches and many epochs to be seen often enough.
_BATCH_SIZE, _SMALLEST_BATCH, _STEPS_AN_EPOCH = 32, 8, 60
_EPOCHS, _STEPS = 20, 300


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the network and its training.

    Attributes
    ----------
    hidden
        Units of the LSTM, or of each of several stacked LSTMs.
    head
        ``"softmax"`` for exactly one action a turn, ``"sigmoid"`` for any number; ``"auto"`` looks at the training part.
    decoding
        Where a turn may have several actions: ``"joint"`` learns and decides the whole set at once; ``"independent"`` each action
        by itself.
    dropout
        Share of features and of LSTM outputs dropped in training.
    epochs
        Passes over the training part; None: 20, or as many as make 300 steps where the corpus is small.
    batch_size
        Dialogues a step; None: a sixtieth of the training part, from 8 to 32.
    batches
        How dialogues of different lengths come together: ``"bucket"``, ``"exact"``, ``"pad"``, ``"single"`` or ``"window"``
        (:class:`~dialog_policy.network.batches.DialogueBatches`).
    max_lengths
        At most so many lengths of batches with ``"bucket"``. None: 8 where the network is compiled for each of them (JAX), else
        as many as come.
    window
        Turns a window with ``"window"``.
    weighting
        ``"turn"``: every turn weighs the same in the loss; ``"dialogue"``: every dialogue.
    learning_rate, weight_decay
        Of AdamW; the rate falls to zero along a cosine.
    averaging
        Over which share of all steps weights are averaged, with exponentially less of older ones (Polyak & Juditsky 1992): the
        averages are what is validated and what is kept. 0: each epoch's last weights.
    label_smoothing
        Share of a target's probability that is spread evenly, over the actions or the action sets of training.
    class_weight
        ``"balanced"`` gives rare action sets as much say as frequent ones in the loss; ``"none"`` weighs every turn alike.
    precision
        ``"mixed"`` trains with products in bfloat16, for a GPU that multiplies these quicker; weights, and whatever is predicted
        afterwards, have float32 as with ``"float32"``. On a CPU it is slower.
    patience
        Early stopping: epochs without a better turn accuracy on the validation part after which training stops. The best weights
        are kept, of equally good ones the last.
    smallest_dev
        Fewer validation dialogues than this say too little for early stopping: training then uses the whole training part for its
        fixed number of epochs.
    seed
        Two trainings with the same seed on the same machine give the same bytes.
    """

    hidden: _Units | Annotated[tuple[_Units, ...], msgspec.Meta(min_length=1, max_length=16)] = 128
    head: Head = "auto"
    decoding: Decoding = "joint"
    dropout: _Share = 0.25
    epochs: _Epochs | None = None
    batch_size: _Dialogues | None = None
    batches: Strategy = "bucket"
    max_lengths: _Turns | None = None
    window: _Turns = 64
    weighting: Weighting = "turn"
    learning_rate: _Rate = 0.003
    weight_decay: _Decay = 0.01
    averaging: _Share = 0.0
    label_smoothing: _Share = 0.02
    class_weight: ClassWeight = "none"
    precision: Precision = "float32"
    patience: _Epochs = 6
    smallest_dev: _Dialogues = 20
    seed: _Seed = 0

    @property
    def layers(self) -> tuple[int, ...]:
        """Units of each LSTM layer."""
        return (self.hidden,) if isinstance(self.hidden, int) else self.hidden

    def batch_size_for(self, n_dialogues: int) -> int:
        """Return how many dialogues a step has."""
        return self.batch_size or min(_BATCH_SIZE, max(_SMALLEST_BATCH, n_dialogues // _STEPS_AN_EPOCH))

    def epochs_for(self, n_dialogues: int) -> int:
        """Return how many passes over the training part to make."""
        steps = -(-n_dialogues // self.batch_size_for(n_dialogues))
        return self.epochs or max(_EPOCHS, -(-_STEPS // steps))
