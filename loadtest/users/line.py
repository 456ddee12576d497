"""The schedule as senders take it: in its order, each upload once, none before it is due."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from loadtest.runs.data import Way
from loadtest.schedule import Arrival, shares

PIECE_S = 0.5
"""Of a long sleep, after each of which the line may have ended. Arbitrary."""


class Line:
    """What this process has to send, apart by way. Used by one thread (or gevent's greenlets)."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._waiting: Mapping[Way, deque[Arrival]] = {}
        self._now, self._sleep = now, sleep
        self._under_way = 0
        self.began_at = 0.0
        """Seconds since the epoch at which the schedule begins; 0.0 = not yet known."""
        self.has_ended = False
        """It was broken off; what was left of it is not sent."""

    def begin(self, arrivals: Iterable[Arrival], began_at: float) -> None:
        """From now on these are handed out."""
        self._waiting = {way: deque(each) for way, each in shares(list(arrivals))}
        self.began_at, self.has_ended = began_at, False

    def end(self) -> None:
        """Nothing is handed out any more, not even to who waits until it is due."""
        self._waiting, self.has_ended = {}, True

    @property
    def left(self) -> int | None:
        """Uploads that are not answered yet; None before the beginning."""
        if not self.began_at:
            return None
        return sum(len(each) for each in self._waiting.values()) + self._under_way

    def take(self, way: Way) -> Arrival | None:
        """The next upload of this way, once it is due; None if there is none, or the line has
        ended meanwhile. Whoever takes one calls `done` when it has been answered."""
        schedule = self._waiting
        waiting = schedule.get(way)
        if not waiting:
            return None
        arrival = waiting.popleft()
        self._under_way += 1
        due_at = self.began_at + arrival.due_s
        while self._waiting is schedule and (pause_s := due_at - self._now()) > 0:
            self._sleep(min(pause_s, PIECE_S))
        if self._waiting is schedule:
            return arrival
        self._under_way -= 1
        return None

    def done(self) -> None:
        self._under_way -= 1
