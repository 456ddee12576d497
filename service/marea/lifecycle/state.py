"""What the ledger knows of a job, and of a worker.

            accept                publish confirmed           claim
    (none) ───────▶ accepted ───────────────────▶ queued ───────────────▶ running
                     │  ▲  └─▶ waiting (tenant quota) ▲                     │ │
                     │  │      delayed (not before,   │ released/due         │ │ record
                     │  └───── backoff) ──────────────┘◀────────────────────┘ ▼
                     └─────────────────────────────────────────▶ done, superseded, rejected,
       verdict: attempts are spent, the reconciler has yet to      dead, cancelled, gone
       write the record (a parent that lost its child writes no S3)

The record in the results bucket is the truth; this is its index and the claim on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from marea.messages.job import Job
from marea.messages.record import TERMINAL_STATES

Phase = Literal[
    "accepted",
    "waiting",
    "delayed",
    "queued",
    "running",
    "verdict",
    "done",
    "superseded",
    "rejected",
    "dead",
    "cancelled",
    "gone",
]
OPEN_PHASES: tuple[Phase, ...] = (
    "accepted",
    "waiting",
    "delayed",
    "queued",
    "running",
    "verdict",
)
IN_BROKER_PHASES: tuple[Phase, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class JobState:
    """One row of the ledger. `rev` is the compare-and-swap counter; 0 = not yet stored."""

    job: Job
    phase: Phase
    rev: int = 0
    attempts: int = 0
    """Starts charged to the job: one budget over child losses, crashes and time limits."""
    suspects: int = 0
    """Times the whole worker vanished while running it; uncharged, from the second on it
    runs alone in quarantine."""
    deferrals: int = 0
    """Consecutive uncharged postponements; only sets the backoff."""
    publishes: int = 0
    owner: str = ""
    """Worker that holds the claim, "" unless running."""
    created_at: float = 0.0
    published_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    due_at: float = 0.0
    """When a delayed job may be published."""
    updated_at: float = 0.0
    code: str = ""
    reason: str = ""

    @property
    def is_terminal(self) -> bool:
        return self.phase in TERMINAL_STATES

    @property
    def is_quarantined(self) -> bool:
        return self.suspects >= 2  # design rule 9: "from the second time it runs alone"

    def but(self, **changes: Any) -> JobState:
        """A copy with `changes`."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class WorkerBeat:
    """A worker process's sign of life. Live while `now < expires_at`."""

    worker: str
    pool: str
    slots: int
    expires_at: float
    active: tuple[str, ...] = field(default=())
    """Ids of the jobs that its children are running."""
    held: int = 0
    """Messages delivered to it and not yet acknowledged."""
    draining: bool = False
    """Told to end: it finishes what it runs."""
    obeys_until: float = 0.0
    """The end of the drain lease that it obeys, 0.0 if none. It tells an answer to the present
    lease from one to a lease that was lifted since."""
    started_at: float = 0.0

    @property
    def consuming(self) -> bool:
        """Whether it takes jobs."""
        return not self.draining and not self.obeys_until


def replica_of(worker: str) -> str:
    """The replica that a worker's start is of: `images@pod-1-3f2a1c` → `pod-1`."""
    return worker.partition("@")[2].rpartition("-")[0]
