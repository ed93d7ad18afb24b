"""Messages about settings that are impossible."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from dialog_policy.errors import did_you_mean

__all__ = ["explain"]

# msgspec names the types of JSON.
_WORDS = {
    "array": "a list",
    "bool": "True or False",
    "float": "a number",
    "int": "a whole number",
    "null": "None",
    "object": "a dict",
    "str": "a string",
}
_ENCODER_LISTS, _AN_ENCODER = ("user", "system", "context"), '{"kind": "bits"}'


def explain(error: msgspec.ValidationError, config: type[msgspec.Struct], settings: Any) -> str:
    """Say which setting is impossible, what was found, what is possible and why.

    Parameters
    ----------
    error
        msgspec's, such as ``"Invalid enum value 'wrd' - at `$.encoders.user[0].unit`"``, which leaves out what is possible.
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
    path = path.removeprefix("encoders.")
    surplus = re.fullmatch(r"Object contains unknown field `(\w+)`", problem)
    if surplus:
        unknown, possible = surplus[1], [field.name for field in _struct(kind, value).fields]
    else:
        unknown = value
        possible = [str(v) for one in _alternatives(kind) if isinstance(one, inspect.LiteralType) for v in one.values]
    if possible:
        hint = did_you_mean(str(unknown), possible)
        return f"setting {path}: expected one of {', '.join(possible)}; found {unknown!r}.{hint}"
    if isinstance(value, int | float) and not isinstance(value, bool) and (range_ := _range_of(kind, value)):
        return f"setting {path}: expected {range_}; found {value!r}."
    return f"setting {path}: {_in_python(problem, path)}; found {value!r}."


def _in_python(problem: str, path: str) -> str:
    """Say msgspec's problem, such as ``"Expected `array`, got `str`"``, in the words of Python."""
    if re.fullmatch(r"Expected `(array|object)`, got .*", problem):
        if path in _ENCODER_LISTS:
            return f"expected a list of encoders, such as [{_AN_ENCODER}]"
        if path.partition("[")[0] in _ENCODER_LISTS and path.endswith("]"):
            return f"expected an encoder, such as {_AN_ENCODER}"
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        return f"expected the key {missing[1]!r}"
    expected = problem.partition(", got ")[0]
    words = re.sub(r"`([^`]+)`", lambda kinds: " or ".join(_WORDS.get(k, k) for k in kinds[1].split(" | ")), expected)
    return words[0].lower() + words[1:]


def _range_of(kind: inspect.Type, value: float) -> str:
    """Say which numbers are possible, and why no others."""
    for one in _alternatives(kind):
        number, reason = one, ""
        if isinstance(one, inspect.Metadata):
            number, reason = one.type, (one.extra_json_schema or {}).get("description", "")
        if isinstance(number, inspect.IntType | inspect.FloatType):
            bounds = [
                f"{word} {bound:,}"
                for word, bound in (("from", number.ge), ("over", number.gt), ("to", number.le), ("under", number.lt))
                if bound is not None
            ]
            what = "a whole number" if isinstance(number, inspect.IntType) else "a number"
            return f"{what} {' '.join(bounds)}".rstrip() + (f" ({reason})" if reason else "")
    return ""


def _plain(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    kind = kind if not isinstance(kind, inspect.Metadata) or not isinstance(kind.type, inspect.UnionType) else kind.type
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _struct(kind: inspect.Type, value: Any) -> inspect.StructType:
    """Of the structs that a value may be, the one whose tag it has."""
    structs = [one for one in map(_plain, _alternatives(kind)) if isinstance(one, inspect.StructType)]
    return next(one for one in structs if one.tag_field is None or one.tag == value[one.tag_field])


def _follow(kind: inspect.Type, value: Any, step: str) -> tuple[inspect.Type, Any]:
    """Go from a type and a value of it to those of an item or a field."""
    alternatives = tuple(map(_plain, _alternatives(kind)))
    if step.isdigit():
        tuples = [one for one in alternatives if isinstance(one, inspect.VarTupleType | inspect.TupleType)]
        item = tuples[0].item_type if isinstance(tuples[0], inspect.VarTupleType) else tuples[0].item_types[int(step)]
        return item, value[int(step)]
    tags = tuple(one.tag for one in alternatives if isinstance(one, inspect.StructType) and one.tag_field == step)
    if tags:
        return inspect.LiteralType(tags), value[step]
    return next(field.type for field in _struct(kind, value).fields if field.name == step), value[step]
