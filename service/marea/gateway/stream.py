"""Job changes as server-sent events: one watch on the ledger, fanned out to every listener.

    ledger.watch ── thread ──▶ offer ──▶ queue of listener 1 ──▶ text/event-stream
                                    └──▶ queue of listener 2 ──▶ …

The thread lives while somebody listens. Listeners, their queues and their number are bounded;
one that falls behind is ended and told so, and reconnects (states may have been missed, so it
loads again). A heartbeat comment keeps proxies from closing a quiet stream.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from marea.errors import MareaError
from marea.gateway.http_errors import TooManyStreams
from marea.gateway.views import job_view
from marea.lifecycle.state import JobState
from marea.results.ledger import Ledger

log = structlog.get_logger("marea.gateway")

MAX_STREAMS = 100
"""Per process; arbitrary, a stream is a socket and a queue."""
BACKLOG = 1_000
"""Unread changes of one listener: a second's worth at the rate of a large peak."""
HEARTBEAT_S = 15.0
"""Below the 60 s after which common proxies close an idle connection."""
POLL_S = 1.0
"""How soon the watching thread notices that nobody listens any more."""

Filter = Callable[[JobState], bool]


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream."""

    wants: Filter
    changes: asyncio.Queue[JobState] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    """Why it ended, for the client."""

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.ended.set()


class JobStreams:
    """All streams of a process. Its methods run on the event loop."""

    def __init__(
        self, ledger: Ledger, *, max_streams: int = MAX_STREAMS, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._ledger = ledger
        self._max_streams = max_streams
        self.heartbeat_s = heartbeat_s
        self._listeners: set[Listener] = set()
        self._stop: threading.Event | None = None
        self._watching: asyncio.Future[None] | None = None
        self._is_closed = False

    @property
    def listener_count(self) -> int:
        return len(self._listeners)

    def require_room(self) -> None:
        """Raises `TooManyStreams`, also while the process ends."""
        if self._is_closed:
            raise TooManyStreams("this gateway is stopping; connect again", code="stopping")
        if len(self._listeners) >= self._max_streams:
            raise TooManyStreams(
                f"{self._max_streams} streams are open already; close one, or ask for the jobs"
            )

    @asynccontextmanager
    async def listen(self, wants: Filter) -> AsyncIterator[Listener]:
        """A listener that misses nothing from here on. Raises `LedgerUnavailable`."""
        self.require_room()
        listener = Listener(wants)
        self._listeners.add(listener)
        try:
            await self._watch()
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._stop is not None:
                self._stop.set()
                self._stop = self._watching = None

    def close(self) -> None:
        """End every stream; safe to call from a signal handler on the loop's thread."""
        self._is_closed = True
        for listener in self._listeners:
            listener.end("the gateway is stopping")

    async def _watch(self) -> None:
        """Return once the ledger announces to us; one thread serves everybody."""
        if self._watching is None:
            loop = asyncio.get_running_loop()
            self._watching = loop.create_future()
            self._stop = threading.Event()
            arguments = (loop, self._watching, self._stop)
            threading.Thread(
                target=self._pump, args=arguments, name="job-watch", daemon=True
            ).start()
        await asyncio.shield(self._watching)

    def _pump(
        self,
        loop: asyncio.AbstractEventLoop,
        subscribed: asyncio.Future[None],
        stop: threading.Event,
    ) -> None:
        def on_loop(call: Callable[[], object]) -> None:
            with suppress(RuntimeError):  # the loop is gone: the process ends
                loop.call_soon_threadsafe(call)

        try:
            states = self._ledger.watch(poll_s=POLL_S)
            on_loop(lambda: _settle(subscribed))
            for state in states:
                if stop.is_set():
                    break
                if state is not None:
                    on_loop(lambda state=state: self._offer(state))  # type: ignore[misc]
            close = getattr(states, "close", None)
            if close is not None:
                close()
        except MareaError as exc:
            log.warning("watching the ledger ended", code=exc.code, reason=str(exc))
            on_loop(lambda exc=exc: self._lose(subscribed, exc))  # type: ignore[misc]

    def _offer(self, state: JobState) -> None:
        for listener in self._listeners:
            if not listener.wants(state):
                continue
            try:
                listener.changes.put_nowait(state)
            except asyncio.QueueFull:
                listener.end("the listener fell behind; connect again and load the jobs")

    def _lose(self, subscribed: asyncio.Future[None], error: MareaError) -> None:
        if self._watching is subscribed:
            self._stop = self._watching = None
        if not subscribed.done():
            subscribed.set_exception(error)
            return
        for listener in self._listeners:
            listener.end(str(error))


class EventStream(Response):
    """Sends a listener's changes until one side has enough."""

    media_type = "text/event-stream"

    def __init__(self, streams: JobStreams, wants: Filter) -> None:
        super().__init__()
        self._streams = streams
        self._wants = wants
        # Set anew: the base class fixed a content-length of 0.
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would hold events back
        ]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        async with self._streams.listen(self._wants) as listener:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            sending = asyncio.ensure_future(self._send_all(listener, send))
            leaving = asyncio.ensure_future(_disconnected(receive))
            ending = asyncio.ensure_future(listener.ended.wait())
            tasks = (sending, leaving, ending)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if listener.ended.is_set() and not _has_left(leaving):
                await send(_chunk(f"event: end\ndata: {json.dumps(listener.reason)}\n\n"))
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, listener: Listener, send: Send) -> None:
        await send(_chunk("retry: 2000\n: listening\n\n"))
        while True:
            try:
                state = await asyncio.wait_for(listener.changes.get(), self._streams.heartbeat_s)
            except TimeoutError:
                await send(_chunk(": beat\n\n"))
                continue
            body = job_view(state).model_dump_json(exclude_none=True)
            await send(_chunk(f"event: job\nid: {state.job.id}:{state.rev}\ndata: {body}\n\n"))


def _settle(subscribed: asyncio.Future[None]) -> None:
    if not subscribed.done():
        subscribed.set_result(None)


def _has_left(leaving: asyncio.Future[None]) -> bool:
    """Whether the client left, as opposed to the wait for it having been cancelled."""
    return leaving.done() and not leaving.cancelled()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _chunk(text: str) -> dict[str, object]:
    return {"type": "http.response.body", "body": text.encode("utf-8"), "more_body": True}
