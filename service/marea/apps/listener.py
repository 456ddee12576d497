"""The thread that hears an application's workers: their events, and their answers.

connect ──▶ ask all to beat ──▶ receive … ──▶ lost, or our own probe does not come back ──┐
   ▲                                                                                      │
   └──────────────────────────────── after a pause ◀──────────────────────────────────────┘
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from marea.apps.heard import Heard
from marea.apps.protocol import (
    PROBE,
    QUESTIONS,
    Place,
    connect_once,
    event_queue,
    reply_queue,
    send_command,
)
from marea.clock import Clock

log = structlog.get_logger("marea.autoscaler")

DEAF_S = 10.0
"""Probes were sent for so long and none came back: events are lost. Arbitrary; five looks."""
FIRST_S = 0.05
"""To see whether there is anything to hear; arbitrary."""
PAUSE_S = 1.0
"""Between a connection that was lost and the next try."""


@dataclass(slots=True)
class _Asked:
    """One round of questions."""

    number: int
    replies: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(question, worker) → what it said."""


class Listener:
    """Runs from the first `ask` on. All methods may be called from another thread."""

    def __init__(self, place: Place, pool: str, clock: Clock) -> None:
        self.name = str(uuid.uuid4())
        """Of the queues that answers and events come to."""
        self.heard = Heard(pool)
        self.news = threading.Condition()
        """Held where anything below is read or written."""
        self.lapsed: set[str] = set()
        """Workers that did not answer in time, and have said nothing since."""
        self._lost = "it has only just begun to listen"
        self._refused = ""
        self._place, self._clock = place, clock
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._asked = _Asked(0)
        self._probe_seen_at: float | None = None
        self._probed_since: float | None = None
        self._is_listening = False

    def start(self, patience_s: float) -> None:
        """Once; does nothing where it runs. Returns when it listens, or after its patience."""
        if self._thread is not None:
            return
        # Daemon: the process must end though a broker does not answer.
        self._thread = threading.Thread(target=self._run, name="app-listener", daemon=True)
        self._thread.start()
        with self.news:
            self.news.wait_for(lambda: self._is_listening, patience_s)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(3 * PAUSE_S)

    def begin(self) -> int:
        """A new round of questions; its number, which goes out as a probe."""
        with self.news:
            self._asked = _Asked(self._asked.number + 1)
            self._probed_since = self._probed_since or monotonic()
            return self._asked.number

    def wait(
        self, expected: Collection[tuple[str, str]], timeout_s: float
    ) -> tuple[Mapping[tuple[str, str], Any], str]:
        """What has been answered once all that was `expected` is there, or after the timeout;
        and why nothing can be heard, "" if it can. The probe is always waited for."""
        with self.news:

            def is_complete() -> bool:
                return not self._lost and all(each in self._asked.replies for each in expected)

            self.news.wait_for(is_complete, timeout_s)
            replies = dict(self._asked.replies)
            self.lapsed |= {
                worker for question, worker in expected if (question, worker) not in replies
            }
            return replies, self._lost or self._refused

    # in the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except Exception as exc:  # kombu raises what each client library does
                self._lose(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
                if not isinstance(exc, KombuError | OSError):
                    log.warning("listening to an application failed", exc_info=exc)
            self._stop.wait(PAUSE_S)

    def _lose(self, why: str) -> None:
        with self.news:
            self._lost = why
            self._probe_seen_at = self._probed_since = None

    def _listen(self) -> None:
        with self._place.connection() as connection, self._consuming(connection) as channel:
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=FIRST_S)  # in Redis it subscribes only now
            with self.news:
                self._is_listening = True
                self.news.notify_all()
            # Who is there is not known before it has beaten, which may be 2 s from now.
            send_command(channel, "heartbeat", {}, None)
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=PAUSE_S)
                if self._is_deaf():
                    raise TimeoutError(f"events do not come through for {DEAF_S:.0f} s")

    @contextlib.contextmanager
    def _consuming(self, connection: Any) -> Iterator[Any]:
        connect_once(connection)
        channel = connection.channel()
        replies = reply_queue(self.name)
        consumers = [
            _consumer(channel, event_queue(connection, self.name), self._on_events, _leave),
            _consumer(channel, replies, self._on_reply, self._on_unreadable_reply),
        ]
        with contextlib.ExitStack() as stack:
            for consumer in consumers:
                stack.enter_context(consumer)
            yield channel
            with contextlib.suppress(Exception):  # in Redis its binding would stay
                replies(channel).delete()

    def _is_deaf(self) -> bool:
        with self.news:
            since = self._probe_seen_at or self._probed_since
            return since is not None and monotonic() - since > DEAF_S

    def _on_events(self, body: Any, _message: Any) -> None:
        now = self._clock.now()
        with self.news:
            for event in body if isinstance(body, list) else [body]:
                if not isinstance(event, dict):
                    continue
                if event.get("type") == PROBE:
                    self._on_probe(event)
                else:
                    self.heard.event(event, now)

    def _on_probe(self, event: Mapping[str, Any]) -> None:
        if event.get("hostname") == self.name:
            self._probe_seen_at, self._lost = monotonic(), ""
            self.news.notify_all()

    def _on_reply(self, body: Any, message: Any) -> None:
        number, _, question = str(message.headers.get("ticket", "")).partition(":")
        if question not in QUESTIONS or not isinstance(body, dict):
            return
        with self.news:
            self._refused = ""
            for worker, said in body.items():
                self.lapsed.discard(worker)
                if number == str(self._asked.number):
                    self._asked.replies[question, worker] = said
            self.news.notify_all()

    def _on_unreadable_reply(self, message: Any, _exc: Exception) -> None:
        with self.news:
            self._refused = (
                f"its workers answer in {message.content_type}, and nothing but JSON is read here:"
                " let its task_serializer be json"
            )
            self.news.notify_all()


def _leave(_message: Any, _exc: Exception) -> None:
    """An event that cannot be read is none; others may share the broker."""


def _consumer(channel: Any, queue: Any, callback: Any, on_decode_error: Any) -> Any:
    return Consumer(  # type: ignore[no-untyped-call]
        channel,
        [queue],
        callbacks=[callback],
        no_ack=True,
        # Never pickle: reading it would be running its sender's code.
        accept=["json"],
        on_decode_error=on_decode_error,
    )
