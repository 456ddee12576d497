"""How many tasks have ever come to an application, and how old its oldest one is.

Its broker tells neither; both follow from what has been begun and what waits.
"""

from __future__ import annotations

from collections import deque

SETTLE_S = 10.0
"""For so long fewer tasks than before are taken for a figure that is late: heartbeats tell each 2 s
what was begun, so what has just left the queue is for a moment in neither. After that some were
taken out of the queue by hand. Derived: five heartbeats."""


class Arrived:
    """A count that only grows, from readings that may dip."""

    def __init__(self) -> None:
        self.total = 0
        self._missing = 0
        """Tasks that were counted and taken out unseen."""
        self._less_since: float | None = None
        self._history: deque[tuple[float, int]] = deque()
        """When the total came to this; the oldest entry is of the oldest task that waits."""

    def read(self, started: int, waiting: int, now: float) -> int:
        """With so many begun so far, and so many not begun, wherever they are."""
        seen = started + waiting + self._missing
        if seen >= self.total:
            self._less_since = None
            if seen > self.total or not self._history:
                self._history.append((now, seen))
            self.total = seen
        elif self._less_since is None or now < self._less_since:
            self._less_since = now
        elif now - self._less_since >= SETTLE_S:
            self._missing += self.total - seen
            self._less_since = None
        return self.total

    def oldest_at(self, ready: int) -> float:
        """When the oldest of so many came that no worker has, if the first to come is the first to
        go; 0.0 if there are none."""
        number = self.total - ready + 1
        while len(self._history) > 1 and self._history[0][1] < number:
            self._history.popleft()
        return self._history[0][0] if ready and self._history else 0.0
