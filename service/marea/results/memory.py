"""A ledger in this process's memory: for tests, simulations and single-process trials.

It passes the same contract suite as Redis (tests/contract/test_ledger.py). Every index is
computed from the saved states when asked for; nothing else is kept that could drift.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from marea.clock import Clock
from marea.errors import LedgerUnavailable
from marea.lifecycle.state import IN_BROKER_PHASES, OPEN_PHASES, JobState, Phase, WorkerBeat
from marea.messages.job import Priority
from marea.messages.notification import Notification
from marea.messages.record import TERMINAL_STATES
from marea.results.codec import Row, decode_notification, dump_json, encode_notification
from marea.results.demand import Demand, PoolDemand, Served, Started, kind_of, ran_s
from marea.results.index import Position, cursor_at, lane, parse_cursor, placement
from marea.results.ledger import JobPage, OpenCount
from marea.scaling.service_times import Kind

WATCH_BACKLOG = 10_000
"""Unread states after which a watcher is cut off, about what Redis' own limit of 8 MB for a
slow subscriber comes to."""


class MemoryLedger:
    """The `Ledger` port on dicts under one lock. Never raises `LedgerUnavailable`, except to a
    watcher that fell behind."""

    def __init__(self, clock: Clock, retention_s: float = 7 * 86400.0) -> None:
        self._clock = clock
        self._retention_s = retention_s
        self._lock = threading.RLock()
        # Grouped by phase only so that asking for due jobs does not walk a week of done ones.
        self._rows: dict[Phase, dict[str, Row]] = {
            phase: {} for phase in (*OPEN_PHASES, *TERMINAL_STATES)
        }
        self._phase_of: dict[str, Phase] = {}
        self._started: dict[tuple[str, Priority], float] = {}
        self._arrived: Counter[str] = Counter()
        self._served: dict[str, dict[Kind, Served]] = {}
        self._workers: dict[str, WorkerBeat] = {}
        self._drains: dict[str, float] = {}
        self._outbox: dict[str, str] = {}
        self._due: dict[str, float] = {}
        self._values: dict[str, tuple[str, float | None]] = {}
        self._notes: dict[str, deque[str]] = {}
        self._watchers: WeakSet[queue.Queue[JobState | None]] = WeakSet()

    # job states

    def load(self, job_id: str) -> JobState | None:
        with self._lock:
            row = self._row(job_id)
            return row.state if row else None

    def load_many(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        with self._lock:
            rows = {job_id: self._row(job_id) for job_id in job_ids}
            return {job_id: row.state for job_id, row in rows.items() if row}

    def load_with_tenants(
        self, job_ids: Sequence[str], tenants: Sequence[str]
    ) -> tuple[dict[str, JobState], dict[str, int]]:
        return self.load_many(job_ids), self.tenants_in_broker(tenants)

    def save(self, state: JobState, notifications: Sequence[Notification] = ()) -> JobState | None:
        job_id = state.job.id
        for notification in notifications:
            encode_notification(notification)  # all or nothing: what is no JSON fails here
        with self._lock:
            row = self._row(job_id)
            if (row.state.rev if row else 0) != state.rev:
                return None
            saved = state.but(rev=state.rev + 1)
            expires_at = self._clock.now() + self._retention_s if saved.is_terminal else None
            self._count(row.state if row else None, saved)
            self._discard(job_id)
            self._rows[saved.phase][job_id] = Row(saved, expires_at)
            self._phase_of[job_id] = saved.phase
            if saved.phase == "running":
                known = self._started.get(lane(saved), 0.0)
                self._started[lane(saved)] = max(known, saved.published_at)
            if saved.is_terminal:
                self._trim(saved.phase)
            for notification in notifications:
                self.outbox_save(notification)
            self._announce(saved)
            return saved

    def save_many(self, states: Sequence[JobState]) -> list[JobState | None]:
        return [self.save(state) for state in states]

    # indexes

    def due(self, now: float, limit: int) -> list[str]:
        return [p.job_id for p in self._ascending("delayed") if p.score <= now][:limit]

    def verdicts(self, limit: int) -> list[str]:
        return [p.job_id for p in self._ascending("verdict")][:limit]

    def queued(
        self, pool: str, priority: Priority, *, published_before: float, limit: int
    ) -> list[str]:
        positions = self._ascending("queued", lane_of=(pool, priority))
        return [p.job_id for p in positions if p.score < published_before][:limit]

    def accepted(self, *, updated_before: float, limit: int) -> list[str]:
        return [p.job_id for p in self._ascending("accepted") if p.score < updated_before][:limit]

    def running(self) -> Mapping[str, str]:
        with self._lock:
            return {job_id: row.state.owner for job_id, row in self._rows["running"].items()}

    def open_counts(self) -> Mapping[tuple[str, Priority], OpenCount]:
        with self._lock:
            queued = Counter(lane(row.state) for row in self._rows["queued"].values())
            running = Counter(lane(row.state) for row in self._rows["running"].values())
        return {key: OpenCount(queued[key], running[key]) for key in queued.keys() | running.keys()}

    def demand(self) -> Demand:
        with self._lock:
            queued: dict[str, list[JobState]] = {}
            for row in self._rows["queued"].values():
                queued.setdefault(lane(row.state)[0], []).append(row.state)
            running: dict[str, list[JobState]] = {}
            for row in self._rows["running"].values():
                running.setdefault(lane(row.state)[0], []).append(row.state)
            names = self._arrived.keys() | self._served.keys() | queued.keys() | running.keys()
            return {
                name: PoolDemand(
                    queued=Counter(kind_of(state) for state in queued.get(name, ())),
                    running=len(running.get(name, ())),
                    started=_starts(running.get(name, ())),
                    oldest_at=min((s.published_at for s in queued.get(name, ())), default=0.0),
                    arrived=self._arrived[name],
                    served=dict(self._served.get(name, {})),
                )
                for name in names
            }

    def last_started_publish(self, pool: str, priority: Priority) -> float:
        with self._lock:
            return self._started.get((pool, priority), 0.0)

    def phase_counts(self) -> Mapping[Phase, int]:
        with self._lock:
            return {phase: len(self._live(phase)) for phase in self._rows}

    def tenant_counts(self) -> Mapping[str, int]:
        with self._lock:
            rows = (row for phase in IN_BROKER_PHASES for row in self._rows[phase].values())
            return dict(Counter(row.state.job.tenant for row in rows))

    def tenants_in_broker(self, tenants: Sequence[str]) -> dict[str, int]:
        counts = self.tenant_counts()
        return {tenant: counts.get(tenant, 0) for tenant in tenants}

    def waiting_tenants(self) -> list[str]:
        with self._lock:
            return sorted({row.state.job.tenant for row in self._rows["waiting"].values()})

    def waiting(self, tenant: str, limit: int) -> list[str]:
        with self._lock:
            states = {job_id: row.state for job_id, row in self._rows["waiting"].items()}
        positions = self._ascending("waiting")
        return [p.job_id for p in positions if states[p.job_id].job.tenant == tenant][:limit]

    def page(
        self, *, phase: Phase | None = None, cursor: str | None = None, limit: int = 100
    ) -> JobPage:
        after = parse_cursor(cursor) if cursor else None
        with self._lock:
            rows = {
                job_id: row
                for each in ([phase] if phase else self._rows)
                for job_id, row in self._live(each).items()
            }
        positions = sorted(
            (
                Position(_score(row) if phase else row.state.created_at, job_id)
                for job_id, row in rows.items()
            ),
            reverse=True,
        )
        remaining = [p for p in positions if after is None or p < after]
        shown = remaining[:limit]
        return JobPage(
            states=tuple(rows[p.job_id].state for p in shown),
            cursor=cursor_at(shown[-1]) if len(remaining) > len(shown) and shown else None,
        )

    # workers

    def beat(self, beat: WorkerBeat) -> float:
        with self._lock:
            self._workers[beat.worker] = beat
            return self._drains.get(beat.worker, 0.0)

    def lease_drains(self, until: Mapping[str, float]) -> None:
        with self._lock:
            self._drains.update(until)

    def worker(self, worker: str, now: float) -> WorkerBeat | None:
        with self._lock:
            beat = self._workers.get(worker)
        return beat if beat is not None and now < beat.expires_at else None

    def workers(self, now: float) -> list[WorkerBeat]:
        with self._lock:
            live = [beat for beat in self._workers.values() if now < beat.expires_at]
        return sorted(live, key=lambda beat: beat.worker)

    def forget_worker(self, worker: str) -> None:
        with self._lock:
            self._workers.pop(worker, None)
            self._drains.pop(worker, None)

    # outbox

    def outbox_due(self, now: float, limit: int) -> list[Notification]:
        with self._lock:
            due = sorted((due_at, name) for name, due_at in self._due.items() if due_at <= now)
            return [decode_notification(self._outbox[name]) for _, name in due[:limit]]

    def outbox_save(self, notification: Notification) -> None:
        text = encode_notification(notification)
        with self._lock:
            self._outbox[notification.id] = text
            self._due[notification.id] = notification.due_at

    def outbox_remove(self, notification_id: str) -> None:
        with self._lock:
            self._outbox.pop(notification_id, None)
            self._due.pop(notification_id, None)

    # values and notes: kept as JSON, so that no caller shares a mutable object with another

    def value(self, name: str) -> Any | None:
        with self._lock:
            text, expires_at = self._values.get(name, ("null", None))
            if expires_at is not None and expires_at <= self._clock.now():
                del self._values[name]
                return None
            return json.loads(text)

    def set_value(self, name: str, value: Any, *, expires_s: float | None = None) -> None:
        expires_at = None if expires_s is None else self._clock.now() + expires_s
        with self._lock:
            self._values[name] = (dump_json(value), expires_at)

    def note(self, kind: str, entry: Mapping[str, Any], *, keep: int = 1000) -> None:
        text = dump_json(dict(entry))
        with self._lock:
            entries = self._notes.setdefault(kind, deque())
            entries.appendleft(text)
            while len(entries) > keep:
                entries.pop()

    def notes(self, kind: str, limit: int = 100) -> list[Mapping[str, Any]]:
        with self._lock:
            return [json.loads(text) for text in list(self._notes.get(kind, ()))[:limit]]

    # watching

    def watch(self, *, poll_s: float = 1.0) -> Iterator[JobState | None]:
        announced: queue.Queue[JobState | None] = queue.Queue(WATCH_BACKLOG)
        with self._lock:
            self._watchers.add(announced)
        return self._announced(announced, poll_s)

    def ping(self) -> None:
        return None

    def _announced(
        self, announced: queue.Queue[JobState | None], poll_s: float
    ) -> Iterator[JobState | None]:
        while True:
            try:
                yield announced.get(timeout=poll_s)
            except queue.Empty:
                with self._lock:
                    is_subscribed = announced in self._watchers
                if not is_subscribed:
                    raise LedgerUnavailable("the watcher fell behind; watch again") from None
                yield None

    def _count(self, before: JobState | None, saved: JobState) -> None:
        was_in = before.phase if before else None
        if saved.phase in IN_BROKER_PHASES and was_in not in IN_BROKER_PHASES:
            self._arrived[lane(saved)[0]] += 1
        seconds = ran_s(saved)
        if before is not None and was_in == "running" and seconds is not None:
            kinds = self._served.setdefault(lane(before)[0], {})
            known = kinds.get(kind_of(saved), Served(0, 0.0))
            kinds[kind_of(saved)] = Served(known.jobs + 1, known.seconds + seconds)

    def _announce(self, state: JobState) -> None:
        for announced in list(self._watchers):
            try:
                announced.put_nowait(state)
            except queue.Full:
                self._watchers.discard(announced)

    def _row(self, job_id: str) -> Row | None:
        phase = self._phase_of.get(job_id)
        if phase is None:
            return None
        row = self._rows[phase][job_id]
        return row if self._is_live(row) else None

    def _is_live(self, row: Row) -> bool:
        return row.expires_at is None or self._clock.now() < row.expires_at

    def _live(self, phase: Phase) -> dict[str, Row]:
        self._trim(phase)
        # Trimming stops at the first live row; a clock set back may have put dead ones behind.
        return {job_id: row for job_id, row in self._rows[phase].items() if self._is_live(row)}

    def _trim(self, phase: Phase) -> None:
        """Drop expired rows, oldest save first (dicts keep the order of insertion)."""
        rows = self._rows[phase]
        while rows and not self._is_live(rows[job_id := next(iter(rows))]):
            self._discard(job_id)

    def _discard(self, job_id: str) -> None:
        phase = self._phase_of.pop(job_id, None)
        if phase is not None:
            del self._rows[phase][job_id]

    def _ascending(
        self, phase: Phase, lane_of: tuple[str, Priority] | None = None
    ) -> list[Position]:
        with self._lock:
            return sorted(
                Position(_score(row), job_id)
                for job_id, row in self._rows[phase].items()
                if lane_of is None or lane(row.state) == lane_of
            )


def _starts(states: Sequence[JobState]) -> dict[Kind, Started]:
    by_kind: dict[Kind, list[float]] = {}
    for state in states:
        by_kind.setdefault(kind_of(state), []).append(state.started_at)
    return {kind: Started(len(at), sum(at) / len(at)) for kind, at in by_kind.items()}


def _score(row: Row) -> float:
    return placement(row.state, row.expires_at).score
