"""How a route reads a request, answers it, and is described in the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from dialog_policy.corpus.surrogates import json_problem
from dialog_policy.serving.errors import UnprocessableError
from dialog_policy.serving.schemas import EXAMPLES, MODELS, Error

__all__ = ["App", "Direct", "DirectRoute", "body", "described", "errors", "json", "read"]

_T = TypeVar("_T", bound=msgspec.Struct)
_REFERENCE = "#/components/schemas/{name}"
# Objects and lists within each other in a request. Answers wrap what they repeat in some more, and encoders have a limit of their own.
_DEEPEST = 200
# A string need not end: what always fits is looked at once.
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)


class DirectRoute(APIRoute):
    """A route whose function takes the request as it is; :class:`Direct` answers it, FastAPI only describes it."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return the function itself."""
        return self.endpoint


class Direct:
    """ASGI middleware that answers some routes itself.

    What FastAPI does on the way to a route takes longer than deciding a turn whose words were heard before.

    Parameters
    ----------
    app
        What answers everything else.
    routes
        Those of them that are a :class:`DirectRoute`.
    on_error
        Returns the response to an exception, and whether it was expected; others are raised again, once that was sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[BaseRoute],
        on_error: Callable[[Request, Exception], Awaitable[tuple[Response, bool]]],
    ) -> None:
        self.app, self.routes, self.on_error = app, [r for r in routes if isinstance(r, DirectRoute)], on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        for route in () if scope.get("root_path") else self.routes:
            match = route.path_regex.match(scope["path"])
            if match is not None and scope["method"] in (route.methods or ()):
                scope["route"], scope["path_params"] = route, match.groupdict()
                await self._answer(route, scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _answer(self, route: DirectRoute, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            response, is_expected = await self.on_error(request, error)
            if not is_expected:
                await response(scope, receive, send)
                raise
        await response(scope, receive, send)


class App(FastAPI):
    """An application whose OpenAPI document has the schemas of :mod:`dialog_policy.serving.schemas`.

    Attributes
    ----------
    outermost
        What every request meets first; None: the application itself, as FastAPI has it.
    paths_without_token
        The paths that need no token; None: no path needs one.
    """

    outermost: ASGIApp | None = None
    paths_without_token: Collection[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self.outermost is not None and scope["type"] == "http":
            await self.outermost(scope, receive, send)
        else:
            await self.inner(scope, receive, send)

    async def inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request without what is outermost."""
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            _, schemas = msgspec.json.schema_components(MODELS, ref_template=_REFERENCE)
            for name, examples in EXAMPLES.items():
                schemas[name]["examples"] = examples
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(schemas)
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, operations in document["paths"].items():
                is_open = self.paths_without_token is None or path in self.paths_without_token
                for operation in operations.values():
                    operation["security"] = [] if is_open else [{"token": []}]
                    # What any request may meet: another host or site, no JSON, a failure.
                    operation["responses"]["default"] = described(Error, "Any other refusal or failure")
        return super().openapi()


def json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with JSON."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


async def read(request: Request, model: type[_T], *, is_required: bool = True) -> _T:
    """Return a request's body; an empty one is the empty object where none is required.

    Raises
    ------
    UnprocessableError
        If it is not JSON or not what `model` describes.
    """
    content = await request.body()
    if _is_too_deep(content):
        raise UnprocessableError(f"expected objects and lists at most {_DEEPEST} deep within each other; found more.")
    try:
        return msgspec.json.decode(content or (b"" if is_required else b"{}"), type=model)
    except msgspec.DecodeError as error:
        expected = ", ".join(f'"{name}"' for name in model.__struct_fields__)
        raise UnprocessableError(f"expected a JSON object with {expected}: {json_problem(error, content)}.") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UnprocessableError(f"the body is not JSON that can be read: {error}.") from None


def _is_too_deep(content: bytes) -> bool:
    """Whether JSON has more objects and lists within each other than are taken."""
    if content.count(b"[") + content.count(b"{") <= _DEEPEST:
        return False
    depth = deepest = 0
    for found in _STRINGS_AND_BRACKETS.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def described(model: type[msgspec.Struct], description: str = "", *, is_list: bool = False) -> dict[str, Any]:
    """Describe a response with JSON."""
    schema: dict[str, Any] = {"$ref": _REFERENCE.format(name=model.__name__)}
    if is_list:
        schema = {"type": "array", "items": schema}
    text = description or (model.__doc__ or "").partition("\n")[0]
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe responses about errors."""
    return {status: described(Error, HTTPStatus(status).phrase) for status in statuses}


def body(
    model: type[msgspec.Struct], *, is_required: bool = True, examples: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a request's body, with examples by what they show, as FastAPI's ``openapi_extra``."""
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCE.format(name=model.__name__)}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": is_required, "content": {"application/json": content}}}
