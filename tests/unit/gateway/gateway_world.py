"""A gateway on memory adapters: the real application, intake and lifecycle."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from waiting import wait_until

from marea.clock import FakeClock
from marea.errors import LedgerUnavailable
from marea.gateway.app import create_app
from marea.gateway.lifecycle_intake import LifecycleIntake
from marea.gateway.parts import Gateway
from marea.gateway.ports import GatewayPorts
from marea.gateway.serve import GatewayServer, build_server
from marea.lifecycle.finish import Ending, Place, finish
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.objects import ObjectRef
from marea.messages.record import Output, Record
from marea.perform import Performer, Ports
from marea.pipelines.catalog import load_catalog
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.routing.table import load_rules
from marea.settings import GatewaySettings
from marea.storage.memory import MemoryObjectStore

EVENT_TOKEN = "store-token"
TOKENS = {
    "ops:read+submit+admin": "ops-token",
    "viewer:read": "viewer-token",
    "client:submit": "client-token",
}
CATALOG = load_catalog(entry_points=())


class LedgerThatCanBeAway(MemoryLedger):
    """Answers nothing while `is_away`, as a Redis that was stopped."""

    is_away = False

    def ping(self) -> None:
        self._require()

    def load_many(self, job_ids: Any) -> dict[str, JobState]:
        self._require()
        return super().load_many(job_ids)

    def note(self, kind: str, entry: Any, *, keep: int = 1000) -> None:
        self._require()
        super().note(kind, entry, keep=keep)

    def value(self, name: str) -> Any | None:
        self._require()
        return super().value(name)

    def notes(self, kind: str, limit: int = 100) -> list[Mapping[str, Any]]:
        self._require()
        return super().notes(kind, limit)

    def _require(self) -> None:
        if self.is_away:
            raise LedgerUnavailable("the ledger does not answer")


class World:
    """Ports in memory, the application on them, and a client for it."""

    def __init__(self, rules: str | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        self.store = MemoryObjectStore(self.clock)
        self.store.create_bucket("uploads")
        self.store.create_bucket("results", versioned=False)
        self.ledger = LedgerThatCanBeAway(self.clock)
        self.broker = MemoryBroker()
        self.place = Place("results", ".marea/")
        self.performer = Performer(Ports(self.clock, self.store, self.ledger, self.broker, CATALOG))
        self.rules = load_rules(
            rules,
            CATALOG,
            source_buckets=("uploads",),
            results_bucket="results",
            reserved_prefix=".marea/",
        )
        self.ports = GatewayPorts(
            clock=self.clock,
            store=self.store,
            ledger=self.ledger,
            publisher=self.broker,
            rules=self.rules,
            pipelines=CATALOG,
            intake=LifecycleIntake(self.performer, self.rules, self.place, Policy()),
        )
        defaults: dict[str, Any] = {
            "event_token": SecretStr(EVENT_TOKEN),
            "api_tokens": {name: SecretStr(token) for name, token in TOKENS.items()},
        }
        self.settings = GatewaySettings(**{**defaults, **settings})
        self.app: FastAPI = create_app(self.ports, self.settings)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    @property
    def gateway(self) -> Gateway:
        gateway: Gateway = self.app.state.gateway
        return gateway

    def get(self, path: str, token: str = "ops-token", **query: Any) -> Any:
        return self.client.get(path, params=query, headers=bearer(token))

    def post(self, path: str, body: Any = None, token: str = "ops-token") -> Any:
        return self.client.post(path, json=body, headers=bearer(token))

    def send_event(self, body: Any, token: str = EVENT_TOKEN) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/events/s3", content=raw, headers=bearer(token))

    def upload(self, key: str = "a/photo.jpg", **changes: Any) -> ObjectRef:
        return self.store.upload("uploads", key, b"not really a photo", "image/jpeg", **changes)

    def queued(self, *pools: str) -> list[str]:
        """Keys of all queued messages, in order."""
        keys: list[str] = []
        while (delivery := self.broker.take("looker", pools or ("images", "tables"))) is not None:
            keys.append(delivery.job.ref.key)
        return keys

    def end(self, job_id: str, ending: Ending) -> Record:
        """What a worker does when the job is over."""
        state = self.ledger.load(job_id)
        assert state is not None
        return self.performer.run(finish(state, ending, self.place, "worker-1"))


@contextmanager
def served(world: World) -> Iterator[tuple[str, GatewayServer]]:
    """`world` on a real socket: its address, and the server. Told to stop at the end."""
    server = build_server(world.app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive(), "the server listens")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


DONE = Ending(
    "done",
    outputs=(
        Output("results", "a/photo_processed.jpg", "e1", 10, "image/jpeg", "ab" * 32, 100, 50),
    ),
    digest="0123456789abcdef",
)
DEAD = Ending("dead", "attempts-spent", "the job took three workers with it")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def minio_event(*refs: ObjectRef, event_name: str = "s3:ObjectCreated:Put") -> dict[str, Any]:
    """What MinIO's webhook sends for `refs`."""
    records = [
        {
            "eventSource": "minio:s3",
            "eventName": event_name,
            "eventTime": "2023-11-14T22:13:00Z",
            "s3": {
                "bucket": {"name": ref.bucket},
                "object": {
                    "key": quote_plus(ref.key),
                    "size": ref.size_bytes,
                    "eTag": ref.etag,
                    "versionId": ref.version_id,
                    "contentType": "image/jpeg",
                    "userMetadata": {"content-type": "image/jpeg"},
                    "sequencer": "17A1",
                },
            },
        }
        for ref in refs
    ]
    return {"EventName": event_name, "Key": "uploads/a", "Records": records}
