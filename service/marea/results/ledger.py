"""The ledger port. Every method raises `LedgerUnavailable` when the ledger does not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from marea.lifecycle.state import JobState, Phase, WorkerBeat
from marea.messages.job import Priority
from marea.messages.notification import Notification
from marea.results.demand import Demand


@dataclass(frozen=True, slots=True)
class OpenCount:
    """Jobs of one pool and priority that a broker should hold or a worker should run."""

    queued: int
    running: int


@dataclass(frozen=True, slots=True)
class JobPage:
    """Newest first. `cursor` goes into the next call; None at the end."""

    states: tuple[JobState, ...]
    cursor: str | None


class Ledger(Protocol):
    """Job states by compare-and-swap, their indexes, workers' beats, the outbox."""

    # job states
    def load(self, job_id: str) -> JobState | None: ...

    def load_many(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Those that exist, in one round trip."""
        ...

    def load_with_tenants(
        self, job_ids: Sequence[str], tenants: Sequence[str]
    ) -> tuple[dict[str, JobState], dict[str, int]]:
        """`load_many` and `tenants_in_broker` in one round trip; at least one of each."""
        ...

    def save(self, state: JobState, notifications: Sequence[Notification] = ()) -> JobState | None:
        """Store if the stored rev equals `state.rev` (0 = must be absent), atomically with
        every index and the outbox. Returns the state with rev + 1, or None if it lost.

        A terminal state expires after the retention given to the adapter; an open one never
        does. Each save is announced to `watch`.
        """
        ...

    def save_many(self, states: Sequence[JobState]) -> list[JobState | None]:
        """Independent compare-and-swaps in one round trip; replies in order."""
        ...

    # indexes (each follows from the saved states alone)
    def due(self, now: float, limit: int) -> list[str]:
        """Ids of delayed jobs with due_at <= now, earliest first."""
        ...

    def verdicts(self, limit: int) -> list[str]:
        """Ids of jobs in phase `verdict`."""
        ...

    def queued(
        self, pool: str, priority: Priority, *, published_before: float, limit: int
    ) -> list[str]:
        """Ids of jobs in phase `queued`, oldest publish first."""
        ...

    def accepted(self, *, updated_before: float, limit: int) -> list[str]:
        """Ids of jobs stuck in `accepted` (published, perhaps, but not marked), oldest first."""
        ...

    def running(self) -> Mapping[str, str]:
        """Job id -> owner, for every job in phase `running`."""
        ...

    def open_counts(self) -> Mapping[tuple[str, Priority], OpenCount]:
        """Per pool and priority; quarantined jobs count under the pool "quarantine"."""
        ...

    def last_started_publish(self, pool: str, priority: Priority) -> float:
        """The greatest `published_at` among jobs of the pool and priority that started; 0.0
        if none did. A queued job published well before it was overtaken (design rule 6)."""
        ...

    def demand(self) -> Demand:
        """What waits and what came, per pool, with how long jobs took; one round trip."""
        ...

    def phase_counts(self) -> Mapping[Phase, int]:
        """Jobs per phase; terminal phases count within retention only."""
        ...

    def tenant_counts(self) -> Mapping[str, int]:
        """Jobs in the broker (queued or running) per tenant."""
        ...

    def tenants_in_broker(self, tenants: Sequence[str]) -> dict[str, int]:
        """The same of those named, 0 for one without any, in one round trip."""
        ...

    def waiting_tenants(self) -> list[str]:
        """Tenants that have jobs in phase `waiting`."""
        ...

    def waiting(self, tenant: str, limit: int) -> list[str]:
        """Ids of a tenant's waiting jobs, oldest first."""
        ...

    def page(
        self, *, phase: Phase | None = None, cursor: str | None = None, limit: int = 100
    ) -> JobPage:
        """Jobs newest first, all or of one phase (`dead` is the dead-letter list)."""
        ...

    # workers
    def beat(self, beat: WorkerBeat) -> float:
        """Save it; returns the end of the worker's drain lease, 0.0 if it has none. A worker
        with one that has not ended takes no more jobs."""
        ...

    def lease_drains(self, until: Mapping[str, float]) -> None:
        """Set drain leases: worker -> end; 0.0 lifts one. Gone with the worker."""
        ...

    def worker(self, worker: str, now: float) -> WorkerBeat | None:
        """The last beat if `now < expires_at`."""
        ...

    def workers(self, now: float) -> list[WorkerBeat]:
        """All live workers."""
        ...

    def forget_worker(self, worker: str) -> None: ...

    # outbox
    def outbox_due(self, now: float, limit: int) -> list[Notification]: ...

    def outbox_save(self, notification: Notification) -> None:
        """Insert or reschedule by id."""
        ...

    def outbox_remove(self, notification_id: str) -> None: ...

    # small values of the processes: checkpoints, epoch, notes
    def value(self, name: str) -> Any | None:
        """A JSON value stored under `name`, or None."""
        ...

    def set_value(self, name: str, value: Any, *, expires_s: float | None = None) -> None: ...

    def note(self, kind: str, entry: Mapping[str, Any], *, keep: int = 1000) -> None:
        """Append to a bounded list, e.g. undecodable events, scaling decisions."""
        ...

    def notes(self, kind: str, limit: int = 100) -> list[Mapping[str, Any]]:
        """The latest entries, newest first."""
        ...

    def watch(self, *, poll_s: float = 1.0) -> Iterator[JobState | None]:
        """Job states as they are saved, from now on; None each `poll_s` without one."""
        ...

    def ping(self) -> None:
        """Raises `LedgerUnavailable` if it does not answer."""
        ...
