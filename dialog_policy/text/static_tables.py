"""Static vectors of subwords in safetensors with a tokenizer file: what model2vec and similar projects publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dialog_policy.errors import OptionError, require
from dialog_policy.text.counts import TokenLists
from dialog_policy.text.table import FloatArray

__all__ = ["load_static_words"]

_VECTORS, _TOKENIZER = "model.safetensors", "tokenizer.json"
# How vocabularies mark a token that begins a word (SentencePiece, byte-level BPE) and one that goes on with it (WordPiece).
_BEGINS, _CONTINUES = ("▁", "Ġ"), "##"


def load_static_words(path: str, sentences: TokenLists, max_terms: int) -> tuple[list[str], FloatArray]:
    """Read a folder with ``model.safetensors`` and ``tokenizer.json`` as vectors of words.

    Parameters
    ----------
    path
        The folder.
    sentences
        Tokens of the training part.
    max_terms
        At most so many words of the vocabulary, its first, beside those of the training part.

    Returns
    -------
    words, vectors
        The words of the training part, and those of the vocabulary that are whole; each has the mean vector of its tokens,
        shape (n_words, dim). Words without a known token are left out.

    Raises
    ------
    OptionError
        If a file is missing or has something else.
    MissingExtraError
        If the extra `static` is not installed.
    """
    folder = Path(path)
    for name in (_VECTORS, _TOKENIZER):
        if not (folder / name).is_file():
            raise OptionError(
                f"{path}: expected a folder with {_VECTORS} and {_TOKENIZER}, as model2vec saves them; there is no {name}."
            )
    tokenizers = require("tokenizers", extra="static", purpose="reading a table with a tokenizer file")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / _TOKENIZER))
    except Exception as error:  # the library raises nothing more special
        raise OptionError(f"{folder / _TOKENIZER}: it cannot be read as a tokenizer ({error}).") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    vectors = _token_vectors(folder / _VECTORS, tokenizer.get_vocab_size(with_added_tokens=True))
    words = list(dict.fromkeys([*(token for tokens in sentences for token in tokens), *_whole(tokenizer)[:max_terms]]))
    unknown = {tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")}
    pieces = [
        [number for number in encoding.ids if number not in unknown]
        for encoding in tokenizer.encode_batch(words, add_special_tokens=False)
    ]
    known = [number for number, ids in enumerate(pieces) if ids]
    if not known:
        raise OptionError(f"{path}: its tokenizer has no words.")
    means = np.stack([vectors[pieces[number]].mean(axis=0) for number in known])
    return [words[number] for number in known], means.astype(np.float32)


def _token_vectors(place: Path, n_tokens: int) -> FloatArray:
    """Return one vector a token, shape (n_tokens, dim)."""
    try:
        arrays = load_file(place)
    except (OSError, SafetensorError, ValueError) as error:
        raise OptionError(f"{place}: it cannot be read as safetensors ({error}).") from None
    vectors: Any = arrays.get("embeddings")
    if vectors is None or vectors.ndim != 2 or not len(vectors):
        raise OptionError(
            f"{place}: expected an array 'embeddings' of shape (tokens, dim); found {', '.join(sorted(arrays)) or 'none'}."
        )
    vectors = vectors.astype(np.float32)
    # Newer tables share rows between tokens, and weigh tokens.
    if "mapping" in arrays:
        vectors = vectors[np.clip(arrays["mapping"], 0, len(vectors) - 1)]
    if "weights" in arrays and arrays["weights"].shape == (len(vectors),):
        vectors = vectors * arrays["weights"].astype(np.float32)[:, None]
    if len(vectors) < n_tokens:
        raise OptionError(f"{place}: expected vectors of the tokenizer's {n_tokens:,} tokens, found {len(vectors):,}.")
    if not np.isfinite(vectors).all():
        raise OptionError(f"{place}: expected finite numbers, found NaN or infinity.")
    return np.ascontiguousarray(vectors)


def _whole(tokenizer: Any) -> Sequence[str]:
    """Return the tokens of a vocabulary that are words, in its order, case folded as the texts are."""
    numbers: dict[str, int] = tokenizer.get_vocab(with_added_tokens=False)
    ordered = sorted(numbers, key=numbers.__getitem__)
    marked = any(token.startswith(_BEGINS) for token in ordered)
    words = (token.lstrip("".join(_BEGINS)).casefold() for token in ordered if not marked or token.startswith(_BEGINS))
    return list(
        dict.fromkeys(
            word for word in words if word and not word.startswith((_CONTINUES, "[unused", "<")) and word.isprintable()
        )
    )
