"""Actions as bit vectors, such as ``0110`` or ``[0, 1, 1, 0]``: a bit for each action, one where the system took it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from dialog_policy.errors import OptionError

__all__ = [
    "HOW_TO_NAME",
    "actions_of_bits",
    "are_repeated_bits",
    "bit_names",
    "bits_of_actions",
    "is_bit",
    "is_missing",
    "look_like_bits",
    "written",
]

HOW_TO_NAME = "Name the actions of the bits with --reader bits=greet,query,…, or say how many bits there are: --reader bits={count}."
_MOST_BITS = 100_000
_BITS = {"0": False, "1": True, "false": False, "true": True}
_AS_NUMPY_WRITES = {"0.", "1.", "0.0", "1.0"}
_BETWEEN = re.compile(r"[\s,;|]+")


def bit_names(option: str | int | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the actions in the order of their bits.

    Parameters
    ----------
    option
        The names, as a collection or as a text with commas between them; or how many bits there are: then they are called
        ``action_0``, ``action_1``, …, with as many digits as the last one has, so that sorting them keeps their order.
        An empty text: there are no bits.

    Raises
    ------
    OptionError
        If a name is empty or occurs twice, or the number is not between 1 and 100,000.
    """
    if isinstance(option, bool) or not isinstance(option, (str, Integral, Iterable)):
        raise OptionError(f"bits={option!r}: expected a number of bits, or names such as greet,query.")
    if not isinstance(option, (str, Integral)):
        names = tuple(map(str, option))
    elif isinstance(option, Integral) or option.strip().isdecimal():
        count = int(str(option)[:9])
        if not 1 <= count <= _MOST_BITS:
            raise OptionError(
                f"bits={option}: expected a number from 1 to {_MOST_BITS:,}, or names such as greet,query."
            )
        return tuple(f"action_{bit:0{len(str(count - 1))}}" for bit in range(count))
    else:
        names = tuple(name.strip() for name in option.split(",")) if option.strip() else ()
    if not all(names):
        raise OptionError(
            f"bits={','.join(names)}: the name of bit {names.index('')} is empty; bits are counted from 0."
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(f"bits={','.join(names)}: two bits are called {twice!r}.")
    return names


def actions_of_bits(vector: Any, names: Sequence[str]) -> frozenset[str] | None:
    """Return the actions whose bits are one.

    Parameters
    ----------
    vector
        A sequence of zeros and ones or truth values; or a text of them, with blanks, commas, semicolons or bars between them or
        nothing, with or without brackets. A number such as 110, or a text that could be one, has lost the zeros at its
        beginning, as in spreadsheets. None and ``null``: not known. An empty text: no action.
    names
        Of the actions, in the order of their bits.

    Raises
    ------
    ValueError
        If it is anything else, or has another number of bits.
    """
    if isinstance(vector, float) and vector.is_integer():
        vector = int(vector)
    text = str(vector).strip() if isinstance(vector, (str, int)) else None
    if vector is None or text == "null":
        return None
    if text == "":
        return frozenset()
    if text is None:
        items = [written(item) for item in vector]
    else:
        pieces = _BETWEEN.split(text.strip("[]() ").casefold())
        items = [piece[0] if piece in _AS_NUMPY_WRITES else piece for piece in pieces if piece]
        if len(items) == 1 and items[0].isdecimal():
            # A number never begins with a zero: a text that does is a vector of its own length.
            is_number = items[0] == "0" or items[0][0] != "0"
            items = list(items[0].zfill(len(names)) if is_number else items[0])
    shown = repr(text) if text is not None else f"[{', '.join(items[:20])}{', …' if len(items) > 20 else ''}]"
    if strange := [item for item in items if item not in _BITS]:
        found = repr(strange[0][:20]) if strange[0] else "a missing value"
        raise ValueError(f"expected a vector of zeros and ones, found {found} in {shown[:80]}")
    if len(items) != len(names):
        raise ValueError(f"expected {len(names)} bits, found {len(items)}: {shown[:80]}")
    return frozenset(name for name, item in zip(names, items, strict=True) if _BITS[item])


def bits_of_actions(actions: Collection[str] | None, names: Sequence[str]) -> str | None:
    """Return the bit vector of a set of actions, such as ``0110``; None where it is not known.

    Raises
    ------
    ValueError
        If an action has no bit.
    """
    if actions is None:
        return None
    if unknown := sorted(set(actions) - set(names)):
        raise ValueError(f"the action {unknown[0]!r} has no bit: there are bits for {', '.join(names)}")
    return "".join("01"[name in actions] for name in names)


def written(item: Any) -> str:
    """Return a cell or item as it is compared, in small letters: ``1`` for 1.0 and ``1.0``, nothing for what is missing."""
    if type(item) is int:
        return str(item)
    if type(item) is not str:
        if is_missing(item):
            return ""
        if isinstance(item, float) and item.is_integer():
            item = int(item)
    text = str(item).strip().casefold()
    return text[0] if text in _AS_NUMPY_WRITES else text


def is_missing(value: Any) -> bool:
    """Whether a cell has what pandas puts where nothing is known: None, NaN, NaT or NA."""
    if type(value) is str:  # nearly all are
        return False
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, Real) and value != value)
    )


def is_bit(item: Any) -> bool:
    """Whether an item is a zero, a one or a truth value, or the text of one."""
    return written(item) in _BITS


def are_repeated_bits(items: Collection[Any]) -> bool:
    """Whether a list that should hold names of actions holds zeros and ones, one of them twice: it is a bit vector then."""
    bits = set(map(written, items))
    return len(bits) < len(items) and bits <= _BITS.keys()


def look_like_bits(names: Iterable[str]) -> int:
    """Return how many bits the names of a corpus' actions have, if all of them look like bit vectors; else 0.

    They do if all are made of zeros and ones, and are equally long or, without the zeros at their beginning, up to three
    digits and more.
    """
    lengths = set()
    for name in names:
        bits = _BETWEEN.sub("", name.strip("[]() "))
        if not bits or bits.strip("01"):
            return 0
        lengths.add(len(bits))
    longest = max(lengths, default=0)
    return longest if longest > 2 or lengths == {2} else 0
