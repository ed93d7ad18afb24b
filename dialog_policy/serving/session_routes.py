"""Routes of sessions and turns."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request, Response

from dialog_policy.corpus.lines import native_line
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import UnprocessableError
from dialog_policy.serving.routing import DirectRoute, body, described, errors, json, read
from dialog_policy.serving.schemas import Correction, NewSession, ReplyPreview, SessionView, TurnRequest, TurnView
from dialog_policy.serving.settings import Settings

__all__ = ["session_routes"]

_KEY_LENGTH = 255
_SESSION = {200: described(SessionView), **errors(404, 409)}
_TURNS: dict[str, Any] = {
    "what the user said": {"user": "a table for two in the north, please"},
    "what a database answered": {"user": None, "context": {"results": [{"name": "The Oak", "price": "30 euros"}]}},
    "nothing may be booked": {"user": "i take it", "allowed": ["offer", "request_login"]},
}


def session_routes(conversations: Conversations) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/sessions", tags=["sessions"], responses=errors(401, 413, 422, 429, 503))
    _add_turns(routes, conversations)
    _add_sessions(routes, conversations)
    return routes


def _add_turns(routes: APIRouter, conversations: Conversations) -> None:
    settings = conversations.settings

    async def respond(request: Request) -> Response:
        """Go on by a turn: what the user said, or what the system has learnt, comes in; what the bot is to do comes out.

        A turn that may be sent twice, since an answer can get lost, carries an `Idempotency-Key`: it counts once, and the second
        answer has the header `Idempotent-Replayed: true`.
        """
        name = request.path_params["id"]
        turn = await read(request, TurnRequest)
        _check_length("user", turn.user, settings)
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= _KEY_LENGTH:
            raise UnprocessableError(f"Idempotency-Key: expected 1 to {_KEY_LENGTH} characters, found {len(key)}.")
        view, repeated = await conversations.respond(name, turn, key)
        line = request.scope["log"]
        line.update(session=name, turn=view.turn)
        if settings.log_text:
            line.update(user=view.user, reply=view.reply)
        return json(view, 201, {"Idempotent-Replayed": "true"} if repeated else None)

    routes.add_api_route(
        "/{id}/turns", respond, methods=["POST"], status_code=201, route_class_override=DirectRoute,
        responses={201: described(TurnView), **errors(404, 409, 410)}, openapi_extra=_TURN_PARAMETERS | body(TurnRequest, examples=_TURNS),
    )  # fmt: skip

    @routes.put("/{id}/turns/{turn}/actions", responses=_SESSION, openapi_extra=body(Correction))
    async def correct(id: str, turn: int, request: Request) -> Response:
        """Say what the bot really did in a turn. Later turns stand as they are; the policy goes on from what was done."""
        correction = await read(request, Correction)
        _check_length("system", correction.system, settings)
        return json(await conversations.correct(id, turn, correction.actions, correction.system))

    @routes.post(
        "/{id}/turns/{turn}/reply", responses={200: described(ReplyPreview), **errors(404, 409)},
        openapi_extra=body(Correction),
    )  # fmt: skip
    async def preview(id: str, turn: int, request: Request) -> Response:
        """Return the reply that a correction would give, without making it."""
        correction = await read(request, Correction)
        _check_length("system", correction.system, settings)
        return json(ReplyPreview(await conversations.preview(id, turn, correction.actions, correction.system)))

    @routes.delete("/{id}/turns/{turn}", responses=_SESSION)
    async def undo(id: str, turn: int) -> Response:
        """Take back a turn and all later ones."""
        return json(await conversations.undo(id, turn))


def _add_sessions(routes: APIRouter, conversations: Conversations) -> None:
    @routes.post(
        "", status_code=201, responses={201: described(SessionView), **errors(404, 409)},
        openapi_extra=body(NewSession, is_required=False),
    )  # fmt: skip
    async def begin(request: Request) -> Response:
        """Begin a conversation."""
        new = await read(request, NewSession, is_required=False)
        name = new.id or secrets.token_hex(12)
        request.scope["log"]["session"] = name
        return json(await conversations.create(name, new.run), 201, {"Location": f"/sessions/{name}"})

    @routes.get("/{id}", responses=_SESSION)
    async def show(id: str) -> Response:
        """Return a conversation with all its turns."""
        return json(await conversations.read(id))

    @routes.delete("/{id}", status_code=204, response_class=Response, responses=errors(404, 409))
    async def delete(id: str) -> None:
        """Remove a conversation."""
        await conversations.delete(id)

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


def _check_length(name: str, text: str | None, settings: Settings) -> None:
    if text is not None and len(text) > settings.max_utterance:
        raise UnprocessableError(
            f"{name}: expected at most {settings.max_utterance:,} characters (--max-utterance), found {len(text):,}."
        )


_TURN_PARAMETERS: dict[str, Any] = {
    "parameters": [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
        {
            "name": "Idempotency-Key", "in": "header", "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": _KEY_LENGTH, "pattern": "^[!-~]+$"},
        },
    ]
}  # fmt: skip
