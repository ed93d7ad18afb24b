"""The encoder of texts that asks a sentence model, beside the tables of terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.text.sentence_cache import SentenceCache
from dialog_policy.text.sentence_model import SentenceModel, sentence_model
from dialog_policy.text.table import FloatArray, TermTable

__all__ = ["SentenceTable", "Table", "read_table"]


class SentenceTable:
    """Encodes a text by a frozen sentence model; its squared length is the number of features, as with the other encoders.

    The model gets the text's tokens with a space between them, so entities that are replaced by their types are so here, too.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: SentenceModel) -> None:
        self.model = model
        self._scale = np.float32(np.sqrt(model.dim))

    @property
    def dim(self) -> int:
        """Number of features of a text."""
        return self.model.dim

    def encode(self, token_lists: Sequence[Sequence[str]]) -> FloatArray:
        """Encode texts; vectors are taken from the user's cache where it has them, and kept there.

        Parameters
        ----------
        token_lists
            The tokens of each of n texts.

        Returns
        -------
        ndarray of shape (n, dim), float32
            Zeros for an empty text.
        """
        encoded = np.zeros((len(token_lists), self.dim), dtype=np.float32)
        rows: dict[str, list[int]] = {}
        for row, tokens in enumerate(token_lists):
            if tokens:
                rows.setdefault(" ".join(tokens), []).append(row)
        with SentenceCache(self.model.sha256, self.dim) as cache:
            for text, own in rows.items():
                encoded[own] = cache.vector(text, self.model.encode) * self._scale
        return encoded

    def encode_into(self, out: FloatArray, tokens: Sequence[str]) -> bool:
        """Write a text's vector into `out`, shape (dim,); False, and nothing is written, for an empty text."""
        if tokens:
            np.multiply(self.model.encode(" ".join(tokens)), self._scale, out=out)
        return bool(tokens)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a run stores: a JSON object, and model and tokenizer as arrays of bytes."""
        model = self.model
        contents = {"model": model.model, "tokenizer": model.tokenizer}
        arrays = {name: np.frombuffer(content, dtype=np.uint8) for name, content in contents.items()}
        return msgspec.to_builtins(_Stored("sentence", model.dim, model.sha256)), arrays

    @classmethod
    def from_parts(cls, described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> SentenceTable:
        """Undo :meth:`to_parts`.

        Raises
        ------
        ValueError
            If the parts do not fit together.
        OptionError
            If the model cannot be used.
        MissingExtraError
            If the extra `sentence` is not installed.
        """
        stored = msgspec.convert(described, _Stored)
        if sorted(arrays) != ["model", "tokenizer"] or any(array.dtype != np.uint8 for array in arrays.values()):
            raise ValueError("expected a sentence model and its tokenizer as bytes")
        model = sentence_model(arrays["model"].tobytes(), arrays["tokenizer"].tobytes(), "the sentence model")
        if model.sha256 != stored.sha256:
            raise ValueError(
                f"this is not the sentence model of training: expected SHA-256 {stored.sha256[:16]}…, found "
                f"{model.sha256[:16]}…"
            )
        if model.dim != stored.dim:
            raise ValueError(f"expected a sentence model of {stored.dim} numbers a text, found {model.dim}")
        return cls(model)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    kind: Literal["sentence"]
    dim: int
    sha256: str


# What encodes the texts of one part of a turn.
Table = TermTable | SentenceTable


def read_table(described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Table:
    """Undo ``to_parts`` of an encoder of either kind.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """
    if described.get("kind") == "sentence":
        return SentenceTable.from_parts(described, arrays)
    return TermTable.from_parts(described, arrays)
