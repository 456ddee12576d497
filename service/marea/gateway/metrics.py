"""GET /metrics, and the clock that every request runs under."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marea.clock import Clock
from marea.telemetry.metrics import GATEWAY_EVENTS, GATEWAY_REQUESTS, exposition

UNTIMED = frozenset({"/v1/stream"})
"""A stream's length is its client's choice and would drown the histogram."""


async def get_metrics(_request: Request) -> Response:
    """Metrics of this process, for Prometheus."""
    body, content_type = exposition()
    return Response(body, headers={"Content-Type": content_type})


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
