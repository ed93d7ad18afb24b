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
_EPOCHS, _STEPS = 20, 200


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the network and its training: their defaults and legal ranges.

    What each of them does is said by the parameter of the same name of :class:`~dialog_policy.policy.DialogPolicy`.
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
    averaging: _Share = 0.1
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
