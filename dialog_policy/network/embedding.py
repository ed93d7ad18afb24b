"""Embeddings trained with the network: packed terms and segment sums, no padded token tensors.

While it is trained, the network sees the frozen features and, for each trainable table, packed term ids. Then the trained vectors
replace the table's, and whatever encodes turns by it has the features that the network was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.text.embedding import PADDING_ID

__all__ = ["PooledEmbedding", "freeze", "with_embeddings"]


@keras.saving.register_keras_serializable("dialog_policy")
class PooledEmbedding(keras.layers.Layer):
    """Pools the vectors of each text's terms.

    Parameters
    ----------
    n_terms
        Number of terms V: ids 1 to V. V + 1 is every unknown term; 0 is padding, counts nothing and learns nothing.
    dim
        Length of a vector.
    pools
        ``"mean"``, ``"sum"`` or both, concatenated.
    word_dropout
        Probability with which training takes a term for unknown.
    seed
        Of this.
    """

    def __init__(
        self, n_terms: int, dim: int, *, pools: Sequence[str], word_dropout: float, seed: int, **options: Any
    ) -> None:
        super().__init__(**options)
        self.n_terms, self.dim, self.pools = n_terms, dim, tuple(pools)
        self.word_dropout, self.seed = word_dropout, seed
        self.seeds = keras.random.SeedGenerator(seed)

    def build(self, terms_shape: Any, texts_shape: Any, shares_shape: Any, rows_shape: Any) -> None:
        """Make the vectors, shape (V + 2, dim)."""
        self.vectors = self.add_weight(shape=(self.n_terms + 2, self.dim), initializer="zeros", name="vectors")

    def call(self, terms: Any, texts: Any, shares: Any, rows: Any, training: bool = False) -> Any:
        """Embed turns.

        Parameters
        ----------
        terms, texts
            Ids of the terms of all texts and the text of each, shape (n,).
        shares
            One over the number of terms of each text, 0 without any; shape (n_texts,).
        rows
            The text of each turn, shape (batch, time).
        training
            Whether to drop words.

        Returns
        -------
        Tensor of shape (batch, time, dim × number of pools)
        """
        if training and self.word_dropout:
            dropped = keras.random.uniform(ops.shape(terms), seed=self.seeds) < self.word_dropout
            dropped = ops.logical_and(dropped, terms != PADDING_ID)
            terms = ops.where(dropped, ops.cast(self.n_terms + 1, terms.dtype), terms)
        # Padding's vector is nothing whatever its weights are, so they get no gradient either. The product also makes one
        # dense gradient of those of a term's occurrences: AdamW would square these one by one.
        is_term = ops.cast(ops.arange(self.n_terms + 2) != PADDING_ID, self.compute_dtype)[:, None]
        vectors = ops.take(self.vectors * is_term, terms, axis=0)
        sums = ops.segment_sum(vectors, texts, num_segments=ops.shape(shares)[0])
        pooled = [sums * shares[:, None] if pool == "mean" else sums for pool in self.pools]
        return ops.take(ops.concatenate(pooled, axis=-1), rows, axis=0)

    def compute_output_shape(self, terms_shape: Any, texts_shape: Any, shares_shape: Any, rows_shape: Any) -> Any:
        """Shape of the embedded turns."""
        return (*rows_shape, self.dim * len(self.pools))

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of."""
        own = {"n_terms": self.n_terms, "dim": self.dim, "pools": self.pools, "seed": self.seed}
        return {**super().get_config(), **own, "word_dropout": self.word_dropout}


def with_embeddings(network: keras.Model, encoded: EncodedDialogues, *, seed: int) -> keras.Model:
    """Return the same network, sharing its weights, with the trainable tables of `encoded` as layers before it.

    Parameters
    ----------
    network
        Made by :func:`~dialog_policy.network.layers.build_network` or :func:`~dialog_policy.network.layers.windowed`.
    encoded
        Dialogues encoded by tables of which some can be trained; their vectors are where training begins.
    seed
        Of word dropout.

    Returns
    -------
    keras.Model
        From what ``DialogueBatches(encoded, packed=True)`` yields to logits.
    """
    carried = isinstance(network.input, dict)
    batch = (network.input["features"] if carried else network.input).shape[0]
    n_frozen = sum(width for part, width in enumerate(encoded.widths) if part not in encoded.embedded)
    inputs = {"features": keras.Input(batch_shape=(batch, None, n_frozen), name="features")}
    if carried:
        inputs["fresh"] = keras.Input(batch_shape=(batch, 1), name="fresh")
    embedded: dict[int, Any] = {}
    for number, (part, texts) in enumerate(encoded.embedded.items()):
        table = texts.table
        own = {
            "terms": keras.Input(batch_shape=(None,), dtype="int32", name=f"terms_{number}"),
            "texts": keras.Input(batch_shape=(None,), dtype="int32", name=f"texts_{number}"),
            "shares": keras.Input(batch_shape=(None,), name=f"shares_{number}"),
            "rows": keras.Input(batch_shape=(batch, None), dtype="int32", name=f"rows_{number}"),
        }
        inputs.update({f"{name}_{number}": value for name, value in own.items()})
        layer = PooledEmbedding(
            len(table.terms),
            table.vectors.shape[1],
            pools=table.pools,
            word_dropout=table.word_dropout,
            seed=seed + number,
            name=f"embedding_{number}",
        )
        embedded[part] = layer(*own.values())
        layer.vectors.assign(np.concatenate([np.zeros_like(table.vectors[:1]), table.vectors]))
    parts, start = [], 0
    for part, width in enumerate(encoded.widths):
        if part in embedded:
            parts.append(embedded[part])
        elif width:
            parts.append(inputs["features"][..., start : start + width])
            start += width
    features = keras.layers.Concatenate(name="frozen_and_embedded")(parts)
    logits = network({"features": features, "fresh": inputs["fresh"]} if carried else features)
    return keras.Model(inputs, logits, name=f"{network.name}_embedded")


def freeze(model: keras.Model, encoded: EncodedDialogues) -> None:
    """Give the trainable tables of `encoded`, which its encoder shares, the vectors of a model by :func:`with_embeddings`."""
    for number, texts in enumerate(encoded.embedded.values()):
        vectors = ops.convert_to_numpy(model.get_layer(f"embedding_{number}").vectors)
        texts.table.vectors = np.array(vectors[PADDING_ID + 1 :])
