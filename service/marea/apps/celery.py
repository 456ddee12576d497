"""A real Celery application, by its broker: queues, remote control, events.

One connection here asks, another (`listener.py`) hears. For one thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError, KombuError

from marea.apps.app import Answer, AppView, AppWorker, Run
from marea.apps.listener import Listener
from marea.apps.protocol import QUESTIONS, Place, connect_once, send_command, send_probe
from marea.clock import Clock
from marea.errors import BacklogUnavailable, BrokerUnavailable, ConfigError, MareaError

ANSWER_S = 1.0
"""How long workers are waited for; one that let it pass is not waited for again until it has said
something. Measured: an idle one answers all four questions within 10 ms."""

SCHEDULED_EVERY_S = 30.0
"""A worker that keeps tasks with an ETA lists all of them each time: it is not asked more often.
Arbitrary; ten thousand of them are some 5 MB."""

UNACKED_READ = 500
"""So many unacknowledged messages are read for whose they are; more are taken to be the pool's own.
Arbitrary; some 0.5 MB each time that nothing else is to be done."""

SCHEMES = ("redis", "rediss", "sentinel", "amqp", "amqps", "pyamqp")


class CeleryBrokerApp:
    """`CeleryApp` on Redis, Valkey or RabbitMQ."""

    def __init__(
        self,
        pool: str,
        queues: Sequence[str],
        url: str,
        clock: Clock,
        transport_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Connects to nothing. Raises `ConfigError` for a URL that is none of such a broker."""
        scheme, mark, _ = url.partition("://")
        if scheme not in SCHEMES or not mark:
            kind = f"a URL of the kind {scheme!r}" if mark else "no URL"
            raise ConfigError(
                [
                    f"MAREA_AUTOSCALER__APPS: the broker of {pool!r} has {kind}; queues can be"
                    f" counted on {', '.join(SCHEMES)}"
                ]
            )
        self._pool, self._queues, self._clock = pool, tuple(queues), clock
        self._place = Place(url, dict(transport_options or {}))
        self._listener = Listener(self._place, pool, clock)
        self._connection: Any = None
        self._channel: Any = None
        self._scheduled: dict[str, tuple[int, float]] = {}
        """Worker → tasks with an ETA, and when it said so."""

    def look(self, workers: Sequence[str]) -> AppView:
        self._listener.start(ANSWER_S)
        with self._use(BacklogUnavailable, "could not be counted"):
            # Before the workers are asked; see `AppView.ready`.
            ready = {queue: self._count(queue) for queue in self._queues}
            unacked = 0 if any(ready.values()) else self._unacked()
            expected = self._ask(workers)
        replies, trouble = self._listener.wait(expected, ANSWER_S)
        if trouble:
            raise BacklogUnavailable(
                f"the workers of the app pool {self._pool} cannot be heard: {trouble}"
            )
        with self._listener.news:
            heard = self._listener.heard
            seen = {each: self._worker(each, replies) for each in workers}
            self._scheduled = {
                each: self._scheduled[each] for each in self._scheduled if each in seen
            }
            return AppView(ready, seen, unacked, heard.started, heard.took())

    def pause(self, workers: Sequence[str]) -> None:
        self._tell("cancel_consumer", workers)

    def resume(self, workers: Sequence[str]) -> None:
        self._tell("add_consumer", workers)

    def close(self) -> None:
        self._listener.stop()
        self._drop()

    def _tell(self, command: str, workers: Sequence[str]) -> None:
        with self._use(BrokerUnavailable, "could not be told to fetch tasks, or none"):
            for queue in self._queues if workers else ():
                send_command(self._open(), command, {"queue": queue}, workers)

    def _ask(self, workers: Sequence[str]) -> set[tuple[str, str]]:
        """Send this round's questions; the (question, worker) worth waiting for."""
        listener, channel = self._listener, self._open()
        number = listener.begin()
        send_probe(channel, number, listener.name, self._clock.now())
        expected = set()
        for question in QUESTIONS:
            asked = [each for each in workers if question != "scheduled" or self._is_due(each)]
            if asked:
                ticket = f"{number}:{question}"
                send_command(channel, question, {}, asked, ticket=ticket, listener=listener.name)
            expected |= {(question, each) for each in asked if each not in listener.lapsed}
        return expected

    def _is_due(self, worker: str) -> bool:
        count, said_at = self._scheduled.get(worker, (0, 0.0))
        return not count or monotonic() - said_at >= SCHEDULED_EVERY_S

    def _worker(self, name: str, replies: Mapping[tuple[str, str], Any]) -> AppWorker:
        said = {question: replies.get((question, name)) for question in QUESTIONS}
        if isinstance(said["scheduled"], list):
            self._scheduled[name] = (len(said["scheduled"]), monotonic())
        answer = None
        if name in self._scheduled:
            answer = _answer(said, self._scheduled[name][0])
        for task_id, run in answer.active.items() if answer else ():
            self._listener.heard.name(task_id, run.task, run.started_at)
        return AppWorker(self._listener.heard.heard_at(name), answer)

    def _count(self, queue: str) -> int:
        """Messages ready in `queue`, of every priority; 0 if it does not exist."""
        channel = self._open()
        # In Redis declaring makes nothing; and whether a queue is there, kombu asks without the
        # prefix that an application may have for its keys.
        is_passive = self._connection.transport.driver_type == "amqp"
        try:
            return int(channel.queue_declare(queue, passive=is_passive).message_count)
        except ChannelError as exc:
            if str(exc.reply_code) == "404":
                return 0
            raise

    def _unacked(self) -> int:
        """In Redis, of all workers in this database, whether they live or not."""
        channel = self._open()
        if self._connection.transport.driver_type != "redis":
            return 0
        with channel.conn_or_acquire() as client:
            count = int(client.execute_command("HLEN", channel.unacked_key))
            if not 0 < count <= UNACKED_READ:
                return count
            # kombu puts the prefix before the key of HLEN, and not before that of HVALS.
            key = f"{channel.global_keyprefix}{channel.unacked_key}"
            held = client.execute_command("HVALS", key)
        return sum(_queue_of(each) in self._queues for each in held)

    def _open(self) -> Any:
        """A channel: RabbitMQ closes the one on which a queue was not found."""
        if self._connection is None:
            self._connection = self._place.connection()
            connect_once(self._connection)
        if self._channel is None or not getattr(self._channel, "is_open", True):
            self._channel = self._connection.channel()
        return self._channel

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.collect()
        self._connection = self._channel = None

    @contextmanager
    def _use(self, error: type[MareaError], fact: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            foreign = (KombuError, OSError)
            if self._connection is not None:
                foreign += (*self._connection.connection_errors, *self._connection.channel_errors)
            self._drop()
            if not isinstance(exc, foreign):
                raise
            raise error(
                f"the queues of the app pool {self._pool} {fact}: {exc or type(exc).__name__};"
                " look at its broker and at the URL of it"
            ) from exc


def _queue_of(held: bytes) -> str:
    """The routing key of a message as kombu holds it, [message, exchange, routing key]. By default
    it is the queue's name; a message with another is taken for another application's."""
    try:
        return str(json.loads(held)[2])
    except (ValueError, IndexError, KeyError, TypeError):
        return ""


def _answer(said: Mapping[str, Any], scheduled: int) -> Answer | None:
    """None unless all was answered, and in the form that Celery has."""
    queues, reserved, active = said["active_queues"], said["reserved"], said["active"]
    if not (isinstance(queues, list) and isinstance(reserved, list) and isinstance(active, list)):
        return None
    try:
        runs = {
            str(each["id"]): Run(str(each["name"]), float(each.get("time_start") or 0.0))
            for each in active
        }
        return Answer(
            queues=frozenset(str(each["name"]) for each in queues),
            active=runs,
            waiting=len({str(each["id"]) for each in reserved} - set(runs)),
            scheduled=scheduled,
        )
    except (KeyError, TypeError, ValueError):
        return None
