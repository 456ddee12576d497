"""What is particular to RabbitMQ as a broker: queue arguments, confirms, dead letters, counts.

All queues are quorum queues on the default exchange. A message that was delivered
`delivery_limit` times, or that a worker refused, moves to its pool's dead-letter queue, which
the reconciler drains (design rule 10). Moving is at-most-once in RabbitMQ's default strategy;
a message lost on the way is found again by the ledger's evidence (rule 6).

Works with RabbitMQ 3.10 and 4.x. `x-consumer-timeout` is left to the server (30 minutes): the
hard time limit must stay below it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.transport.pyamqp import Transport
from kombu.utils.url import url_to_parts

from marea.clock import Clock, SystemClock
from marea.errors import BacklogUnavailable, BrokerUnavailable, MareaError
from marea.queues.broker import DeadLetter, QueueDepth
from marea.queues.names import QUARANTINE_POOL, dead_letter_queue, pool_queues
from marea.queues.rabbitmq_line import connect_once, declare_pool
from marea.queues.rabbitmq_management import count_unacked
from marea.settings import BrokerSettings, Settings

EPOCH_QUEUE = "marea.epoch"
EPOCH_READ_TRIES = 10
EPOCH_READ_PAUSE_S = 0.05


def open_connection(broker: BrokerSettings) -> Any:
    """A connected kombu connection whose every wait is bounded by half the publish timeout.

    No heartbeats: between two uses nobody would send them. A dead peer shows by the timeouts.
    """
    timeout_s = broker.publish_timeout_s / 2
    connection = Connection(  # type: ignore[no-untyped-call]
        broker.full_url,
        heartbeat=0,
        connect_timeout=timeout_s,
        transport_options={"read_timeout": timeout_s, "write_timeout": timeout_s},
    )
    connect_once(connection)
    return connection


class RabbitMQBroker:
    """`Broker` on RabbitMQ. One connection, one user at a time. RabbitMQ redelivers what a dead
    worker held by itself, so there are no holders and nothing to requeue."""

    redelivers: ClassVar[bool] = True

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._broker = settings.broker
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._connection: Any = None
        self._owner_pid = 0

    def depths(self, pools: Sequence[str]) -> Mapping[str, QueueDepth]:
        """Ready by AMQP, exact; unacknowledged by the management API, about 5 s late. A queue
        that does not exist holds nothing. For an instant after the server's start a queue
        without a leader is told as empty: one reading of 0 proves nothing."""
        queues = [queue for pool in pools for queue in pool_queues(pool)]
        fact = "the queues on RabbitMQ could not be counted"
        ready = {}
        with self._use(BacklogUnavailable, fact) as connection:
            for queue in queues:
                ready[queue] = _count_ready(connection, queue) or 0
        unacked = self._count_unacked()
        return {
            queue: QueueDepth(count, None if unacked is None else unacked.get(queue, 0))
            for queue, count in ready.items()
        }

    def holders(self) -> Mapping[str, int]:
        return {}

    def requeue(self, worker: str, but: Collection[str] = ()) -> int:  # noqa: ARG002
        return 0

    def drain_dead_letters(
        self, pools: Sequence[str], handle: Callable[[DeadLetter], None], limit: int
    ) -> int:
        drained = 0
        with self._use(BrokerUnavailable, "the dead letters could not be read") as connection:
            for pool in pools:
                queue = dead_letter_queue(pool)
                if _count_ready(connection, queue) is None:
                    continue
                # Closing the channel returns a message whose `handle` raised.
                with connection.channel() as channel:
                    while drained < limit and (message := channel.basic_get(queue)) is not None:
                        handle(_dead_letter(message, queue))
                        channel.basic_ack(message.delivery_tag)
                        drained += 1
        return drained

    def epoch(self) -> str | None:
        """The mark is the only message of a durable queue: it is lost exactly when RabbitMQ's
        data is. Reading takes it out for an instant and puts it back, so an empty queue is
        looked at again before it is believed."""
        with self._use(BrokerUnavailable, "the broker's epoch could not be read") as connection:
            for _ in range(EPOCH_READ_TRIES):
                if _count_ready(connection, EPOCH_QUEUE) is None:
                    return None
                with connection.channel() as channel:
                    message = channel.basic_get(EPOCH_QUEUE)
                    if message is not None:
                        channel.basic_reject(message.delivery_tag, requeue=True)
                        return _text(message.body)
                self._clock.sleep(EPOCH_READ_PAUSE_S)
        return None

    def set_epoch(self, epoch: str) -> None:
        with (
            self._use(BrokerUnavailable, "the broker's epoch could not be written") as connection,
            connection.channel() as channel,
        ):
            # Classic, also where quorum is the default: that would count each reading as a
            # delivery, and drop the message at its limit. One message at most: the new mark
            # pushes the old one out.
            channel.queue_declare(
                EPOCH_QUEUE,
                durable=True,
                auto_delete=False,
                arguments={
                    "x-queue-type": "classic",
                    "x-max-length": 1,
                    "x-overflow": "drop-head",
                },
            )
            channel.basic_publish_confirm(
                channel.prepare_message(
                    epoch, content_encoding="utf-8", properties={"delivery_mode": 2}
                ),
                exchange="",
                routing_key=EPOCH_QUEUE,
                timeout=self._broker.publish_timeout_s / 2,
            )

    def declare(self, pools: Sequence[str]) -> None:
        """All queues of the pools and of quarantine, and their dead-letter queues."""
        with (
            self._use(BrokerUnavailable, "the queues could not be declared") as connection,
            connection.channel() as channel,
        ):
            for pool in dict.fromkeys((*pools, QUARANTINE_POOL)):
                declare_pool(channel, pool, self._broker.delivery_limit)

    @contextmanager
    def _use(self, error: type[MareaError], fact: str) -> Iterator[Any]:
        with self._lock:
            try:
                yield self._connected()
            except _FOREIGN_ERRORS as exc:
                self._drop()
                raise error(
                    f"{fact}: {exc or type(exc).__name__}; look at the server and at"
                    " MAREA_BROKER__URL"
                ) from exc
            except BaseException:
                self._drop()  # whatever `handle` raised, the channel's state is unknown
                raise

    def _connected(self) -> Any:
        if self._owner_pid != os.getpid():
            # After a fork the socket belongs to the parent: closing it here would shut it there.
            _ABANDONED.append(self._connection)
            self._connection, self._owner_pid = None, os.getpid()
        if self._connection is not None:
            try:
                # The server may have gone and come back since the last use.
                with self._connection.channel():
                    return self._connection
            except _FOREIGN_ERRORS:
                self._drop()
        self._connection = open_connection(self._broker)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.collect()
        self._connection = None

    def _count_unacked(self) -> dict[str, int | None] | None:
        management_url = self._broker.full_management_url
        if not management_url:
            return None
        vhost = url_to_parts(self._broker.full_url).path or "/"
        return count_unacked(management_url, vhost, self._broker.publish_timeout_s / 2)


_FOREIGN_ERRORS = (
    KombuError,
    OSError,
    *Transport.connection_errors,
    *Transport.channel_errors,
)
_ABANDONED: list[Any] = []
"""Connections of a parent process, kept so that no finalizer closes their sockets."""


def _count_ready(connection: Any, queue: str) -> int | None:
    """Messages ready in `queue`; None if it does not exist."""
    channel = connection.channel()
    try:
        count = int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors as exc:
        if getattr(exc, "reply_code", None) == 404:
            return None  # the server has closed the channel
        raise
    channel.close()
    return count


def _dead_letter(message: Any, queue: str) -> DeadLetter:
    headers = message.properties.get("application_headers") or {}
    deaths = headers.get("x-death") or [{}]
    reason = f"{deaths[0].get('reason', 'unknown')} in {deaths[0].get('queue', queue)}"
    text = _text(message.body)
    try:
        # The body is Celery's [arguments, keywords, embedded]; the job is the only argument.
        job = json.loads(text)[0][0]
    except (ValueError, LookupError, TypeError):
        job = text  # not ours (another content type): shown as it is
    return DeadLetter(body=job if isinstance(job, str) else text, reason=reason, queue=queue)


def _text(body: Any) -> str:
    return (
        bytes(body).decode("utf-8", "replace")
        if isinstance(body, bytes | memoryview)
        else str(body)
    )
