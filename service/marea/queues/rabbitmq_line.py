"""Publishing on RabbitMQ: one connection and channel, and what it declares.

Its own confirm loop instead of kombu's `confirm_publish`, which waits for each message, takes
a returned message for a confirmed one, and a late confirm for the next message's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from time import monotonic
from typing import Any

from marea.queues.message import Outgoing
from marea.queues.names import dead_letter_queue, pool_queues
from marea.settings import BrokerSettings

NEVER_DEAD_LETTERED = 1_000_000_000
"""Delivery limit of a dead-letter queue, where RabbitMQ 4's default of 20 would drop messages.
Arbitrary; -1 means the same from 4.0 on, but 3.10 refuses it."""
CONFIRM_WINDOW = 500
"""Messages published before their confirms are awaited: what is unconfirmed is bounded, and
the 21-byte acks fit a socket buffer. Arbitrary within that."""


RETRY_PAUSE_S = 0.1
"""Between two tries at a queue that has no leader yet; an election takes less than a second."""


def connect_once(connection: Any) -> None:
    """Connect a kombu connection, trying each host of its URL once.

    kombu's own `connect` pauses for 2 s and tries again, which the caller's time does not allow.
    """
    connection.ensure_connection(max_retries=max(len(connection.alt) - 1, 0), interval_start=0)


def work_queue_arguments(pool: str, delivery_limit: int) -> dict[str, Any]:
    """The arguments of a pool's queues. Every declarer must give the same ones, else RabbitMQ
    refuses with PRECONDITION_FAILED, so they are made here only."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_queue(pool),
    }


def declare_pool(channel: Any, pool: str, delivery_limit: int) -> None:
    """Make the pool's queues and its dead-letter queue exist."""
    channel.queue_declare(
        dead_letter_queue(pool),
        durable=True,
        auto_delete=False,
        arguments={"x-queue-type": "quorum", "x-delivery-limit": NEVER_DEAD_LETTERED},
    )
    for queue in pool_queues(pool):
        channel.queue_declare(
            queue,
            durable=True,
            auto_delete=False,
            arguments=work_queue_arguments(pool, delivery_limit),
        )


class RabbitLine:
    """One connection and channel on which messages are published and confirmed.

    Not thread-safe: the publisher hands a line to one thread at a time, and throws it away
    after any error, since a late confirm would be taken for another message's.
    """

    def __init__(self, connection: Any, broker: BrokerSettings) -> None:
        """`connection` is connected, and this line's own."""
        self._broker = broker
        self._connection = connection
        self._channel = connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._declared: set[str] = set()
        self._published = 0
        self._waiting: dict[int, int] = {}  # delivery tag -> position in the batch
        self._refused: set[int] = set()
        self._returned: set[tuple[str, str]] = set()  # message id and queue

    def send(self, messages: Sequence[Outgoing], deadline: float) -> list[bool]:
        """Which of `messages` are in a queue. `deadline` is in seconds of `monotonic()`.

        A returned message met no queue (somebody deleted it: declared anew), a refused one a
        queue without a leader (the server has just started): both are sent again until then.
        """
        confirmed = self._send_once(messages, deadline)
        while not all(confirmed):
            missing = [position for position, done in enumerate(confirmed) if not done]
            self._declared.difference_update(messages[position].pool for position in missing)
            again = self._send_once([messages[position] for position in missing], deadline)
            for position, done in zip(missing, again, strict=True):
                confirmed[position] = done
            if not any(again) and not self._pause(deadline):
                break
        return confirmed

    def ping(self) -> None:
        self._channel.exchange_declare("amq.direct", "direct", passive=True)

    def close(self) -> None:
        """Drop the socket without a word: a frozen server would never answer Connection.Close."""
        self._connection.collect()

    def _send_once(self, messages: Sequence[Outgoing], deadline: float) -> list[bool]:
        self._refused.clear()
        self._returned.clear()
        for start in range(0, len(messages), CONFIRM_WINDOW):
            for position in range(start, min(start + CONFIRM_WINDOW, len(messages))):
                self._publish(messages[position], position)
            while self._waiting:
                left_s = deadline - monotonic()
                if left_s <= 0:
                    raise TimeoutError("RabbitMQ did not confirm in time")
                self._connection.drain_events(timeout=left_s)
        return [
            position not in self._refused and (message.id, message.queue) not in self._returned
            for position, message in enumerate(messages)
        ]

    def _pause(self, deadline: float) -> bool:
        """Let the server get on; whether there is still time for another try."""
        if monotonic() + 2 * RETRY_PAUSE_S > deadline:
            return False
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=RETRY_PAUSE_S)
        return True

    def _publish(self, message: Outgoing, position: int) -> None:
        if message.pool not in self._declared:
            declare_pool(self._channel, message.pool, self._broker.delivery_limit)
            self._declared.add(message.pool)
        self._published += 1
        self._waiting[self._published] = position
        prepared = self._channel.prepare_message(
            message.body_json(),
            content_type="application/json",
            content_encoding="utf-8",
            headers=message.headers(),
            properties={"delivery_mode": 2},  # persistent
        )
        # Mandatory: without it a message that no queue takes is confirmed all the same.
        self._channel.basic_publish(
            prepared, exchange="", routing_key=message.queue, mandatory=True
        )

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple)

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._refused.update(self._settle(delivery_tag, multiple))

    def _on_return(self, _error: Exception, _exchange: str, queue: str, message: Any) -> None:
        self._returned.add((message.properties["application_headers"]["id"], queue))

    def _settle(self, delivery_tag: int, multiple: bool) -> list[int]:
        tags = [tag for tag in self._waiting if tag <= delivery_tag] if multiple else [delivery_tag]
        return [self._waiting.pop(tag) for tag in tags if tag in self._waiting]
