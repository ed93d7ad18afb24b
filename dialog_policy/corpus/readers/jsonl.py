"""The native format: JSON Lines, one dialogue a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dialog_policy.corpus.bits import HOW_TO_NAME, actions_of_bits, bit_names
from dialog_policy.corpus.dialogue import Dialogue, Turn, huge_number
from dialog_policy.corpus.problems import Place, Problem
from dialog_policy.corpus.readers.messages import files_of_messages
from dialog_policy.corpus.readers.part_names import in_part
from dialog_policy.corpus.readers.reader import BITS, Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.surrogates import json_problem
from dialog_policy.errors import CorpusError, counted, did_you_mean

__all__ = ["READER"]

_TURN_KEYS = frozenset({"user", "context", "actions", "system", "reward", "propensity"})


class _Turn(msgspec.Struct):
    actions: frozenset[str] | None
    user: str | None = None
    context: dict[str, Any] | None = None
    system: str | None = None
    reward: float | None = None
    propensity: float | None = None


class _Dialogue(msgspec.Struct):
    id: str | int
    turns: list[_Turn]
    split: str | None = None


class _UnannotatedTurn(_Turn):
    actions: frozenset[str] | None = None


class _Unannotated(_Dialogue):
    turns: list[_UnannotatedTurn]  # type: ignore[assignment]


_KNOWN = {"id", "turns", "split"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _hint(raw: Any) -> str:
    """Name a turn's misspelt key, if that is what is wrong."""
    for turn in raw.get("turns", ()) if isinstance(raw, dict) and isinstance(raw.get("turns"), list) else ():
        if isinstance(turn, dict) and "actions" not in turn:
            if key := _misspelt(turn):
                return f"Did you mean 'actions' for {key!r}?"
            return 'Write "actions": null for a turn that is history only.'
        if isinstance(turn, dict) and isinstance(turn.get("actions"), list) and _are_bits(turn["actions"]):
            return "It looks like a bit vector. " + HOW_TO_NAME.format(count=len(turn["actions"]))
    return ""


def _are_bits(actions: list[Any]) -> bool:
    return bool(actions) and all(isinstance(bit, (int, float)) and bit in (0, 1) for bit in actions)


def _name_actions(raw: dict[str, Any], bits: Sequence[str], place: str, number: int) -> None:
    """Put names of actions in the place of bit vectors, which may be lists or texts."""
    turns = raw.get("turns")
    for index, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict) and isinstance(turn.get("actions"), (list, str)):
            try:
                actions = actions_of_bits(turn["actions"], bits)
            except ValueError as error:
                dialogue = raw["id"] if isinstance(raw.get("id"), str) else None
                raise CorpusError(f"{error}.", path=place, line=number, dialogue=dialogue, turn=index) from None
            turn["actions"] = None if actions is None else list(actions)


def _misspelt(turn: dict[str, Any]) -> str | None:
    return next((key for key in turn if key not in _TURN_KEYS and did_you_mean(key, ["actions"])), None)


def _faulty_turn(raw: dict[str, Any]) -> int | None:
    turns = raw.get("turns")
    for number, turn in enumerate(turns if isinstance(turns, list) else ()):
        try:
            msgspec.convert(turn, _Turn)
        except msgspec.ValidationError:
            return number
    return None


