"""The application: routes, errors, what starts and stops with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from dialog_policy.corpus import Corpus
from dialog_policy.errors import DialogPolicyError, RunError, SessionError
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.corpus_routes import corpus_routes
from dialog_policy.serving.errors import HttpError
from dialog_policy.serving.guard import Guard
from dialog_policy.serving.logs import log
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import Health, Model, RunName, Status
from dialog_policy.serving.session_routes import errors, json, session_routes
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import Store, StoreError
from dialog_policy.serving.training import Retraining

__all__ = ["create_app"]

_PAGE = Path(__file__).parent / "page"
_HEADERS = {
    # The page needs nothing but its own files; no other page may frame it.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_STATUS: dict[type[Exception], int] = {StoreError: 503, RunError: 409, SessionError: 500}


def create_app(
    runs: Runs,
    store: Store,
    settings: Settings | None = None,
    *,
    corpus: Corpus | None = None,
    retraining: Retraining | None = None,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    runs
        The policies to serve.
    store
        Where sessions are kept; it is closed when the application stops.
    settings
        Limits and the like; None: the defaults.
    corpus, retraining
        Both or none: dialogues to browse, and what trains on them again.
    """
    settings = settings or Settings()
    metrics = Metrics()
    conversations = Conversations(runs, store, settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with conversations:
            with _reloading(runs):
                yield
            if retraining is not None:
                await retraining.stop()

    app = FastAPI(
        title="dialog-policy",
        description="Conversations with trained dialogue policies: what a user says comes in, what the bot is to do comes out.",
        lifespan=lifespan,
        # The pages that FastAPI brings fetch their scripts from elsewhere; /openapi.json is there for any viewer.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(session_routes(conversations))
    app.include_router(_model_routes(runs))
    app.include_router(_operation_routes(conversations, has_corpus=corpus is not None))
    if corpus is not None and retraining is not None:
        app.include_router(corpus_routes(conversations, corpus, retraining))
    page = {f"/{path.name}": path for path in sorted(_PAGE.iterdir()) if path.is_file()} if _PAGE.is_dir() else {}
    if "/index.html" in page:
        page["/"] = page.pop("/index.html")
    for url, path in page.items():
        _add_file(app, url, path)
    _add_error_handlers(app)
    open_paths = frozenset({*page, "/health", "/ready", "/openapi.json"})
    app.add_middleware(Guard, settings=settings, metrics=metrics, open_paths=open_paths)
    return app


def _model_routes(runs: Runs) -> APIRouter:
    routes = APIRouter(tags=["runs"], responses=errors(401, 413, 422, 429))

    @routes.get("/model", response_model=Model, responses=errors(404))
    async def model(run: str | None = None) -> Response:
        """Describe a run; without a name, the first that is served."""
        return json(runs.named(run).describe())

    @routes.get("/models", response_model=list[Model])
    async def models() -> Response:
        """Describe all runs."""
        return json([run.describe() for run in runs.values()])

    @routes.post("/reload", response_model=Model, responses=errors(404, 409))
    async def reload(wanted: RunName | None = None) -> Response:
        """Load a run again, without a break; conversations go on under the new policy, from all that was said and done."""
        run = runs.named(wanted.run if wanted else None)
        await run.reload()
        log("reloaded", run=run.name, policy=run.policy.id)
        return json(run.describe())

    return routes


def _operation_routes(conversations: Conversations, *, has_corpus: bool) -> APIRouter:
    routes = APIRouter(tags=["operation"])

    @routes.get("/health", response_model=Health)
    async def health() -> Response:
        """Say that the process is alive, and whether it was started with a corpus."""
        return json({"status": "ok", "corpus": has_corpus})

    @routes.get("/ready", response_model=Status, responses=errors(503))
    async def ready() -> Response:
        """Say whether turns can be answered: the store is asked."""
        await conversations.store.count()
        return json({"status": "ready"})

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}, **errors(401, 503)},
    )
    async def metrics() -> Response:
        """Return figures for Prometheus."""
        text = conversations.metrics.text(await conversations.store.count(), conversations.runs)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _add_file(app: FastAPI, url: str, path: Path) -> None:
    async def file(_: Request) -> Response:
        return FileResponse(path, headers=_HEADERS)

    app.add_route(url, file, methods=["GET", "HEAD"])


def _add_error_handlers(app: FastAPI) -> None:
    async def expected(_: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, HttpError) else _STATUS.get(type(error), 422)
        return json({"error": str(error)}, status, error.headers if isinstance(error, HttpError) else None)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [{"where": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors()]
        first = found[0]
        return json({"error": f"{'.'.join(first['where'])}: {first['message']}.", "detail": found}, 422)

    async def unknown(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return json({"error": f"{error.detail}."}, error.status_code, dict(error.headers or {}))

    async def unexpected(_: Request, error: Exception) -> Response:
        log("failed", failed=True)
        return json({"error": "something went wrong in the server; its log says what."}, 500)

    app.add_exception_handler(DialogPolicyError, expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(Exception, unexpected)


@contextlib.contextmanager
def _reloading(runs: Runs) -> Any:
    """Load all runs again on SIGHUP, where there are signals."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return

    async def reload() -> None:
        for run in runs.values():
            try:
                await run.reload()
                log("reloaded", run=run.name, policy=run.policy.id)
            except DialogPolicyError as error:
                log("reload failed", run=run.name, message=str(error))

    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = loop.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
