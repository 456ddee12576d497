"""GET /metrics, and the clock that every request runs under.

The pools' gauges are read from the ledger when somebody asks, in a thread of their own: a ledger
that hangs costs one thread and this one second, and the rest of the metrics come all the same.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marea.clock import Clock
from marea.errors import MareaError
from marea.results.decisions import Decisions, DecisionUnknown, needed, read_decisions
from marea.results.ledger import Ledger
from marea.scaling.decision import Decision
from marea.telemetry.metrics import GATEWAY_EVENTS, GATEWAY_REQUESTS, PoolFigures, exposition

UNTIMED = frozenset({"/v1/stream"})
"""A stream's length is its client's choice and would drown the histogram."""


READ_TIMEOUT_S = 1.0
"""A tenth of the time that Prometheus gives a target by default; the ledger's own is 5 s."""

_OF_READING = {
    "marea_pool_ready_jobs": "ready",
    "marea_pool_held_jobs": "unacked",
    "marea_pool_busy_slots": "busy",
    "marea_pool_work_seconds": "work_s",
    "marea_pool_arrivals_per_second": "arrivals_per_s",
    "marea_pool_oldest_seconds": "oldest_s",
}
"""Gauges that are figures of the reading, by their names in a decision's `inputs`."""


async def get_metrics(request: Request) -> Response:
    """Metrics of this process, and of the pools as the autoscaler sees them, for Prometheus."""
    reader: PoolReader = request.app.state.pool_reader
    body, content_type = exposition(await reader.figures())
    return Response(body, headers={"Content-Type": content_type})


class PoolReader:
    """Asks the ledger for the last decisions; scrapes that come together share an answer."""

    def __init__(self, ledger: Ledger, clock: Clock, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._ledger = ledger
        self._clock = clock
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pool-reader")
        self._running: Future[Decisions | None] | None = None

    async def figures(self) -> PoolFigures:
        """Of every pool that the ledger knows decisions of; none if it does not answer in time."""
        if self._running is None or self._running.done():
            self._running = self._thread.submit(self._ask)
        # Waited for, not cancelled: one that takes longer goes on, and the next scrape joins it.
        waiting = asyncio.wrap_future(self._running)
        await asyncio.wait([waiting], timeout=self._timeout_s)
        decisions = waiting.result() if waiting.done() else None
        if decisions is None:
            return {}
        now = self._clock.now()
        return {pool: _figures_of(each, now) for pool, each in decisions.pools.items()}

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> Decisions | None:
        try:
            return read_decisions(self._ledger)
        except MareaError:  # `/readyz` and `/v1/scaling` say why
            return None


def _figures_of(decision: Decision, now: float) -> dict[str, float]:
    """Its age, and the rest only if it may be acted upon: what is not known is absent."""
    known = {"marea_pool_decision_age_seconds": max(0.0, now - decision.at)}
    try:
        known["marea_pool_replicas_wanted"] = needed(decision, now)
    except DecisionUnknown:
        return known
    scale = decision.wanted if decision.applied is None else decision.applied
    if scale is not None:
        known["marea_pool_replicas"] = scale
    read = {name: decision.inputs.get(key) for name, key in _OF_READING.items()}
    return known | {name: each for name, each in read.items() if isinstance(each, int | float)}


def count_events(**outcomes: int) -> None:
    """Add to the events counter, per outcome."""
    for outcome, count in outcomes.items():
        if count:
            GATEWAY_EVENTS.labels(outcome).inc(count)


class RequestTimes:
    """Observes each request under its route's template: a client cannot make series grow."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.now()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            if route not in UNTIMED:
                elapsed_s = max(0.0, self._clock.now() - began)
                GATEWAY_REQUESTS.labels(route, f"{status // 100}xx").observe(elapsed_s)
