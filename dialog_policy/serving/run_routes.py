"""Routes of the served runs, and those that tell whether the server is well."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.routing import body, described, errors, json, read
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import Health, Model, RunName, Status
from dialog_policy.serving.stores import StoreError

__all__ = ["operation_routes", "run_routes"]


def run_routes(runs: Runs, rollout: Rollout) -> APIRouter:
    """Return the routes that describe and reload runs."""
    routes = APIRouter(tags=["runs"], responses=errors(401, 413, 422, 429))

    @routes.get("/model", responses={200: described(Model), **errors(404)})
    async def model(run: str | None = None) -> Response:
        """Describe a run; without a name, the first that is served."""
        return json(runs.named(run).describe())

    @routes.get("/models", responses={200: described(Model, "All runs", is_list=True)})
    async def models() -> Response:
        """Describe all runs."""
        return json([run.describe() for run in runs.values()])

    @routes.post(
        "/reload",
        responses={200: described(Model), **errors(404, 409, 503)},
        openapi_extra=body(RunName, is_required=False),
    )
    async def reload(request: Request) -> Response:
        """Load a run again, without a break, here and then on all servers of the store.

        Conversations go on under the new policy, from all that was said and done.
        """
        run = runs.named((await read(request, RunName, is_required=False)).run)
        await rollout.reload(run)
        return json(run.describe())

    return routes


def operation_routes(conversations: Conversations, *, has_corpus: bool) -> APIRouter:
    """Return the routes for whoever operates the server."""
    routes = APIRouter(tags=["operation"])

    # HEAD, too: many a monitor asks so.
    @routes.head("/health", include_in_schema=False)
    @routes.get("/health", responses={200: described(Health)})
    async def health() -> Response:
        """Say that the process is alive, and whether it was started with a corpus."""
        return json(Health("ok", has_corpus))

    @routes.head("/ready", include_in_schema=False)
    @routes.get("/ready", responses={200: described(Status), **errors(503)})
    async def ready() -> Response:
        """Say whether turns can be answered: the store is asked."""
        await conversations.ready()
        return json(Status("ready"))

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}, **errors(401)},
    )
    async def metrics() -> Response:
        """Return figures for Prometheus; while the store does not answer, the number of sessions is NaN."""
        try:
            sessions = await conversations.count()
        except StoreError:
            # That is when somebody looks at all the others.
            sessions = None
        text = conversations.metrics.text(sessions, conversations.runs)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
