"""Messages about settings that cannot be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from dialog_policy.errors import did_you_mean

__all__ = ["explain"]


def explain(error: msgspec.ValidationError, config: type[msgspec.Struct], settings: Any) -> str:
    """Say which setting is impossible, what was found, and what is possible.

    Parameters
    ----------
    error
        msgspec's, such as ``"Invalid enum value 'wrd' - at `$.user[0].unit`"``, which leaves out what is possible.
    config
        What the settings were to become.
    settings
        The settings, as builtins.
    """
    problem, _, place = str(error).partition(" - at ")
    path = place.strip("`").removeprefix("$.")
    kind, value = inspect.type_info(config), settings
    for step in re.findall(r"\w+", path):
        kind, value = _follow(kind, value, step)
    surplus = re.fullmatch(r"Object contains unknown field `(\w+)`", problem)
    if surplus:
        found, possible = surplus[1], [field.name for field in _struct(kind, value).fields]
    else:
        found = value
        possible = [str(v) for one in _alternatives(kind) if isinstance(one, inspect.LiteralType) for v in one.values]
    if not possible:
        return f"setting {path}: {problem[0].lower()}{problem[1:].replace('`', '')}; found {found!r}."
    return (
        f"setting {path}: expected one of {', '.join(possible)}; found {found!r}.{did_you_mean(str(found), possible)}"
    )


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _struct(kind: inspect.Type, value: Any) -> inspect.StructType:
    """Of the structs that a value may be, the one whose tag it has."""
    structs = [one for one in _alternatives(kind) if isinstance(one, inspect.StructType)]
    return next(one for one in structs if one.tag_field is None or one.tag == value[one.tag_field])


def _follow(kind: inspect.Type, value: Any, step: str) -> tuple[inspect.Type, Any]:
    """Go from a type and a value of it to those of an item or a field."""
    if step.isdigit():
        tuples = [one for one in _alternatives(kind) if isinstance(one, inspect.VarTupleType | inspect.TupleType)]
        item = tuples[0].item_type if isinstance(tuples[0], inspect.VarTupleType) else tuples[0].item_types[int(step)]
        return item, value[int(step)]
    tags = tuple(
        one.tag for one in _alternatives(kind) if isinstance(one, inspect.StructType) and one.tag_field == step
    )
    if tags:
        return inspect.LiteralType(tags), value[step]
    return next(field.type for field in _struct(kind, value).fields if field.name == step), value[step]
