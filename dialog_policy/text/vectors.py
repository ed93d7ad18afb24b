"""Encoders made from word vectors, trained by gensim or read from a file."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.errors import CorpusWarning, OptionError, require
from dialog_policy.text.counts import TokenLists
from dialog_policy.text.static_tables import load_static_words
from dialog_policy.text.table import GRAM, FloatArray, Pool, TermTable
from dialog_policy.text.tokens import Analyzer, character_ngrams

__all__ = ["VECTORS_TO_FILE", "common_component", "load_vectors", "train_vectors"]

# What to do with vectors that are in memory, as messages say it.
VECTORS_TO_FILE = (
    "Word vectors are read from a file: write gensim's with vectors.save_word2vec_format('words.bin', binary=True) (for a Word2Vec "
    "model: model.wv.save_word2vec_format), and use the encoder {'kind': 'pretrained', 'path': 'words.bin'}. A matrix and its words "
    "become gensim's by vectors = gensim.models.KeyedVectors(matrix.shape[1]) and vectors.add_vectors(words, matrix)."
)
# Arora et al. (2017) weigh a word by a / (a + p(word)) and find a = 1e-3 to 1e-4 good.
_SIF_A = 1e-3
# gensim allocates every bucket of subword vectors, two million unless told otherwise. So many keep collisions rare among
# the n-grams of a dialogue corpus.
_BUCKETS = 100_000
# Under this share of the words that are said, most texts are vectors of unknown words.
_FEW_KNOWN = 0.5
# Texts whose sums are in memory together.
_TOGETHER = 65_536


def train_vectors(
    sentences: TokenLists,
    dim: int,
    window: int,
    epochs: int,
    pools: Sequence[Pool],
    *,
    subwords: tuple[int, int] | None,
    seed: int,
) -> TermTable:
    """Train skip-gram vectors: Word2Vec, or FastText where `subwords` gives its shortest and longest n-gram."""
    texts = _Sentences(sentences)
    models = require("gensim.models", extra="train", purpose="training word vectors")
    # One worker: with several the result depends on the order in which they happen to run.
    options = {
        "vector_size": dim,
        "window": window,
        "epochs": epochs,
        "sg": 1,
        "min_count": 1,
        "workers": 1,
        "seed": seed,
    }
    if subwords is None:
        vectors = models.Word2Vec(texts, **options).wv
    else:
        vectors = models.FastText(texts, **options, min_n=subwords[0], max_n=subwords[1], bucket=_BUCKETS).wv
    return _word_table(vectors, sentences, pools, subwords)


class _Sentences:
    """Sentences as gensim takes them, as often as it goes through them; they need not be in memory."""

    def __init__(self, sentences: TokenLists) -> None:
        self._sentences = sentences

    def __iter__(self) -> Iterator[list[str]]:
        return (list(tokens) for tokens in self._sentences if tokens)


def load_vectors(path: str, format: str, sentences: TokenLists, max_terms: int, pools: Sequence[Pool]) -> TermTable:
    """Read pretrained vectors; `sentences` give the word frequencies that SIF needs.

    Raises
    ------
    OptionError
        If the file is missing, is not in this format, has a number that is NaN or infinite, or no word of the sentences.
    MissingExtraError
        If the extra `static`, for the format model2vec, is not installed.
    """
    if format == "model2vec":
        return _known(
            _table_of_words(*load_static_words(path, sentences, max_terms), sentences, pools), path, sentences
        )
    if not Path(path).is_file():
        raise OptionError(f"there is no file of pretrained vectors at {path!r}.")
    with open(path, "rb") as file:
        begins = file.read(6)
    # What gensim's `save` (a pickle, which could run code), numpy.save and numpy.savez write.
    if begins.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x93NUMPY", b"PK\x03\x04")):
        kind = "a pickle, such as gensim's save() writes" if begins.startswith(b"\x80") else "arrays of NumPy"
        raise OptionError(f"{path}: expected vectors in {format} format, found {kind}. {VECTORS_TO_FILE}")
    models = require("gensim.models", extra="train", purpose="reading pretrained vectors")
    try:
        if format == "fasttext":
            vectors = models.fasttext.load_facebook_vectors(path)
            _check_finite(vectors, path)
            return _word_table(vectors, sentences, pools, (vectors.min_n, vectors.max_n))
        vectors = models.KeyedVectors.load_word2vec_format(
            path, binary=path.endswith(".bin"), no_header=format == "glove", limit=max_terms, unicode_errors="replace"
        )
    except (ValueError, EOFError, IndexError, UnicodeError, AssertionError, NotImplementedError) as error:
        raise OptionError(
            f"{path}: expected vectors in {format} format, but it cannot be read as that ({error}). "
            "Known formats: word2vec (text, or binary in a file that ends in .bin), glove (text), fasttext (.bin), model2vec "
            "(a folder)."
        ) from None
    _check_finite(vectors, path)
    return _known(_word_table(vectors, sentences, pools, None), path, sentences)


def _known(table: TermTable, path: str, sentences: TokenLists) -> TermTable:
    """Return a table of words if it has any of the training part's; warn if it lacks most of what is said there."""
    said, known = Counter(token for tokens in sentences for token in tokens), set(table.terms)
    share = sum(count for word, count in said.items() if word in known) / max(1, said.total())
    if not said or share >= _FEW_KNOWN:
        return table
    lacking = ", ".join([repr(word) for word, _ in said.most_common() if word not in known][:3])
    what = f"{share:.0%} of the words of the training part have a vector; frequent ones without are {lacking}."
    if not share:
        raise OptionError(f"{path}: none{what[2:]} Give vectors of the corpus' language and of whole words.")
    warnings.warn(
        f"{path}: only {what} Are the vectors of the corpus' language, and is max_terms high enough?",
        CorpusWarning,
        stacklevel=2,
    )
    return table


