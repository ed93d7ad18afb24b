"""The kinds of text encoder that a configuration can name, and the fit side of each.

Everything fitted here ends as a :class:`~dialog_policy.text.table.TermTable`; gensim and scikit-learn are needed to fit, not
to encode. A sentence model, which is fitted to nothing here, is a table of its own kind. All are frozen but one: an embedding
is trained further with the network, and frozen then.

More than 300 lines: the settings of each kind, with their bounds, stand beside how it is fitted.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from dialog_policy.errors import OptionError
from dialog_policy.text.counts import TokenLists, fit_bits, fit_lsa
from dialog_policy.text.embedding import TrainableTable, fit_embedding
from dialog_policy.text.sentence_model import files_of_model, read_sentence_model
from dialog_policy.text.sentence_table import SentenceTable, Table
from dialog_policy.text.table import TermTable
from dialog_policy.text.tokens import Analyzer
from dialog_policy.text.vectors import common_component, load_vectors, train_vectors

__all__ = [
    "Bits",
    "Embedding",
    "Encoder",
    "FastText",
    "Lsa",
    "Pretrained",
    "Sentence",
    "Word2Vec",
    "analyzer_of",
    "files_of",
    "fit_encoder",
    "scale_step",
]

# Texts by whose vectors a table is scaled.
_SCALED_BY = 2_000

# Why a number may not be larger, as messages say it.
_Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000, description="more has never been of use")]
_Terms = Annotated[
    int, msgspec.Meta(ge=1, le=1_000_000, description="every term is a column of features or a row of a table")
]
_Dim = Annotated[int, msgspec.Meta(ge=1, le=10_000, description="every turn has so many features")]
_Length = Annotated[int, msgspec.Meta(ge=1, le=16, description="longer n-grams hardly ever occur twice")]
_Ngrams = tuple[_Length, _Length]
_WordPools = Annotated[tuple[Literal["mean", "sif", "max"], ...], msgspec.Meta(min_length=1)]


class Bits(msgspec.Struct, frozen=True, tag="bits", tag_field="kind", forbid_unknown_fields=True):
    """Multi-hot: one bit a word (or character n-gram) of the training part.

    Attributes
    ----------
    unit
        What n-grams consist of: words, or the characters of words.
    ngrams
        Shortest and longest n-gram.
    max_terms
        Maximum number of n-grams with a bit, the most frequent ones.
    """

    unit: Literal["word", "character"] = "word"
    ngrams: _Ngrams = (1, 1)
    max_terms: _Terms = 1_000


class Lsa(msgspec.Struct, frozen=True, tag="lsa", tag_field="kind", forbid_unknown_fields=True):
    """TF-IDF of n-grams reduced by truncated SVD; with no more terms than `dim`, the TF-IDF values themselves.

    Attributes
    ----------
    unit, ngrams, max_terms
        As for :class:`Bits`.
    dim
        Length of the vector, at most.
    variance
        Share of the TF-IDF's variance that the vector is to explain: where fewer than `dim` features do, it has no more. Few
        or short texts are told apart by what is left, and are learnt by heart with it. 1: `dim` features.
    """

    unit: Literal["word", "character"] = "word"
    ngrams: _Ngrams = (1, 2)
    dim: _Dim = 200
    max_terms: _Terms = 50_000
    variance: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0


class Word2Vec(msgspec.Struct, frozen=True, tag="word2vec", tag_field="kind", forbid_unknown_fields=True):
    """Skip-gram vectors trained on the training part; an unknown word has the mean vector of the rarest words.

    Attributes
    ----------
    dim
        Length of a word's vector.
    window
        How many words to either side of a word it is learnt from.
    epochs
        Passes over the training part's sentences.
    pools
        How the vectors of a text's words are combined; the results of several pools are concatenated. ``"mean"``, ``"max"`` of
        each number, ``"sif"`` (smooth inverse frequency: rare words weigh more, and the common component is removed).
    """

    dim: _Dim = 100
    window: _Positive = 5
    epochs: _Positive = 10
    pools: _WordPools = ("mean", "max")


class FastText(msgspec.Struct, frozen=True, tag="fasttext", tag_field="kind", forbid_unknown_fields=True):
    """Skip-gram vectors with subwords: an unknown word is composed of its character n-grams.

    Attributes
    ----------
    dim, window, epochs, pools
        As for :class:`Word2Vec`.
    ngrams
        Shortest and longest character n-gram that a word is composed of.
    """

    dim: _Dim = 100
    window: _Positive = 5
    epochs: _Positive = 10
    ngrams: _Ngrams = (3, 5)
    pools: _WordPools = ("mean", "max")


class Pretrained(msgspec.Struct, frozen=True, tag="pretrained", tag_field="kind", forbid_unknown_fields=True):
    """Vectors from a file: word2vec (text or ``.bin``), GloVe (text), fastText (``.bin``, with its subwords).

    ``model2vec`` is a folder with static vectors of tokens in safetensors and their tokenizer file.

    Attributes
    ----------
    path
        The file.
    format
        How it is written.
    max_terms
        Maximum number of words to read, from the beginning of the file; a fastText file is read completely.
    pools
        As for :class:`Word2Vec`.
    """

    path: str
    format: Literal["word2vec", "glove", "fasttext", "model2vec"] = "word2vec"
    max_terms: _Terms = 100_000
    pools: _WordPools = ("sif", "max")


class Embedding(msgspec.Struct, frozen=True, tag="embedding", tag_field="kind", forbid_unknown_fields=True):
    """Vectors of words (and n-grams of words) that are trained with the network.

    A term in fewer than `min_count` texts of the training part is unknown. All unknown terms share one vector. It is learnt
    from these terms and from others that training replaces by it with the probability `word_dropout`.

    Attributes
    ----------
    ngrams
        Shortest and longest n-gram of words.
    dim
        Length of a term's vector.
    max_terms
        Maximum number of terms with their own vector, the most frequent ones.
    min_count
        Minimum number of texts that must contain a term for it to have its own vector.
    pools
        How the vectors of a text's terms become one: their mean, their sum, or both.
    init
        The initial vectors: gensim's skip-gram vectors of the training part, or random ones. A context needs random ones.
    word_dropout
        Probability with which training treats a term as unknown.
    """

    ngrams: _Ngrams = (1, 1)
    dim: _Dim = 100
    max_terms: _Terms = 20_000
    min_count: _Terms = 2
    pools: Annotated[tuple[Literal["mean", "sum"], ...], msgspec.Meta(min_length=1)] = ("mean",)
    init: Literal["word2vec", "random"] = "word2vec"
    word_dropout: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.05


class Sentence(msgspec.Struct, frozen=True, tag="sentence", tag_field="kind", forbid_unknown_fields=True):
    """A sentence model in ONNX format, frozen; a run keeps a copy of it.

    Attributes
    ----------
    path
        An ONNX file with its ``tokenizer.json`` beside it, a folder with both, or the name of an installed package that has both.
    """

    path: str


Encoder = Bits | Lsa | Word2Vec | FastText | Pretrained | Embedding | Sentence


def files_of(encoder: Encoder) -> list[Path]:
    """Return the files that an encoder is made of; none where there is no such file, which its fit says."""
    if isinstance(encoder, Sentence):
        with contextlib.suppress(OptionError):
            return list(files_of_model(encoder.path))
    return [Path(encoder.path)] if isinstance(encoder, Pretrained) else []


def analyzer_of(encoder: Encoder, *, are_terms: bool = False) -> Analyzer | None:
    """Return what makes the terms that an encoder counts, of texts or of terms already; None: it counts none."""
    if not isinstance(encoder, Bits | Lsa | Embedding):
        return None
    if are_terms:
        return Analyzer("term")
    return Analyzer("word" if isinstance(encoder, Embedding) else encoder.unit, *encoder.ngrams)


def scale_step(n_texts: int) -> int:
    """Return every how manieth text says how long a text's vector is."""
    return max(1, n_texts // _SCALED_BY)


def fit_encoder(
    encoder: Encoder, texts: TokenLists, *, sentences: TokenLists, seed: int, are_terms: bool = False
) -> Table:
    """Fit an encoder.

    Parameters
    ----------
    encoder
        Which kind, with its settings.
    texts
        Tokens of the texts that will be encoded, of the training part only.
    sentences
        Tokens of everything that may teach word vectors: user and system utterances of the training part.
    seed
        Makes the result reproducible.
    are_terms
        Whether `texts` are terms already (a context) and no n-grams are to be made.

    Returns
    -------
    TermTable
        Scaled so that a text has a squared length of about its number of features, on average. One that is to be trained on
        words, where there are none, has no terms and no features.

    Raises
    ------
    OptionError
        If a context is to be encoded by word vectors or a sentence model, or a file cannot be read or used.
    """
    analyzer = analyzer_of(encoder, are_terms=are_terms)
    if isinstance(encoder, Bits | Lsa):
        assert analyzer is not None
        if isinstance(encoder, Bits):
            return fit_bits(analyzer, texts, encoder.max_terms)
        table = fit_lsa(analyzer, texts, encoder.max_terms, encoder.dim, seed, variance=encoder.variance)
        return _standardised(table, texts)
    if isinstance(encoder, Embedding):
        if are_terms and encoder.init != "random":
            raise OptionError(
                f"a context is not a sentence: expected init = 'random' for its embedding, found {encoder.init!r}."
            )
        assert analyzer is not None
        if encoder.init == "word2vec" and not any(sentences):
            return TermTable(analyzer, [])
        return _embedding(encoder, analyzer, texts, sentences, seed)
    if are_terms:
        kind = msgspec.to_builtins(encoder)["kind"]
        raise OptionError(
            f"a context is not a sentence: expected encoders of kind 'lsa' or 'bits' for it, found {kind!r}."
        )
    if isinstance(encoder, Sentence):
        return SentenceTable(read_sentence_model(encoder.path))
    if not isinstance(encoder, Pretrained) and not any(sentences):
        return TermTable(Analyzer("word"), [])
    if isinstance(encoder, Pretrained):
        table = load_vectors(encoder.path, encoder.format, sentences, encoder.max_terms, encoder.pools)
    else:
        ngrams = encoder.ngrams if isinstance(encoder, FastText) else None
        table = train_vectors(
            sentences, encoder.dim, encoder.window, encoder.epochs, encoder.pools, subwords=ngrams, seed=seed
        )
    if "sif" in encoder.pools:
        table.component = common_component(table, texts)
    return _standardised(table, texts)


def _embedding(
    encoder: Embedding, analyzer: Analyzer, texts: TokenLists, sentences: TokenLists, seed: int
) -> TrainableTable:
    """Fit an embedding; its vectors themselves are scaled, since they are what is trained."""
    table = fit_embedding(
        analyzer,
        texts,
        sentences,
        encoder.dim,
        max_terms=encoder.max_terms,
        min_count=encoder.min_count,
        pools=encoder.pools,
        init=encoder.init,
        word_dropout=encoder.word_dropout,
        seed=seed,
    )
    table.vectors = table.vectors * np.float32(_scale(table, texts))
    return table


def _standardised(table: TermTable, texts: TokenLists) -> TermTable:
    table.scale = _scale(table, texts)
    return table


def _scale(table: TermTable, texts: TokenLists) -> float:
    """Return what makes the squared length of a text its number of features, on average."""
    squared = np.square(table.encode(texts[:: scale_step(len(texts))]), dtype=np.float64).sum(axis=1)
    return float(np.sqrt(table.dim / squared[squared > 0].mean())) if np.any(squared > 0) else table.scale
