"""GET /healthz and /readyz; what they ask is in `health.py`."""

from __future__ import annotations

from fastapi import Response

from marea.gateway.parts import GatewayDependency
from marea.gateway.views import AliveView, PartView, ReadyView


async def get_healthz() -> AliveView:
    """The process lives. Asks no dependency."""
    return AliveView()


async def get_readyz(gateway: GatewayDependency, response: Response) -> ReadyView:
    """Whether store, broker and ledger answer; 503 names which does not, and why."""
    parts = await gateway.readiness.check()
    is_ready = all(part.is_ready for part in parts.values())
    response.status_code = 200 if is_ready else 503
    return ReadyView(
        ready=is_ready,
        parts={
            name: PartView(ready=part.is_ready, reason=part.reason) for name, part in parts.items()
        },
    )
