"""The HTTP surface: the route table, and the application made of it.

Order of work on a request: its token (before a byte of the body is read), its size, its
nesting, its meaning. Endpoints of the API are plain functions that run in a thread each, so a
slow store holds up nobody but its caller; events, which are many and small, stay on the event
loop and share rounds of ledger and broker, as health, metrics and streams stay there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Depends, FastAPI

import marea
from marea.gateway import events, jobs, limits, metrics, probes, scaling, uploads, views
from marea.gateway.auth import Gatekeeper
from marea.gateway.health import build_readiness
from marea.gateway.http_errors import install_error_handlers
from marea.gateway.parts import Gateway, admit, admit_event
from marea.gateway.ports import GatewayPorts
from marea.gateway.repeats import Repeats
from marea.gateway.rounds import Rounds
from marea.gateway.stream import JobStreams
from marea.gateway.upload_ticket import TicketOffice
from marea.settings import GatewaySettings

READ, SUBMIT, ADMIN = admit("read"), admit("submit"), admit("admin")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `guard` None = open to everybody who reaches the port."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    guard: Callable[..., Any] | None
    status: int = 200
    body: type[views.Body] | None = None
    errors: tuple[int, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


ANY_JSON: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}
}
EVENT_STREAM: dict[str, Any] = {"responses": {"200": {"content": {"text/event-stream": {}}}}}
NOT_READY: dict[str, Any] = {
    "responses": {"503": {"description": "As for 200; `reason` says what is away."}}
}

ROUTES = (
    Route("POST", "/events/s3", events.post_events, admit_event, errors=(413,), extra=ANY_JSON),
    Route("POST", "/v1/jobs", jobs.submit_job, SUBMIT, 202, views.SubmitBody, (400, 404, 413)),
    Route("GET", "/v1/jobs", jobs.list_jobs, READ),
    Route("GET", "/v1/jobs/{job_id}", jobs.get_job, READ, errors=(404,)),
    Route("POST", "/v1/jobs/{job_id}/cancel", jobs.cancel_job, ADMIN, errors=(404, 409)),
    Route("POST", "/v1/jobs/{job_id}/replay", jobs.replay_job, ADMIN, 202, errors=(404, 409)),
    Route("POST", "/v1/uploads", uploads.open_upload, SUBMIT, 201, views.UploadBody, (400, 413)),
    Route("GET", "/v1/uploads/{upload_id}", uploads.get_upload, READ, errors=(404,)),
    Route("GET", "/v1/stream", jobs.stream_jobs, READ, extra=EVENT_STREAM),
    Route("GET", "/v1/scaling", scaling.list_scaling, READ),
    Route("GET", "/v1/scaling/{pool}", scaling.get_scaling, READ, errors=(404,)),
    Route("GET", "/v1/scaling/{pool}/history", scaling.list_past_scaling, READ, errors=(404,)),
    Route("GET", "/metrics", metrics.get_metrics, None),
    Route("GET", "/healthz", probes.get_healthz, None),
    Route("GET", "/readyz", probes.get_readyz, None, extra=NOT_READY),
)


def create_app(ports: GatewayPorts, settings: GatewaySettings) -> FastAPI:
    """The application. Raises `ConfigError` for tokens that make no sense."""
    gateway = Gateway(
        ports=ports,
        rounds=Rounds(ports.intake.accept),
        repeats=Repeats(ports.clock),
        settings=settings,
        gatekeeper=Gatekeeper(settings.event_token, settings.api_tokens),
        tickets=TicketOffice(_secrets(settings)),
        streams=JobStreams(ports.ledger),
        readiness=build_readiness(ports),
    )

    pool_reader = metrics.PoolReader(ports.ledger, ports.clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        gateway.streams.close()
        gateway.readiness.close()
        pool_reader.close()

    app = FastAPI(
        title="Marea",
        version=marea.__version__,
        description="Drop a file in a bucket; its results appear in a bucket.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.gateway = gateway
    app.state.pool_reader = pool_reader
    for route in ROUTES:
        _add(app, route)
    install_error_handlers(app, settings.retry_after_s)
    app.add_middleware(metrics.RequestTimes, clock=ports.clock)
    return app


def _add(app: FastAPI, route: Route) -> None:
    guarded = (401, 403, 422, 503) if route.guard else ()
    extra = {**route.extra, **(limits.body_schema(route.body) if route.body else {})}
    app.add_api_route(
        route.path,
        route.endpoint,
        methods=[route.method],
        name=route.endpoint.__name__,
        operation_id=route.endpoint.__name__,
        status_code=route.status,
        dependencies=[Depends(route.guard)] if route.guard else [],
        responses={status: {"model": views.ErrorView} for status in (*guarded, *route.errors)},
        openapi_extra=extra or None,
        tags=[route.path.removeprefix("/v1/").strip("/").split("/")[0]],
    )


def _secrets(settings: GatewaySettings) -> list[str]:
    tokens = [settings.event_token, *settings.api_tokens.values()]
    return [token.get_secret_value() for token in tokens]
