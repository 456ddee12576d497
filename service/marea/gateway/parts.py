"""What every endpoint is handed: ports, settings, and the gateway's own state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from marea.gateway.auth import Gatekeeper, Scope
from marea.gateway.health import Readiness
from marea.gateway.http_errors import NotAuthentic
from marea.gateway.metrics import count_events
from marea.gateway.ports import GatewayPorts
from marea.gateway.repeats import Repeats
from marea.gateway.rounds import Rounds
from marea.gateway.stream import JobStreams
from marea.gateway.upload_ticket import TicketOffice
from marea.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process; kept in `app.state.gateway`."""

    ports: GatewayPorts
    rounds: Rounds
    repeats: Repeats
    settings: GatewaySettings
    gatekeeper: Gatekeeper
    tickets: TicketOffice
    streams: JobStreams
    readiness: Readiness


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


async def _gateway(request: Request) -> Gateway:
    # `async` although it awaits nothing: FastAPI sends plain functions through its threads.
    return gateway_of(request)


GatewayDependency = Annotated[Gateway, Depends(_gateway)]

_BEARER = HTTPBearer(auto_error=False, scheme_name="token")
"""Only tells OpenAPI that there is a token: the header itself is judged by the gatekeeper."""

_Shown = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


async def admit_event(request: Request, _shown: _Shown) -> None:
    """Guards the events endpoint, before its body is read."""
    try:
        gateway_of(request).gatekeeper.admit_event(request.headers.get("authorization"))
    except NotAuthentic:
        count_events(refused=1)
        raise


def admit(scope: Scope) -> Callable[..., object]:
    """A guard for API endpoints that need `scope`."""

    async def guard(request: Request, gateway: GatewayDependency, _shown: _Shown) -> None:
        gateway.gatekeeper.admit(request.headers.get("authorization"), scope)

    return guard