def _parse(
    line: str, place: str, number: int, kind: type[_Dialogue], bits: Sequence[str], unknown: set[str]
) -> Dialogue:
    """Return the dialogue of a line; names of keys of its turns that are not read are added to `unknown`."""
    raw: Any = None
    try:
        raw = _decode(line)
        if bits:
            _name_actions(raw, bits, place, number)
        dialogue = msgspec.convert(raw, kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        if raw is None:
            problem = json_problem(error, line)
            raise CorpusError(
                f"expected a JSON object; found: {problem}.",
                path=place,
                line=number,
                remedy="Write each dialogue as an object in a line of its own.",
            ) from None
        raise CorpusError(
            f'expected {{"id", "turns": [{{"user", "actions", "system"}}]}}; found: {error}.',
            path=place,
            line=number,
            dialogue=raw["id"] if isinstance(raw.get("id"), str) else None,
            turn=_faulty_turn(raw),
            remedy=_hint(raw),
        ) from None
    except RecursionError:
        raise CorpusError("expected a dialogue, found JSON nested too deep.", path=place, line=number) from None
    if huge_number(line, raw):
        raise CorpusError(
            "it has an integer of more than 308 digits.",
            path=place,
            line=number,
            dialogue=str(dialogue.id),
            turn=next((n for n, turn in enumerate(raw["turns"]) if huge_number(line, turn)), None),
            remedy="Write it as a text, or leave it out.",
        )
    turns = tuple(
        Turn(
            user=turn.user or "",
            context=turn.context or {},
            actions=turn.actions,
            system=turn.system or "",
            reward=turn.reward,
            propensity=turn.propensity,
        )
        for turn in dialogue.turns
    )
    unknown.update(*(turn.keys() - _TURN_KEYS for turn in raw["turns"]))
    fields = {name: value for name, value in raw.items() if name not in _KNOWN}
    return Dialogue(id=str(dialogue.id), turns=turns, split=dialogue.split or None, fields=fields)


def _read(source: Source, bits: Sequence[str], unknown: set[str], *, annotated: bool) -> Iterator[Dialogue]:
    for member in _members(source):
        # A file says in all its turns what the system did, or in none: a turn without it among others is a mistake.
        kind: type[_Dialogue] = _Dialogue if annotated or _has_actions(source, member) else _Unannotated
        for number, line in source.lines(member):
            if line.strip():
                dialogue = _parse(line, source.place(member), number, kind, bits, unknown)
                yield in_part(dialogue, source.parts.get(member))


def _has_actions(source: Source, member: str) -> bool:
    """Whether any turn of a file has the key ``actions``, or one that seems to mean it."""
    for _, line in source.lines(member):
        try:
            turns = _decode(line).get("turns") if line.strip() else ()
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return True  # reading says what is wrong with it
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, dict) and ("actions" in turn or _misspelt(turn)):
                return True
    return False


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else _lines_files(source)


def _lines_files(source: Source) -> list[str]:
    # Logs of chat messages may be JSON Lines, too, and have a reader of their own.
    others = set(files_of_messages(source))
    return [m for m in source.members if m.lower().endswith((".jsonl", ".ndjson")) and m not in others]


def _recognises(source: Source) -> bool:
    return bool(_lines_files(source))


def _open(source: Source, options: Options) -> Opened:
    unknown: set[str] = set()
    bits = bit_names(options["bits"])
    return Opened(
        lambda: _read(source, bits, unknown, annotated=True),
        unannotated=lambda: _read(source, bits, unknown, annotated=False),
        problems=lambda: _problems(source, unknown),
    )


def _problems(source: Source, unknown: set[str]) -> Iterator[Problem]:
    place = [Place(file=str(source.path))]
    hints = {key: did_you_mean(key, _TURN_KEYS, cutoff=0.8).strip() for key in sorted(unknown)}
    for key, hint in hints.items():
        if hint:
            yield Problem("warning", "unknown-key", f"The key {key!r} of turns is not read", hint, places=place)
    if others := [key for key, hint in hints.items() if not hint]:
        message = f"{counted(len(others), 'other key')} of turns {'is' if len(others) == 1 else 'are'} not read: "
        message += ", ".join(map(repr, others[:10])) + (", …" if len(others) > 10 else "")
        remedy = "What the system knew before it acted belongs in 'context'."
        yield Problem("note", "unknown-key", message, remedy, len(others), place)


READER = Reader(
    "jsonl",
    "JSON Lines, one dialogue per line: the native format",
    _recognises,
    _open,
    {"bits": BITS},
    members=_members,
)
