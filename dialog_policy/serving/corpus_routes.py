"""Routes of a prototype that grows: browse the corpus, save corrected dialogues, train again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.append import append_dialogues
from dialog_policy.corpus.readers import stream
from dialog_policy.errors import did_you_mean
from dialog_policy.files import check_output
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import ConflictError, NotFoundError, UnprocessableError
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.routing import body, described, errors, json, read
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import (
    CorpusDialogue,
    CorpusEntry,
    CorpusPage,
    CorpusTurn,
    RunName,
    Saved,
    SessionName,
    Training,
)
from dialog_policy.serving.training import Retraining

__all__ = ["corpus_routes"]

_T = TypeVar("_T")


def corpus_routes(
    conversations: Conversations, rollout: Rollout, corpus: Corpus | None, retraining: Retraining | None
) -> APIRouter:
    """Return the routes; without a corpus each of them answers that the server was started without one."""
    routes = APIRouter(tags=["corpus"], responses=errors(401, 409, 413, 422, 429, 503))
    _add_browsing(routes, None if corpus is None else _Browser(corpus))
    _add_saving(routes, conversations, retraining)
    _add_training(routes, conversations.runs, rollout, retraining)
    return routes


def _add_browsing(routes: APIRouter, browser: _Browser | None) -> None:
    # In threads: to search many dialogues takes a while.
    @routes.get("/corpus/dialogues", responses={200: described(CorpusPage)})
    async def dialogues(
        query: str = "", offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """List dialogues of the corpus whose id, utterances or actions contain a text."""
        return json(await asyncio.to_thread(_there(browser).page, query, offset, limit))

    @routes.get("/corpus/dialogues/{id:path}", responses={200: described(CorpusDialogue), **errors(404)})
    async def dialogue(id: str) -> Response:
        """Return a dialogue of the corpus with its gold actions."""
        return json(await asyncio.to_thread(_there(browser).dialogue, id))


def _add_saving(routes: APIRouter, conversations: Conversations, retraining: Retraining | None) -> None:
    saving = asyncio.Lock()

    @routes.post(
        "/corpus/saved", status_code=201, openapi_extra=body(SessionName),
        responses={201: described(Saved), 200: described(Saved, "It was saved before."), **errors(404)},
    )  # fmt: skip
    async def save(request: Request) -> Response:
        """Add a conversation, as it was corrected, to the dialogues that the next training has besides the corpus."""
        file = _there(retraining).saved
        conversation = await conversations.dialogue((await read(request, SessionName)).session)
        if not conversation.turns:
            raise UnprocessableError("the session has no turns yet.")
        async with saving:
            saved, is_new = await asyncio.to_thread(_save, conversation, file)
        return json(saved, 201 if is_new else 200)


def _add_training(routes: APIRouter, runs: Runs, rollout: Rollout, retraining: Retraining | None) -> None:
    @routes.post(
        "/train", status_code=202, openapi_extra=body(RunName, is_required=False),
        responses={202: described(Training), **errors(404)},
    )  # fmt: skip
    async def train(request: Request) -> Response:
        """Train a run again on the corpus and the saved dialogues, in the background; then it is loaded anew."""
        start = _there(retraining).start
        run = runs.named((await read(request, RunName, is_required=False)).run)
        return json(start(run, rollout), 202)

    @routes.get("/train", responses={200: described(Training)})
    async def progress() -> Response:
        """Return the progress of the training, and its result once it is done."""
        return json(_there(retraining).progress)

    @routes.post(
        "/train/restore", openapi_extra=body(RunName, is_required=False),
        responses={200: described(Training), **errors(404)},
    )  # fmt: skip
    async def restore(request: Request) -> Response:
        """Take back the last training: the previous policy is served again, and the retrained one is kept beside it."""
        go_back = _there(retraining).restore
        run = runs.named((await read(request, RunName, is_required=False)).run)
        return json(await go_back(run, rollout))


def _there(needed: _T | None) -> _T:
    """Return what only a server with a corpus has."""
    if needed is None:
        raise ConflictError(
            "this server was started without a corpus, so it has none to browse, to save to or to train on. "
            "Start it with: dialog-policy serve RUN --corpus CORPUS."
        )
    return needed


class _Browser:
    """Finds dialogues of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._texts = {dialogue.id: _searchable(dialogue) for dialogue in corpus}

    def page(self, query: str, offset: int, limit: int) -> CorpusPage:
        """Return some of the dialogues that contain a text."""
        phrase = query.casefold()
        found = [name for name, text in self._texts.items() if phrase in text]
        entries = [
            CorpusEntry(d.id, d.split, len(d), next((t.user for t in d.turns if t.user), ""))
            for d in map(self.corpus.dialogue, found[offset : offset + limit])
        ]
        return CorpusPage(len(found), offset, entries)

    def dialogue(self, id: str) -> CorpusDialogue:
        """Return a dialogue; :class:`NotFoundError` if there is none."""
        if id not in self._texts:
            raise NotFoundError(f"the corpus has no dialogue {id[:200]!r}.{did_you_mean(id[:200], self._texts)}")
        logged = self.corpus.dialogue(id)
        turns = [
            CorpusTurn(t.user, dict(t.context), None if t.actions is None else sorted(t.actions), t.system)
            for t in logged.turns
        ]
        return CorpusDialogue(logged.id, logged.split, turns)


def _searchable(dialogue: Dialogue) -> str:
    words = [dialogue.id]
    for turn in dialogue.turns:
        words += [turn.user, turn.system, *(turn.actions or ())]
    return "\n".join(words).casefold()


def _save(dialogue: Dialogue, path: Path) -> tuple[Saved, bool]:
    """Add a dialogue to a file, unless it is there; return whether it was added."""
    name = f"chat-{dialogue.fingerprint()[:12]}"
    is_new_file = _make_private(check_output(path))
    try:
        added = append_dialogues(path, [Dialogue(id=name, turns=dialogue.turns)])
    except BaseException:
        if is_new_file:
            path.unlink()
        raise
    return Saved(name, str(path), sum(1 for _ in stream(path))), bool(added)


def _make_private(path: Path) -> bool:
    """Make an empty file that its owner only may read, since it will hold what users said; return False if there is one."""
    path.parent.mkdir(exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
