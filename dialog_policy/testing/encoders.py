"""What an encoder of texts promises: settings from which :func:`~dialog_policy.text.encoders.fit_encoder` makes a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dialog_policy.testing.check import Check, check, checks_of, same
from dialog_policy.text.encoders import fit_encoder
from dialog_policy.text.sentence_table import Table, read_table

__all__ = ["encoder_checks"]

_PROMISES: list[Callable[..., None]] = []
_SAID = ("a cheap italian place", "an italian place please", "cheap cheap food", "no thanks", "a b a b c")
_TEXTS = [text.split() for text in _SAID] * 4
_NEW = [["unheard", "of"], ["cheap", "unheard"], ["cheaper", "italians"], ["\ud800", "\0", "x" * 5_000]]


def encoder_checks(settings: Any) -> list[Check]:
    """Return the checks of an encoder of texts.

    Parameters
    ----------
    settings
        Of the encoder, such as ``Lsa(dim=8)``.
    """
    return checks_of(repr(settings), _PROMISES, settings)


def _fit(settings: Any, texts: list[list[str]] = _TEXTS) -> Table:
    return fit_encoder(settings, texts, sentences=texts, seed=3)


@check(_PROMISES)
def _company(settings: Any) -> None:
    """A text is encoded the same whatever is encoded with it."""
    table, texts = _fit(settings), [*_TEXTS, [], *_NEW]
    together = table.encode(texts)
    same(together.shape, (len(texts), table.dim), "shape")
    assert np.isfinite(together).all(), "expected finite features"
    for text, row in zip(texts, together, strict=True):
        same(table.encode([text])[0].tobytes(), row.tobytes(), f"features of {text!r}")


@check(_PROMISES)
def _stored(settings: Any) -> None:
    """Stored and read again, it encodes the same."""
    table = _fit(settings)
    again = read_table(*table.to_parts())
    same(again.encode([*_TEXTS, *_NEW]).tobytes(), table.encode([*_TEXTS, *_NEW]).tobytes(), "features")


@check(_PROMISES)
def _empty(settings: Any) -> None:
    """An empty text is zero."""
    assert not _fit(settings).encode([[]]).any(), "expected zeros"


@check(_PROMISES)
def _reproducible(settings: Any) -> None:
    """The same seed gives the same bytes."""
    same(_fit(settings).encode(_TEXTS).tobytes(), _fit(settings).encode(_TEXTS).tobytes(), "features")


@check(_PROMISES)
def _without_words(settings: Any) -> None:
    """Without any words there are features all the same, and none of an empty text."""
    empty: tuple[list[list[str]], ...] = ([], [[], []])
    for texts in empty:
        table = _fit(settings, texts)
        for each in (table, read_table(*table.to_parts())):
            encoded = each.encode([[], ["hello"]])
            same(encoded.shape, (2, each.dim), "shape")
            assert np.isfinite(encoded).all(), "expected finite features"
            assert not encoded[0].any(), "expected zeros for an empty text"
