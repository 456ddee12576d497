"""The publisher on the broker that a Celery application is configured for.

Does not go through `send_task`: the message is smaller (`message.py`), the wait is bounded,
and "published" means that the broker has confirmed it. Each process keeps a few connections,
called lines here, and lends each to one thread at a time.

    (none) ──open──▶ lent ──confirmed──▶ idle ──lent again──▶ …
                       └──any error──▶ dropped; if it had been idle, once more on a new line
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any, Protocol

from kombu.exceptions import KombuError

from marea.errors import BrokerUnavailable
from marea.messages.job import Job
from marea.queues.message import Outgoing
from marea.queues.rabbitmq import open_connection
from marea.queues.rabbitmq_line import RabbitLine, connect_once
from marea.queues.redis_address import broker_address, explain, refuse_evicting
from marea.settings import BrokerSettings, Settings

MAX_LINES = 16
"""Connections a process publishes on at once; more threads wait for one. Arbitrary: at 1 ms a
confirm 16 lines carry far more than one gateway can parse."""
PIPELINE_MESSAGES = 500
"""Messages in one Redis pipeline: about half a megabyte, 5 ms of Redis. Arbitrary."""


class Line(Protocol):
    """One connection to publish on, used by one thread at a time."""

    def send(self, messages: Sequence[Outgoing], deadline: float) -> list[bool]: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


class KombuLine:
    """Redis, in one pipeline, and whatever else kombu speaks, message by message."""

    def __init__(self, app: Any, broker: BrokerSettings) -> None:
        timeout_s = broker.publish_timeout_s / 2  # once to connect, once to be answered
        bounds = (
            {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
            if broker.kind == "redis"
            else {}
        )
        self._connection = app.connection_for_write(
            transport_options=bounds, connect_timeout=timeout_s
        )
        connect_once(self._connection)
        channel = self._connection.channel()
        self._producer = app.amqp.Producer(channel, auto_declare=False)
        if broker.kind == "redis":
            with channel.conn_or_acquire() as client:
                refuse_evicting(client)

    def send(self, messages: Sequence[Outgoing], deadline: float) -> list[bool]:  # noqa: ARG002
        # Redis answers an LPUSH when the message is in the list: the reply is the confirm.
        with self._producer.batch(max_size=PIPELINE_MESSAGES):
            for message in messages:
                self._producer.publish(
                    message.body(),
                    serializer="json",
                    routing_key=message.queue,
                    headers=message.headers(),
                )
        return [True] * len(messages)

    def ping(self) -> None:
        self._producer.channel.queue_declare("marea.ping")  # on Redis an LLEN, stores nothing

    def close(self) -> None:
        self._connection.close()


class CeleryPublisher:
    """`Publisher` on the broker that `app` is configured for. Thread-safe and fork-safe."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._broker = settings.broker
        self._idle: list[Line] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_LINES)
        self._pid = os.getpid()

    def publish(self, job: Job, *, quarantine: bool = False) -> None:
        if not self._send([Outgoing.of(job, quarantine=quarantine)])[0]:
            raise BrokerUnavailable(
                f"The broker refused job {job.id} for pool {job.pool}: it is full or its queue"
                " is gone; the publisher may try again."
            )

    def publish_many(self, jobs: Sequence[Job]) -> list[bool]:
        try:
            return self._send([Outgoing.of(job) for job in jobs])
        except BrokerUnavailable:
            return [False] * len(jobs)  # some may be queued: a second copy does no harm

    def ping(self) -> None:
        self._send([])

    def _send(self, messages: Sequence[Outgoing]) -> list[bool]:
        deadline = monotonic() + self._broker.publish_timeout_s
        slots = self._slots_of_this_process()
        if not slots.acquire(timeout=self._broker.publish_timeout_s):
            raise self._unavailable(f"all {MAX_LINES} connections are busy")
        try:
            try:
                return self._send_on(self._take(), messages, deadline)
            except _Stale:
                # The server was restarted while the connection lay idle, and so it did to
                # the others: once more on a new one. A message that got through twice is
                # harmless, the claim lets it run once.
                self._forget_idle()
                return self._send_on(None, messages, deadline)
        finally:
            slots.release()

    def _send_on(
        self, idle: Line | None, messages: Sequence[Outgoing], deadline: float
    ) -> list[bool]:
        line = idle
        try:
            line = line or self._open()
            if messages:
                confirmed = line.send(messages, deadline)
            else:
                line.ping()
                confirmed = []
        except self._foreign_errors() as exc:
            if line is not None:
                _discard(line)
            if idle is not None and not _is_timeout(exc):
                raise _Stale from exc
            raise self._unavailable(_root(exc)) from exc
        except BaseException:
            if line is not None:
                _discard(line)
            raise
        with self._lock:
            self._idle.append(line)
        return confirmed

    def _open(self) -> Line:
        if self._broker.kind == "rabbitmq":
            return RabbitLine(open_connection(self._broker), self._broker)
        return KombuLine(self._app, self._broker)

    def _take(self) -> Line | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            _discard(line)

    def _slots_of_this_process(self) -> threading.BoundedSemaphore:
        with self._lock:
            if self._pid != os.getpid():
                # After a fork the sockets are the parent's, and a finalizer that closed one
                # would shut it for the parent too: they are kept, unused.
                _ABANDONED.extend(self._idle)
                self._idle = []
                self._slots = threading.BoundedSemaphore(MAX_LINES)
                self._pid = os.getpid()
            return self._slots

    def _foreign_errors(self) -> tuple[type[BaseException], ...]:
        transport = self._app.connection_for_write().transport
        return (KombuError, OSError, *transport.connection_errors, *transport.channel_errors)

    def _unavailable(self, cause: object) -> BrokerUnavailable:
        if self._broker.kind == "redis":
            address = str(broker_address(self._broker))
            why = explain(cause) if isinstance(cause, BaseException) else cause
        else:
            address = self._app.connection_for_write().as_uri()  # without the password
            why = cause or type(cause).__name__
        return BrokerUnavailable(
            f"The broker at {address} did not confirm within {self._broker.publish_timeout_s:g} s:"
            f" {why}; the publisher may try again."
        )


_ABANDONED: list[Line] = []


class _Stale(Exception):
    """An idle connection was dead when it was used again."""


def _discard(line: Line) -> None:
    with contextlib.suppress(Exception):  # it is thrown away because it is broken
        line.close()


def _is_timeout(exc: BaseException) -> bool:
    """Then no second try: it would double the wait."""
    return isinstance(exc, TimeoutError) or "Timeout" in type(_root(exc)).__name__


def _root(exc: BaseException) -> BaseException:
    """What a library's error was raised from in the first place."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return exc
