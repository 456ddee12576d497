"""Ends a process, or loses one reply, at a chosen one of its calls to its servers.

A process changes the world only through its ports, so it can die in as many ways as it makes
calls: before the first, between each two, after the last. `fused` puts a fuse before real
ports; `Fuse.calls` tells what was asked, in order, so that a rehearsal finds every place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from marea.errors import (
    BrokerUnavailable,
    LedgerUnavailable,
    MareaError,
    StoreUnavailable,
    TransientError,
)
from marea.perform import Ports
from marea.queues.broker import Broker, DeadLetter
from marea.queues.publisher import Publisher
from marea.results.ledger import Ledger
from marea.storage.object_store import ObjectStore

WRITES = frozenset(
    {
        "acknowledge", "delete", "forget_worker", "note", "outbox_remove", "outbox_save", "publish",
        "publish_many", "put", "requeue", "save", "save_many", "send", "set_epoch", "set_value",
    }
)  # fmt: skip
"""Calls that others can see. Dying before a read is dying after the write before it."""

ACKNOWLEDGED = "broker.acknowledge"
"""The call that a reconciler ends a dead letter with, of its own accord."""


class ProcessKilled(BaseException):
    """The process is gone. Not an `Exception`: nothing of it may catch this and go on."""


@dataclass
class Fuse:
    """What happens to one process, and when. `blows_at` counts its calls from 0."""

    blows_at: int | None = None
    kind: Literal["kill", "lose-reply"] = "kill"
    only_writes: bool = False
    """Count the calls in `WRITES` only."""
    calls: list[str] = field(default_factory=list)
    has_blown: bool = False

    def call(self, port: str, name: str, lost: Callable[[], Any], method: Callable[[], Any]) -> Any:
        """Make the call, unless this is where it ends. `lost` stands for a reply that does
        not arrive: it raises, or answers, what the real port does then."""
        if self.has_blown and self.kind == "kill":
            raise ProcessKilled("the dead do nothing")
        if self.only_writes and name not in WRITES:
            return method()
        is_here = len(self.calls) == self.blows_at
        self.calls.append(f"{port}.{name}")
        if not is_here:
            return method()
        self.has_blown = True
        if self.kind == "kill":
            raise ProcessKilled(f"before {port}.{name}, its call {self.blows_at}")
        with suppress(MareaError):  # a refusal is lost like any other reply
            method()
        return lost()


@dataclass(frozen=True)
class _FusedPort:
    """A port whose every method passes the fuse."""

    port: Any
    name: str
    error: type[TransientError]
    fuse: Fuse

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self.port, method)

        def call(*arguments: Any, **named: Any) -> Any:
            def lost() -> Any:
                if method == "publish_many":
                    return [False] * len(arguments[0])  # it never raises for the broker
                raise self.error("the reply was lost on its way")

            return self.fuse.call(self.name, method, lost, lambda: real(*arguments, **named))

        return call


class _FusedBroker(_FusedPort):
    """Its `drain_dead_letters` makes the process's calls, and then its own acknowledgement."""

    def drain_dead_letters(
        self, pools: Any, handle: Callable[[DeadLetter], None], limit: int
    ) -> int:
        def handle_then_acknowledge(letter: DeadLetter) -> None:
            handle(letter)
            # Here the letter is settled, and still in its queue.
            self.fuse.call("broker", "acknowledge", lambda: None, lambda: None)

        return int(self.port.drain_dead_letters(pools, handle_then_acknowledge, limit))


def fused(ports: Ports, fuse: Fuse) -> Ports:
    """`ports` as a process sees them that has this fuse."""
    return Ports(
        clock=ports.clock,
        store=cast(ObjectStore, _FusedPort(ports.store, "store", StoreUnavailable, fuse)),
        ledger=cast(Ledger, _FusedPort(ports.ledger, "ledger", LedgerUnavailable, fuse)),
        publisher=cast(
            Publisher, _FusedPort(ports.publisher, "publisher", BrokerUnavailable, fuse)
        ),
        pipelines=ports.pipelines,
    )


def fused_broker(broker: Broker, fuse: Fuse) -> Broker:
    return cast(Broker, _FusedBroker(broker, "broker", BrokerUnavailable, fuse))


def fused_notifier(notifier: Any, fuse: Fuse) -> Any:
    return _FusedPort(notifier, "notifier", TransientError, fuse)
