"""Routes of sessions and turns."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from dialog_policy.corpus.lines import native_line
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import UnprocessableError
from dialog_policy.serving.records import TurnRequest
from dialog_policy.serving.schemas import Correction, Error, NewSession, SessionView, TurnView

__all__ = ["errors", "json", "session_routes"]

_KEY_LENGTH = 255
_EXAMPLES: dict[str, Any] = {
    "what the user said": {"value": {"user": "a table for two in the north, please"}},
    "what a database answered": {
        "value": {"user": None, "context": {"results": [{"name": "The Oak", "price": "30 euros"}]}}
    },
    "nothing may be booked": {"value": {"user": "i take it", "allowed": ["offer", "request_login"]}},
}


class _Direct(APIRoute):
    """A route whose function takes the request as it is.

    What FastAPI does to read a request's parts takes longer than deciding a turn of which the words were heard before.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.endpoint


def json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe answers about errors, for the OpenAPI."""
    return {status: {"model": Error, "description": HTTPStatus(status).phrase} for status in statuses}


def session_routes(conversations: Conversations) -> APIRouter:
    """Return the routes."""
    settings = conversations.settings
    routes = APIRouter(prefix="/sessions", tags=["sessions"], responses=errors(401, 413, 422, 429, 503))

    def check_length(what: str, text: str | None) -> None:
        if text is not None and len(text) > settings.max_utterance:
            raise UnprocessableError(
                f"{what}: expected at most {settings.max_utterance:,} characters (--max-utterance), found {len(text):,}."
            )

    async def respond(request: Request) -> Response:
        """Go on by a turn: what the user said, or what the system has learnt, comes in; what the bot is to do comes out.

        A turn that may be sent twice, since an answer can get lost, carries an `Idempotency-Key`: it counts once, and the second
        answer has the header `Idempotent-Replayed: true`.
        """
        name = request.path_params["id"]
        try:
            asked = _decode_turn(await request.body())
        except msgspec.DecodeError as error:
            raise UnprocessableError(f'expected {{"user": "…", "context": {{…}}}}: {error}.') from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise UnprocessableError(f"the body is not JSON that can be read: {error}.") from None
        check_length("user", asked.user)
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= _KEY_LENGTH:
            raise UnprocessableError(f"Idempotency-Key: expected 1 to {_KEY_LENGTH} characters, found {len(key)}.")
        turn, repeated = await conversations.respond(name, asked, key)
        line = request.scope["log"]
        line.update(session=name, turn=turn["turn"])
        if settings.log_text:
            line.update(user=turn["user"], reply=turn["reply"])
        return json(turn, 201, {"Idempotent-Replayed": "true"} if repeated else None)

    routes.add_api_route(
        "/{id}/turns", respond, methods=["POST"], status_code=201, route_class_override=_Direct,
        responses={201: {"model": TurnView, "description": "The turn"}, **errors(404, 409)}, openapi_extra=_turn_openapi(),
    )  # fmt: skip

    @routes.post("", status_code=201, response_model=SessionView, responses=errors(404, 409))
    async def begin(request: Request, wanted: NewSession | None = None) -> Response:
        """Begin a conversation."""
        wanted = wanted or NewSession(run=None, id=None)
        name = wanted.id or secrets.token_hex(12)
        request.scope["log"]["session"] = name
        found = await conversations.create(name, wanted.run)
        return json(found, 201, {"Location": f"/sessions/{name}"})

    @routes.get("/{id}", response_model=SessionView, responses=errors(404, 409))
    async def read(id: str) -> Response:
        """Return a conversation with all its turns."""
        return json(await conversations.read(id))

    @routes.delete("/{id}", status_code=204, response_class=Response, responses=errors(404, 409))
    async def delete(id: str) -> None:
        """Remove a conversation."""
        await conversations.delete(id)

    @routes.put("/{id}/turns/{turn}/actions", response_model=SessionView, responses=errors(404, 409))
    async def correct(id: str, turn: int, done: Correction) -> Response:
        """Say what the bot really did in a turn. Later turns stand as they are; the policy goes on from what was done."""
        check_length("system", done.system)
        return json(await conversations.correct(id, turn, done.actions, done.system))

    @routes.delete("/{id}/turns/{turn}", response_model=SessionView, responses=errors(404, 409))
    async def undo(id: str, turn: int) -> Response:
        """Take back a turn and all later ones."""
        return json(await conversations.undo(id, turn))

    @routes.get(
        "/{id}/dialogue",
        response_class=Response,
        responses={
            200: {"description": "One line of JSON Lines", "content": {"application/x-ndjson": {}}},
            **errors(404, 409),
        },
    )
    async def dialogue(id: str) -> Response:
        """Return a conversation as a dialogue of a corpus, in the native form."""
        return Response(native_line(await conversations.dialogue(id)), media_type="application/x-ndjson")

    return routes


_decode_turn = msgspec.json.Decoder(TurnRequest).decode


def _turn_openapi() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([TurnRequest])
    header = {
        "name": "Idempotency-Key", "in": "header", "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": _KEY_LENGTH, "pattern": "^[!-~]+$"},
    }  # fmt: skip
    path = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    body = {"application/json": {"schema": components["TurnRequest"], "examples": _EXAMPLES}}
    return {"parameters": [path, header], "requestBody": {"required": True, "content": body}}
