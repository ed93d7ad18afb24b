"""A sentence model that somebody has trained: an ONNX graph and its tokenizer's file, computed by onnxruntime.

Every text is computed by itself and without padding, by one thread: what it becomes depends on no other text.
"""

from __future__ import annotations

import importlib.util
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from dialog_policy.errors import OptionError, require
from dialog_policy.text.onnx_check import check_plain_graph

__all__ = ["SentenceModel", "files_of_model", "read_sentence_model", "sentence_model"]

FloatArray = npt.NDArray[np.float32]

_MODEL, _TOKENIZER = "model.onnx", "tokenizer.json"
_LARGEST_MODEL, _LARGEST_TOKENIZER = 1 << 30, 64 << 20
# Tokens of a text that count, those that the tokenizer adds included: what sentence-transformers takes for the common models.
_MOST_TOKENS = 256
_LARGEST_DIM = 10_000
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_LARGEST_NUMBER = 1e8


class SentenceModel:
    r"""Computes the vector of a text. Any number of threads may share one.

    The vector is the mean of the model's token vectors, scaled to length 1: with token vectors :math:`h_1 … h_n`,
    :math:`m = (1 / n) \sum_t h_t` and :math:`v = m / max(‖m‖_2, 10^{-12})`. sentence-transformers does the same (Reimers &
    Gurevych 2019, "Sentence-BERT", its modules ``Pooling`` with ``mean`` and ``Normalize``), where the mean is weighted by the
    attention mask; without padding all weights are 1.

    Parameters
    ----------
    model
        A serialised ONNX model: inputs ``input_ids`` and, where it has them, ``attention_mask`` and ``token_type_ids`` (int64,
        shape (1, tokens)), first output with three axes (1, tokens, dim), float32.
    tokenizer
        Content of a ``tokenizer.json``.
    place
        What the model is called in messages.

    Attributes
    ----------
    dim
        Length of a vector.
    sha256
        Of model and tokenizer (hexadecimal).

    Raises
    ------
    OptionError
        If it is not such a model, or needs anything that is not inside it.
    MissingExtraError
        If the extra `sentence` is not installed.
    """

    def __init__(self, model: bytes, tokenizer: bytes, place: str) -> None:
        self.model, self.tokenizer, self.place = model, tokenizer, place
        self.sha256 = _digest(model, tokenizer)
        self._tokenizer = _read_tokenizer(tokenizer, place)
        try:
            check_plain_graph(model)
            self._session = _session(model)
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise OptionError(f"{place}: it cannot be used as a sentence model ({_first_line(error)}).") from None
        self._inputs = [given.name for given in self._session.get_inputs()]
        unknown = [name for name in self._inputs if name not in _INPUTS]
        if unknown or "input_ids" not in self._inputs:
            raise OptionError(
                f"{place}: expected a model with the inputs {', '.join(_INPUTS)}, found {', '.join(self._inputs) or 'none'}."
            )
        outputs = [given.name for given in self._session.get_outputs() if len(given.shape or ()) == 3]
        if not outputs:
            raise OptionError(f"{place}: expected an output of vectors of tokens, with the axes batch, tokens and dim.")
        self._output = outputs[0]
        self.dim = 0
        self.dim = len(self.encode("hello"))

    def encode(self, text: str) -> FloatArray:
        """Return the vector of a text, shape (dim,), of length 1.

        Raises
        ------
        OptionError
            If the model fails for it, or returns something else than finite vectors of `dim` numbers.
        """
        # What is half a character is none that a tokenizer knows.
        numbers = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
        if not numbers:
            return np.zeros(self.dim, dtype=np.float32)
        ids = np.array([numbers], dtype=np.int64)
        values = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        try:
            (tokens,) = self._session.run([self._output], {name: values[name] for name in self._inputs})
        except Exception as error:  # as above
            raise self._failed(text, _first_line(error)) from None
        if not isinstance(tokens, np.ndarray) or tokens.dtype != np.float32 or tokens.ndim != 3:
            raise self._failed(text, "its output is not an array of float32 with three axes")
        n, n_tokens, dim = tokens.shape
        if (n, n_tokens) != ids.shape or not 0 < dim <= _LARGEST_DIM or self.dim not in (0, dim):
            expected = f"(1, {ids.shape[1]}, {self.dim or 'dim'})"
            raise self._failed(text, f"expected vectors of shape {expected}, found {tokens.shape}")
        mean: FloatArray = tokens[0].mean(axis=0)
        # A NaN is not smaller than anything.
        if not float(np.abs(mean).max()) < _LARGEST_NUMBER:
            raise self._failed(text, "expected finite numbers, found NaN, infinity or larger ones")
        mean /= np.float32(max(float(np.linalg.norm(mean)), 1e-12))
        return mean

    def _failed(self, text: str, reason: str) -> OptionError:
        return OptionError(f"{self.place}: the sentence model fails for the text {text[:40]!r}: {reason}.")


