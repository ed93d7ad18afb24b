"""The application: routes, errors, what starts and stops with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from dialog_policy import __version__
from dialog_policy.corpus import Corpus
from dialog_policy.errors import DialogPolicyError, RunError, SessionError
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.corpus_routes import corpus_routes
from dialog_policy.serving.errors import HttpError
from dialog_policy.serving.guard import Guard
from dialog_policy.serving.logs import log
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.routing import App, Direct, json
from dialog_policy.serving.run_routes import operation_routes, run_routes
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import Error
from dialog_policy.serving.session_routes import session_routes
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
        Both or none: dialogues to browse, and what trains on them again. Without them their routes say how to get them.
    """
    settings = settings or Settings()
    metrics = Metrics()
    conversations = Conversations(runs, store, settings, metrics)
    rollout = Rollout(runs, store)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with conversations, rollout:
            with _reloading_on_sighup(rollout):
                yield
            if retraining is not None:
                await retraining.stop()

    app = App(
        title="dialog-policy",
        version=__version__,
        description="Conversations with trained dialogue policies: what a user says comes in, what the bot is to do comes out.",
        lifespan=lifespan,
        # The pages that FastAPI brings fetch their scripts from elsewhere; /openapi.json is there for any viewer.
        docs_url=None,
        redoc_url=None,
    )
    sessions = session_routes(conversations)
    app.include_router(sessions)
    app.include_router(run_routes(runs, rollout))
    app.include_router(operation_routes(conversations, has_corpus=corpus is not None))
    app.include_router(corpus_routes(conversations, rollout, corpus, retraining))
    page = {f"/{path.name}": path for path in sorted(_PAGE.iterdir()) if path.is_file()}
    page["/"] = page.pop("/index.html")
    for url, path in page.items():
        _add_file(app, url, path)
    direct = Direct(app.inner, sessions.routes, _add_error_handlers(app))
    open_paths = frozenset({*page, "/health", "/ready", "/openapi.json"})
    app.outermost = Guard(direct, settings, metrics, open_paths)
    if settings.token is not None:
        app.paths_without_token = open_paths
    return app


def _add_file(app: FastAPI, url: str, path: Path) -> None:
    async def file(_: Request) -> Response:
        return FileResponse(path, headers=_HEADERS)

    app.add_route(url, file, methods=["GET", "HEAD"])


def _add_error_handlers(app: FastAPI) -> Callable[[Request, Exception], Awaitable[tuple[Response, bool]]]:
    """Add what answers exceptions; return it for the routes that the application does not call."""

    async def expected(request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, HttpError) else _STATUS.get(type(error), 422)
        if status >= 500:
            # Not the client's fault, so its operator has to find out.
            request.scope["log"]["reason"] = str(error)
            if status == 500:
                log("failed", reason=str(error), failed=True)
        return json(Error(str(error)), status, error.headers if isinstance(error, HttpError) else None)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        detail = [{"where": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors()]
        first = detail[0]
        return json(Error(f"{'.'.join(first['where'])}: {first['message']}.", detail), 422)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = f"{error.detail}: {request.method} {request.url.path}. The addresses are listed in /openapi.json."
        return json(Error(sentence), error.status_code, dict(error.headers or {}))

    async def unexpected(_: Request, error: Exception) -> Response:
        log("failed", failed=True)
        # uvicorn closes the connection after this, which the client's next request must not run into.
        sentence = "the server failed to answer this request; its log has the reason."
        return json(Error(sentence), 500, {"connection": "close"})

    app.add_exception_handler(DialogPolicyError, expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, unexpected)

    async def either(request: Request, error: Exception) -> tuple[Response, bool]:
        is_expected = isinstance(error, DialogPolicyError)
        return await (expected if is_expected else unexpected)(request, error), is_expected

    return either


@contextlib.contextmanager
def _reloading_on_sighup(rollout: Rollout) -> Iterator[None]:
    """Load all runs again on SIGHUP, where there are signals."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return

    async def reload() -> None:
        for run in rollout.runs.values():
            # Whatever is wrong with this run, which the log tells: the others are loaded, and the next signal is heard.
            with contextlib.suppress(Exception):
                await rollout.reload(run)

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
