r"""The plain transcript: ``t1: user: "Do you know an apple?", system: "no"(action=2)``.

A blank line stands between dialogues, ``#`` starts a comment line. ``action=2,5`` is a set of two actions, ``action=`` the empty
set; without ``(action=…)`` the turn is history only. With the option ``bits``, ``action=0110`` is a bit vector. ``\"`` is a quotation mark within a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import regex

from dialog_policy.corpus.bits import HOW_TO_NAME, actions_of_bits, are_repeated_bits, bit_names
from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.readers.reader import BITS, Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source, encoding_of
from dialog_policy.errors import CorpusError

__all__ = ["READER"]

# Word processors turn quotation marks into curly ones, sometimes only one of a pair.
# Quantifiers are possessive: blanks before a word that does not come are not tried in every division.
_QUOTED = r'(?:["“”]((?:\\.|[^"“”\\])*)["“”]|"((?:\\.|[^"\\])*)")'
_LINE = regex.compile(
    rf"\s*+t(\d++)\s*+:\s*+(?:user\s*+:\s*+{_QUOTED}\s*+,?\s*+)?(?:system\s*+:\s*+{_QUOTED}\s*+)?"
    r"(?:\(\s*+actions?\s*+=(.*)\))?\s*+\.?\s*+$",
    regex.IGNORECASE,
)
_START = re.compile(r"\s*t\d+\s*:\s*(?:user|system)\s*:", re.IGNORECASE)


def _unescape(text: str | None) -> str:
    return re.sub(r"\\(.)", r"\1", text or "")


def _actions(listed: str, bits: Sequence[str]) -> frozenset[str] | None:
    if bits:
        return actions_of_bits(listed, bits)
    names = [name for part in listed.split(",") if (name := part.strip())]
    if are_repeated_bits(names):
        raise ValueError(
            f"action={listed[:40]} is a bit vector and no list of names. {HOW_TO_NAME.format(count=len(names))}"
        )
    return frozenset(names)


def _parse(line: str, place: str, number: int, bits: Sequence[str]) -> tuple[int, Turn]:
    match = _LINE.match(line)
    if match is None or not any(group is not None for group in match.groups()[1:]):
        raise CorpusError(
            f'expected t1: user: "…", system: "…"(action=2), found {line.strip()[:80]!r}.', path=place, line=number
        )
    turn, user, mixed_user, system, mixed_system, listed = match.groups()
    try:
        actions = None if listed is None else _actions(listed, bits)
    except ValueError as error:
        raise CorpusError(f"{error}.".removesuffix(".."), path=place, line=number) from None
    # Eighteen digits number any dialogue; Python refuses to convert thousands of them.
    return int(turn[:18]), Turn(
        user=_unescape(user or mixed_user), system=_unescape(system or mixed_system), actions=actions
    )


def _read(source: Source, members: list[str], bits: Sequence[str]) -> Iterator[Dialogue]:
    for member in members:
        stem = "" if len(members) == 1 else f"{member}:"
        turns: list[Turn] = []
        number, last = 0, -1
        for line_number, line in source.lines(member):
            if line.lstrip().startswith("#"):
                continue
            if line.strip():
                index, turn = _parse(line, source.place(member), line_number, bits)
                if turns and index <= last:
                    raise CorpusError(
                        f"expected a turn after t{last}, found t{index}.",
                        path=source.place(member),
                        line=line_number,
                        remedy="Put a blank line between two dialogues.",
                    )
                last = index
                turns.append(turn)
            elif turns:
                number += 1
                yield Dialogue(id=f"{stem}{number}", turns=tuple(turns), split=source.parts.get(member))
                turns = []
        if turns:
            yield Dialogue(id=f"{stem}{number + 1}", turns=tuple(turns), split=source.parts.get(member))


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else [m for m in source.find("*.txt") if _is_transcript(source, m)]


def _is_transcript(source: Source, member: str) -> bool:
    """Whether the first line of a file that says something is a turn."""
    head = source.head([member], 4096)
    text = head.decode(encoding_of(head[:2]), errors="replace")
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return _START.match(next(lines, "")) is not None


def _recognises(source: Source) -> bool:
    return any(_is_transcript(source, member) for member in _members(source))


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, _members(source), bit_names(options["bits"])))


READER = Reader(
    "transcript",
    'plain text: t1: user: "…", system: "…"(action=2,5)',
    _recognises,
    _open,
    {"bits": BITS},
    members=_members,
)
