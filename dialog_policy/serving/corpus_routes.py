"""Routes of a prototype that grows: browse the corpus, save corrected dialogues, train again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.lines import native_line
from dialog_policy.corpus.readers import stream
from dialog_policy.files import atomic_write
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import NotFoundError, UnprocessableError
from dialog_policy.serving.schemas import CorpusDialogue, CorpusPage, RunName, Saved, SessionName, Training
from dialog_policy.serving.session_routes import errors, json
from dialog_policy.serving.training import Retraining

__all__ = ["corpus_routes"]


def corpus_routes(conversations: Conversations, corpus: Corpus, retraining: Retraining) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["corpus"], responses=errors(401, 413, 422, 429, 503))
    texts = {dialogue.id: _searchable(dialogue) for dialogue in corpus}
    saving = asyncio.Lock()

    @routes.get("/corpus/dialogues", response_model=CorpusPage)
    async def dialogues(
        query: str = "", offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """List dialogues of the corpus whose id, utterances or actions contain a text."""
        wanted = query.casefold()
        found = [dialogue for dialogue in corpus if wanted in texts[dialogue.id]]
        listed = [
            {"id": d.id, "split": d.split, "turns": len(d), "first": next((t.user for t in d.turns if t.user), "")}
            for d in found[offset : offset + limit]
        ]
        return json({"total": len(found), "offset": offset, "dialogues": listed})

    @routes.get("/corpus/dialogues/{id:path}", response_model=CorpusDialogue, responses=errors(404))
    async def dialogue(id: str) -> Response:
        """Return a dialogue of the corpus with its gold actions."""
        if id not in corpus.ids:
            raise NotFoundError(f"the corpus has no dialogue {id!r}.")
        found = corpus.dialogue(id)
        turns = [
            {"user": t.user, "context": t.context, "actions": _sorted(t.actions), "system": t.system}
            for t in found.turns
        ]
        return json({"id": found.id, "split": found.split, "turns": turns})

    @routes.post(
        "/corpus/saved", status_code=201, response_model=Saved,
        responses={200: {"model": Saved, "description": "It was saved before"}, **errors(404, 409)},
    )  # fmt: skip
    async def save(wanted: SessionName) -> Response:
        """Add a conversation, as it was corrected, to the dialogues that the next training has besides the corpus."""
        found = await conversations.dialogue(wanted.session)
        if not found.turns:
            raise UnprocessableError("the session has no turns yet.")
        async with saving:
            return await asyncio.to_thread(_save, found, retraining.saved)

    @routes.post("/train", status_code=202, response_model=Training, responses=errors(404, 409))
    async def train(wanted: RunName | None = None) -> Response:
        """Train a run again on the corpus and the saved dialogues, in the background; then it is loaded anew."""
        run = conversations.runs.named(wanted.run if wanted else None)
        return json(retraining.start(run), 202)

    @routes.get("/train", response_model=Training)
    async def progress() -> Response:
        """Say how far the training is."""
        return json(retraining.state)

    return routes


def _sorted(actions: frozenset[str] | None) -> list[str] | None:
    return None if actions is None else sorted(actions)


def _searchable(dialogue: Dialogue) -> str:
    words = [dialogue.id]
    for turn in dialogue.turns:
        words += [turn.user, turn.system, *(turn.actions or ())]
    return "\n".join(words).casefold()


def _save(dialogue: Dialogue, path: Path) -> Response:
    name = f"chat-{dialogue.fingerprint()[:12]}"
    there = [other.id for other in stream(path, format="jsonl")] if path.exists() else []
    saved = {"id": name, "file": str(path), "dialogues": len(there) + (name not in there)}
    if name in there:
        return json(saved, 200)
    before = path.read_bytes() if path.exists() else b""
    line = native_line(Dialogue(id=name, turns=dialogue.turns))
    with atomic_write(path) as file:
        file.write(before + (b"\n" if before and not before.endswith(b"\n") else b"") + line)
    return json(saved, 201)