def _digest(model: bytes, tokenizer: bytes) -> str:
    return sha256(sha256(model).digest() + sha256(tokenizer).digest()).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _read_tokenizer(content: bytes, place: str) -> Any:
    tokenizers = require("tokenizers", extra="sentence", purpose="a sentence encoder")
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content.decode())
        own = tokenizer.truncation or {}
        tokenizer.no_padding()
        tokenizer.enable_truncation(max(1, min(_MOST_TOKENS, int(own.get("max_length", _MOST_TOKENS)))))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # an assertion of the library that fails is no Exception
        raise OptionError(f"{place}: its {_TOKENIZER} cannot be read as a tokenizer ({error}).") from None
    return tokenizer


def _session(model: bytes) -> Any:
    onnxruntime = require("onnxruntime", extra="sentence", purpose="a sentence encoder")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # It keeps memory for every length of a text.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


_loaded: WeakValueDictionary[str, SentenceModel] = WeakValueDictionary()
_loading = threading.Lock()


def sentence_model(model: bytes, tokenizer: bytes, place: str) -> SentenceModel:
    """Return a :class:`SentenceModel`; while one is in use, the same one again."""
    with _loading:
        found = _loaded.get(_digest(model, tokenizer))
        if found is None:
            found = SentenceModel(model, tokenizer, place)
            _loaded[found.sha256] = found
        return found


def read_sentence_model(path: str) -> SentenceModel:
    """Read a model from where :func:`files_of_model` finds it.

    Raises
    ------
    OptionError
        If there is none, or it cannot be used.
    MissingExtraError
        If the extra `sentence` is not installed.
    """
    contents = []
    for place, largest in zip(files_of_model(path), (_LARGEST_MODEL, _LARGEST_TOKENIZER), strict=True):
        try:
            size = place.stat().st_size
            if size > largest:
                raise OptionError(f"{place}: expected at most {largest:,} bytes, found {size:,}.")
            contents.append(place.read_bytes())
        except OSError as error:
            raise OptionError(f"{place}: it cannot be read ({error.strerror}).") from None
    model, tokenizer = contents
    return sentence_model(model, tokenizer, path)


def files_of_model(path: str) -> tuple[Path, Path]:
    """Find a sentence model and its tokenizer.

    Parameters
    ----------
    path
        An ONNX file, a folder, or the name of an installed package, which is looked for and not imported. In a folder, the
        one file ``model.onnx`` is taken, or else the one that ends in ``.onnx``, and the ``tokenizer.json`` beside it or in
        the folder above it.

    Raises
    ------
    OptionError
        If there is no such file, or it is not clear which of several is meant.
    """
    folder, model = Path(path), None
    if folder.is_file():
        folder, model = folder.parent, folder
    elif not folder.is_dir():
        spec = importlib.util.find_spec(path) if path.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise OptionError(f"there is no file, no folder and no installed package {path!r} with a sentence model.")
        folder = Path(spec.submodule_search_locations[0])
    if model is None:
        files = sorted(folder.rglob("*.onnx"))
        found = [file for file in files if file.name == _MODEL] or files
        if len(found) != 1:
            names = ", ".join(str(file.relative_to(folder)) for file in found[:5])
            raise OptionError(
                f"{folder}: expected one {_MODEL} and its {_TOKENIZER}, found {names or 'no ONNX file'}."
                + (" Name the file that is meant." if found else "")
            )
        model = found[0]
    for place in (model.parent, model.absolute().parent.parent):
        if (place / _TOKENIZER).is_file():
            return model, place / _TOKENIZER
    raise OptionError(f"{model}: expected its {_TOKENIZER} beside it or in the folder above it, found none.")
