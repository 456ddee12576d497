"""Runs the gateway under uvicorn, on real ports."""

from __future__ import annotations

import gc
import signal
import threading
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from marea.clock import SystemClock
from marea.errors import ConfigError
from marea.gateway.app import create_app
from marea.gateway.lifecycle_intake import LifecycleIntake
from marea.gateway.parts import Gateway
from marea.gateway.ports import GatewayPorts
from marea.perform import Performer
from marea.settings import Settings
from marea.wiring import (
    build_declarations,
    build_place,
    build_policy,
    build_ports,
    build_store,
    wait_for_store,
)

log = structlog.get_logger("marea.gateway")

KEEP_ALIVE_S = 75
"""Above the 60 s for which common balancers keep an idle connection: whoever closes first
must be the client, or its next event meets a closed socket."""
MAX_CONNECTIONS = 1_000
"""Beyond it 503; with the largest bodies that is 4 GiB of events being read at once."""
DRAIN_S = 10
"""For requests under way when SIGTERM comes: the publish timeout."""


def build_app(settings: Settings) -> FastAPI:
    """The application on real ports. Raises `ConfigError`."""
    declarations = build_declarations(settings)
    for warning in declarations.rules.warnings:
        log.warning(warning)
    ports = build_ports(settings, declarations.pipelines)
    intake = LifecycleIntake(
        Performer(ports), declarations.rules, build_place(settings), build_policy(settings)
    )
    return create_app(
        GatewayPorts(
            clock=ports.clock,
            store=ports.store,
            ledger=ports.ledger,
            publisher=ports.publisher,
            rules=declarations.rules,
            pipelines=declarations.pipelines,
            intake=intake,
        ),
        settings.gateway,
    )


class GatewayServer(uvicorn.Server):
    """Ends open streams when told to stop; uvicorn alone would wait for them to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        assert isinstance(app, FastAPI)
        gateway: Gateway = app.state.gateway
        gateway.streams.close()
        super().handle_exit(sig, frame)


def build_server(app: FastAPI, host: str, port: int) -> GatewayServer:
    """A server that is not running yet; port 0 = any free one."""
    return GatewayServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",  # h11, in Python, costs a sixth of an event more (measured)
            log_config=None,  # telemetry.logs has set up logging
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
            limit_concurrency=MAX_CONNECTIONS,
        )
    )


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises `ConfigError`, also for a store
    that turns out later to be of no use.

    A store that is away or not prepared is waited for beside, and `/readyz` says why: events
    may come meanwhile, and most need no store.
    """
    app = build_app(settings)  # what is wrong with the settings is told before any waiting
    server = build_server(app, settings.gateway.host, settings.gateway.port)
    unusable: list[ConfigError] = []

    def probe_store() -> None:
        clock = SystemClock()
        try:
            wait_for_store(settings, build_store(settings, clock), clock, log.warning)
        except ConfigError as exc:
            unusable.append(exc)
            server.should_exit = True
        else:
            log.info("the object store is ready")
        _leave_to_nobody()

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn raises SIGTERM once more when it has ended in order: for an exit status of 0 it must
    # not kill then.
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=probe_store, name="store-probe", daemon=True).start()
    _leave_to_nobody()
    server.run()
    if unusable:
        raise unusable[0]
    return 0 if server.started else 1


def _leave_to_nobody() -> None:
    """What is loaded by now stays for good. Left to the collector, its full passes over all of
    it hold up every request for some 60 ms (measured: p99 of an event's answer 92 ms with, 39
    without)."""
    gc.collect()
    gc.freeze()
