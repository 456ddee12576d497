"""Which uploads this process has just made sure of, so that hearing of them again costs nothing.

Stores send an event twice as a matter of course: after an answer that came late, or by two ways
at once (`up/minio_server.py`). The ledger would find the job there; this spares it the question.
Only versions are remembered: in a bucket without them the same content may come back, and is
then to be processed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from marea.clock import Clock
from marea.messages.objects import ObjectRef

REMEMBERED_S = 60.0
"""For how long. Short, because a ledger and broker that lost everything meanwhile are mended by
such a repetition; long enough for MinIO's queue, which is looked into each 3 s."""
REMEMBERED_UPLOADS = 20_000
"""At most; some 5 MB with keys of usual length."""

JobIds = tuple[str, ...]


class Repeats:
    """Written by the event loop alone. To ask is one look into a dictionary, from any thread:
    large bodies are read in one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[ObjectRef, tuple[float, JobIds]] = OrderedDict()

    def jobs_of(self, ref: ObjectRef) -> JobIds | None:
        """The jobs of `ref` if it was made sure of within the last `REMEMBERED_S`."""
        until, jobs = self._known.get(ref, (0.0, ()))
        return jobs if self._clock.now() < until else None

    def remember(self, uploads: Iterable[tuple[ObjectRef, JobIds]]) -> None:
        """The jobs of these are on their way or over; or there is nothing to do for them."""
        until = self._clock.now() + REMEMBERED_S
        for ref, jobs in uploads:
            if ref.is_versioned:
                self._known.pop(ref, None)
                self._known[ref] = until, jobs
        while len(self._known) > REMEMBERED_UPLOADS:
            self._known.popitem(last=False)
