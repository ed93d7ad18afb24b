"""Figures for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dialog_policy.serving.runs import Run

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_TOGETHER = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        requests = Counter(
            "dialog_policy_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        seconds = Histogram(
            "dialog_policy_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        # There are few of them, and finding one takes longer than counting.
        self._of_requests, self._of_seconds = lru_cache(1_024)(requests.labels), lru_cache(1_024)(seconds.labels)
        turns = Counter("dialog_policy_turns", "Turns answered.", ["run"], registry=registry)
        fallbacks = Counter("dialog_policy_fallbacks", "Turns with too little confidence.", ["run"], registry=registry)
        self._of_turns, self._of_fallbacks = lru_cache(1_024)(turns.labels), lru_cache(1_024)(fallbacks.labels)
        self.corrections = Counter(
            "dialog_policy_corrections", "Turns that were corrected.", ["run"], registry=registry
        )
        self.together = Histogram(
            "dialog_policy_turns_together", "Turns that were computed together.", buckets=_TOGETHER, registry=registry
        )
        self._sessions = Gauge("dialog_policy_sessions", "Sessions in the store.", registry=registry)
        self._policies = Gauge(
            "dialog_policy_served", "Policies that are served.", ["run", "policy"], registry=registry
        )
        self._reload_failed = Gauge(
            "dialog_policy_reload_failed",
            "Whether the last attempt to load the run again failed.",
            ["run"],
            registry=registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._of_requests(method, route, str(status)).inc()
        self._of_seconds(route).observe(seconds)

    def decided(self, run: str, *, fallback: bool) -> None:
        """Count a turn."""
        self._of_turns(run).inc()
        if fallback:
            self._of_fallbacks(run).inc()

    def text(self, sessions: int | None, runs: Mapping[str, Run]) -> bytes:
        """Return all figures in Prometheus' text format; how many sessions there are may be unknown."""
        self._sessions.set(math.nan if sessions is None else sessions)
        self._policies.clear()
        for name, run in runs.items():
            self._policies.labels(name, run.policy.id).set(1)
            self._reload_failed.labels(name).set(run.problem is not None)
        return generate_latest(self._registry)