def _check_finite(vectors: Any, path: str) -> None:
    is_finite = np.isfinite(vectors.vectors).all(axis=1)
    if not is_finite.all():
        word = vectors.index_to_key[int(is_finite.argmin())]
        raise OptionError(
            f"{path}: expected finite numbers, found NaN or infinity in the vector of {word!r}; remove that line."
        )


def _word_table(
    vectors: Any, sentences: TokenLists, pools: Sequence[Pool], subwords: tuple[int, int] | None
) -> TermTable:
    """Table of a gensim model's words, and of the character n-grams that these contain."""
    # Tokens are case folded; of words that differ in case only, files have the most frequent first.
    rows_of: dict[str, int] = {}
    for row, word in enumerate(vectors.index_to_key):
        rows_of.setdefault(word.casefold(), row)
    words = list(rows_of)
    matrix = vectors.vectors[list(rows_of.values())].astype(np.float32)
    if subwords is None:
        return _table_of_words(words, matrix, sentences, pools)
    _, weights = _counts_and_weights(words, sentences)
    from gensim.models.fasttext import ft_hash_bytes  # here, since only the extra `train` has it

    grams = sorted({gram for word in words for gram in character_ngrams(word, *subwords)})
    buckets = [ft_hash_bytes(gram.encode()) % vectors.bucket for gram in grams]
    terms = [*words, *(GRAM + gram for gram in grams)]
    all_vectors = np.vstack([matrix, vectors.vectors_ngrams[buckets].astype(np.float32)])
    all_weights = np.concatenate([weights, np.ones(len(grams))]).astype(np.float32)
    return TermTable(Analyzer("subword", *subwords), terms, all_vectors, all_weights, pools=pools)


def _table_of_words(
    words: Sequence[str], matrix: FloatArray, sentences: TokenLists, pools: Sequence[Pool]
) -> TermTable:
    """Table of words; an unknown one has the mean vector of the rarest."""
    counts, weights = _counts_and_weights(words, sentences)
    rare = matrix[counts <= counts.min()]
    return TermTable(
        Analyzer("word"), words, np.vstack([matrix, rare.mean(axis=0)]), weights.astype(np.float32), pools=pools
    )


def _counts_and_weights(
    words: Sequence[str], sentences: TokenLists
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how often each word occurs, and what SIF weighs it by."""
    frequencies = Counter(token for tokens in sentences for token in tokens)
    counts = np.array([frequencies[word] for word in words], dtype=np.float64)
    return counts, _SIF_A / (_SIF_A + counts / max(1, frequencies.total()))


def common_component(table: TermTable, texts: TokenLists) -> FloatArray:
    """First singular vector of the SIF sums of `texts`, shape (D,): what Arora et al. (2017) remove from each."""
    assert table.vectors is not None
    weighted = TermTable(table.analyzer, table.terms, table.vectors, table.weights, pools=("sif",))
    gram: npt.NDArray[np.float64] = np.zeros((weighted.dim, weighted.dim))
    stream = iter(texts)
    while chunk := list(itertools.islice(stream, _TOGETHER)):
        sums = weighted.encode(chunk)
        gram += sums.T.astype(np.float64) @ sums
    return np.linalg.eigh(gram)[1][:, -1].astype(np.float32)
