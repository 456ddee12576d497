"""Drives sweeps of the source buckets: bounded per tick, checkpointed, on a slow cadence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import structlog

from marea.errors import MareaError
from marea.lifecycle.accept import accept_jobs
from marea.lifecycle.commit import is_current
from marea.lifecycle.sweep import Sweep, SweepContext, sweep_pages
from marea.messages.job import Job
from marea.perform import Performer
from marea.settings import Settings
from marea.storage.merge import RecordMerge
from marea.storage.naming import intents_prefix
from marea.storage.object_store import VersionMarker
from marea.telemetry import metrics

log = structlog.get_logger("marea.reconciler")

CHECKPOINT = "sweep"
REPORT = "sweep-report"
"""What the last whole sweep found, in the ledger."""
PAGES_PER_PART = 4
"""Listing pages between two looks at the clock; a page of 1,000 takes some 50 ms on MinIO."""


@dataclass
class Sweeper:
    """Where the sweep is. The checkpoint lives in the ledger: losing it only starts anew."""

    performer: Performer
    settings: Settings
    context: SweepContext
    _sweep: Sweep | None = None
    _buckets: list[str] = field(default_factory=list)
    """Source buckets that this round has yet to begin."""
    _started_at: float = 0.0
    _next_at: float = 0.0
    _classes: Counter[str] = field(default_factory=Counter)
    _restored: bool = False

    def start_now(self) -> None:
        """Begin a full sweep at the next tick, e.g. after a loss of data."""
        self._sweep, self._next_at, self._restored = None, 0.0, True

    def tick(self) -> int:
        """Sweep for at most the budget; how many missing jobs were set under way."""
        clock = self.performer.ports.clock
        now = clock.now()
        if not self._restored:
            self._restore()
        if self._sweep is None:
            if now < self._next_at:
                return 0
            self._begin(now)
        until = now + self.settings.reconciler.sweep_budget_s
        accepted = 0
        while self._sweep is not None and clock.now() < until:
            accepted += self._go_on(self._sweep)
        return accepted

    def _begin(self, now: float) -> None:
        self._sweep_intents()
        self._started_at, self._classes = now, Counter()
        self._buckets = list(self.settings.store.source_buckets)
        self._next_bucket()

    def _next_bucket(self, after: VersionMarker | None = None) -> None:
        bucket = self._buckets.pop(0)
        prefix = self.context.place.reserved_prefix
        self._sweep = Sweep(bucket, RecordMerge(prefix, bucket), after=after)

    def _go_on(self, sweep: Sweep) -> int:
        before = sweep.accepted
        try:
            self.performer.run(sweep_pages(sweep, self.context, PAGES_PER_PART))
        except MareaError:
            self._sweep = sweep.again()
            raise
        if sweep.ended:
            self._classes += sweep.classes
            self._sweep = None
            if self._buckets:
                self._next_bucket()
            else:
                self._end()
        self._save()
        return sweep.accepted - before

    def _end(self) -> None:
        ports = self.performer.ports
        now = ports.clock.now()
        interval_s = self.settings.reconciler.sweep_interval_s
        if self._classes["young"]:
            # Left to their events; look again soon whether those came.
            interval_s = min(interval_s, self.settings.reconciler.sweep_grace_s)
        self._next_at = now + interval_s
        metrics.SWEEP_SECONDS.observe(now - self._started_at)
        ports.ledger.set_value(
            REPORT,
            {"started_at": self._started_at, "ended_at": now, "classes": dict(self._classes)},
        )
        if self._classes["missing"]:
            log.info("sweep found missing work", **self._classes)

    def _sweep_intents(self) -> None:
        """Set under way what only the API knows; remove intents whose job has ended."""
        ports, place = self.performer.ports, self.context.place
        prefix, after = intents_prefix(place.reserved_prefix), ""
        while True:
            page = ports.store.list_objects(place.results_bucket, prefix=prefix, after=after)
            for row in page.rows:
                head = ports.store.head(place.results_bucket, row.key)
                if head is None:
                    continue
                try:
                    job = Job.from_json(ports.store.get(head.ref).data.decode())
                except ValueError as exc:
                    log.error("intent unreadable", key=row.key, reason=str(exc))
                    continue
                if self._is_over(job, row.last_modified):
                    ports.store.delete(place.results_bucket, row.key)
                else:
                    self.performer.run(accept_jobs([job], self.context.policy))
            if page.next_after is None:
                return
            after = page.next_after

    def _is_over(self, job: Job, intended_at: float) -> bool:
        """Whether what an intent asked for has come to an end."""
        store, place = self.performer.ports.store, self.context.place
        record = store.head(place.results_bucket, place.record_key(job))
        if record is not None:
            return job.mode == "normal" or record.last_modified > intended_at
        if job.ref.is_versioned:
            return False
        # Without versions, content that was replaced ends without a record.
        return not is_current(store.head(job.ref.bucket, job.ref.key), job.ref)

    def _save(self) -> None:
        sweep = self._sweep
        mark = None
        if sweep is not None and sweep.after is not None:
            mark = {
                "buckets": [sweep.bucket, *self._buckets],
                "after": [sweep.after.key, sweep.after.version_id],
                "started_at": self._started_at,
            }
        self.performer.ports.ledger.set_value(CHECKPOINT, mark)

    def _restore(self) -> None:
        """Go on where an earlier reconciler stopped."""
        mark = self.performer.ports.ledger.value(CHECKPOINT)
        self._restored = True
        if isinstance(mark, dict) and set(mark["buckets"]) <= set(
            self.settings.store.source_buckets
        ):
            self._buckets = list(mark["buckets"])
            self._started_at = float(mark["started_at"])
            self._next_bucket(VersionMarker(*mark["after"]))
