"""Parts of pages that are made from the code: settings, the HTTP API. ``<!-- generated: NAME -->`` marks their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from numpydoc.docscrape import NumpyDocString

from dialog_policy import DialogPolicy
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.policy.config import Config, setting_names

_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_RUN = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "run-format-4"
_SIMPLE = {
    "IntType": "a whole number",
    "FloatType": "a number",
    "BoolType": "`true` or `false`",
    "StrType": "a text",
    "NoneType": "`null`",
}
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def _settings() -> Iterator[str]:
    """Yield a section a setting: default, type and bounds from `Config`, the meaning from `DialogPolicy`'s docstring."""
    meanings: dict[str, str] = {}
    for parameter in NumpyDocString(DialogPolicy.__doc__ or "")["Parameters"]:
        text = _ROLE.sub(r"`\1`", " ".join(parameter.desc)).replace("``", "`")
        meanings.update(dict.fromkeys(parameter.name.split(", "), text))
    fields = [*msgspec.inspect.type_info(Config).fields, *msgspec.inspect.type_info(EncoderSettings).fields]
    types = {field.encode_name: _type(field.type) for field in fields if field.encode_name in setting_names()}
    defaults = Config().flat()
    for name in setting_names():
        default = msgspec.json.encode(defaults[name]).decode()
        yield f"## {name}\n\n{meanings[name]}\n\n- Values: {types[name]}.\n- Default: `{default}`\n"


def _type(info: Any, bounds: str = "") -> str:
    """Return a type in words, with its bounds."""
    kind = type(info).__name__
    if kind == "Metadata":
        return _type(info.type, bounds)
    if kind in _SIMPLE:
        limits = [
            f"{words} {getattr(info, name):g}" for name, words in _BOUNDS if getattr(info, name, None) is not None
        ]
        return " ".join([_SIMPLE[kind], *limits])
    if kind == "LiteralType":
        return ", ".join(f"`{value}`" for value in info.values)
    if kind == "UnionType":
        return "; or ".join(_type(each) for each in info.types)
    if kind in ("VarTupleType", "ListType"):
        if type(info.item_type).__name__ == "UnionType":
            kinds = ", ".join(f"`{each.tag}`" for each in info.item_type.types)
            return f"a list of [encoders](api.md#encoders-of-text), each with one of these as its `kind`: {kinds}"
        return f"a list, each {_type(info.item_type)}"
    raise TypeError(f"a setting has a type that the page cannot describe yet: {kind}")


def _http() -> Iterator[str]:
    """Yield a section a request and a section a body, from the server's OpenAPI description."""
    from dialog_policy.serving.app import create_app
    from dialog_policy.serving.runs import Runs
    from dialog_policy.serving.stores import MemoryStore

    document = create_app(Runs({"demo": _RUN}), MemoryStore()).openapi()
    yield "## Requests\n"
    for path, methods in document["paths"].items():
        for method, request in methods.items():
            yield f"### {method.upper()} {path}\n\n{request.get('description', '')}\n"
            for parameter in request.get("parameters", []):
                about = parameter.get("description") or _json_type(parameter.get("schema", {}))
                yield f"- `{parameter['name']}` ({parameter['in']}): {about}"
            if body := _schema_of(request.get("requestBody", {})):
                yield f"- Body: {body}"
            for status, answer in request["responses"].items():
                if status < "400":
                    yield f"- {status}: {_schema_of(answer) or answer['description']}"
            errors = [status for status in request["responses"] if status >= "400"]
            if errors:
                yield f"- Errors: {', '.join(sorted(errors))}, each with [Error](#error)"
            yield ""
    yield "## Bodies\n"
    for name, schema in document["components"]["schemas"].items():
        yield f"### {name}\n\n{schema.get('description', '')}\n"
        for field, about in schema.get("properties", {}).items():
            required = " Required." if field in schema.get("required", []) else ""
            meaning = f": {about['description']}" if about.get("description") else ""
            yield f"- `{field}` ({_json_type(about)}){meaning}{required}"
        yield ""


def _schema_of(message: dict[str, Any]) -> str:
    content = message.get("content", {})
    return ", ".join(_json_type(each["schema"]) for each in content.values() if each.get("schema"))


def _json_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_json_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_json_type(schema.get('items', {}))}"
    return str(schema.get("type", "any JSON"))


_MAKERS: dict[str, Callable[[], Iterator[str]]] = {"settings": _settings, "http": _http}


def _insert(app: Any, name: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda mark: "\n".join(_MAKERS[mark[1]]()), source[0])


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx where to insert."""
    app.connect("source-read", _insert)
    return {"parallel_read_safe": True}
