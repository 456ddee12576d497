"""Celery's remote control and events, as messages: exchanges, queues, what they hold.

These are kombu's `pidbox` and Celery's `events`, spoken directly: its own clients wait for one
command at a time, and for as long as the slowest worker takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from kombu.pidbox import Mailbox

QUESTIONS = ("active_queues", "scheduled", "reserved", "active")
"""In the order in which a worker shall answer. It does so one by one, and a task goes on from
scheduled to reserved to active: asked in this order it is seen once at least."""

CONNECT_S = 3.0
"""To connect, and to be answered by the broker; well below the loop's patience for a stale reading
(30 s)."""

PROBE = "marea-probe"
"""An event of ours: if it comes back, those of the workers do too. Celery's own readers of events
leave out what is of no kind that they know."""

_MAILBOX: Any = Mailbox("celery", type="fanout")  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an application's broker is."""

    url: str
    options: Mapping[str, Any]

    def connection(self) -> Any:
        """Not connected yet. No heartbeats: whether it lives is seen by what comes through."""
        options: dict[str, Any] = dict(self.options)
        if self.url.startswith("amqp"):
            options = {"read_timeout": CONNECT_S, "write_timeout": CONNECT_S} | options
        else:
            options = {
                "socket_timeout": CONNECT_S,
                "socket_connect_timeout": CONNECT_S,
                "socket_keepalive": True,
            } | options
        return Connection(  # type: ignore[no-untyped-call]
            self.url, heartbeat=0, connect_timeout=CONNECT_S, transport_options=options
        )


def connect_once(connection: Any) -> None:
    """Try each host of the URL once, without kombu's pauses in between."""
    connection.ensure_connection(max_retries=max(len(connection.alt) - 1, 0), interval_start=0)


def event_exchange(connection: Any) -> Any:
    """As Celery declares it, which on Redis is of another type."""
    is_redis = connection.transport.driver_type == "redis"
    return Exchange("celeryev", type="fanout" if is_redis else "topic")  # type: ignore[no-untyped-call]


def event_queue(connection: Any, listener: str) -> Any:
    return Queue(  # type: ignore[no-untyped-call]
        f"celeryev.{listener}",
        exchange=event_exchange(connection),
        routing_key="#",
        durable=False,
        auto_delete=True,
        exclusive=True,
        expires=60.0,
        message_ttl=5.0,
    )


def reply_queue(listener: str) -> Any:
    exchange = _MAILBOX.reply_exchange
    return Queue(  # type: ignore[no-untyped-call]
        f"{listener}.{exchange.name}",
        exchange=exchange,
        routing_key=listener,
        durable=False,
        auto_delete=True,
        exclusive=True,
        expires=60.0,
    )


def send_command(
    channel: Any,
    command: str,
    arguments: Mapping[str, Any],
    workers: Sequence[str] | None,
    *,
    ticket: str = "",
    listener: str = "",
) -> None:
    """To these workers, or to all; with a ticket they answer to the listener."""
    message: dict[str, Any] = {
        "method": command,
        "arguments": dict(arguments),
        "destination": None if workers is None else list(workers),
        "pattern": None,
        "matcher": None,
    }
    if ticket:
        reply_to = {"exchange": _MAILBOX.reply_exchange.name, "routing_key": listener}
        message |= {"ticket": ticket, "reply_to": reply_to}
    exchange = _MAILBOX.exchange
    _publish(channel, message, exchange, "", headers={"clock": 0, "expires": 0})


def send_probe(channel: Any, number: int, sender: str, now: float) -> None:
    event = {"type": PROBE, "hostname": sender, "number": number, "timestamp": now, "clock": 0}
    exchange = event_exchange(channel.connection.client)
    _publish(channel, event, exchange, PROBE.replace("-", "."), headers={"hostname": sender})


def _publish(
    channel: Any, body: Mapping[str, Any], exchange: Any, routing_key: str, headers: Any
) -> None:
    Producer(channel, auto_declare=False).publish(  # type: ignore[no-untyped-call]
        dict(body),
        exchange=exchange.name,
        routing_key=routing_key,
        declare=[exchange],
        serializer="json",
        delivery_mode=1,
        headers=headers,
        retry=False,
    )
