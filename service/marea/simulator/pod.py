"""A pod of a pool: one worker process with its slots, and what it has taken from the broker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from marea.simulator.trace import Job


class Phase(StrEnum):
    PENDING = "pending"
    """No node yet."""
    STARTING = "starting"
    """On a node; not ready."""
    READY = "ready"
    TERMINATING = "terminating"
    """SIGTERM was sent: takes nothing more, finishes what runs, until the grace ends."""
    GONE = "gone"


@dataclass(eq=False, slots=True)
class Task:
    """A job on its way: queued, started (perhaps more than once), finished."""

    job: Job
    started_s: float | None = None
    """Of the run that counts: the last one."""
    first_started_s: float | None = None
    finished_s: float | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker last said of itself."""

    at_s: float
    busy: int
    consuming: bool


@dataclass(eq=False, slots=True)
class Pod:
    """`running` maps each task to its start; `reserved` are prefetched ones that wait."""

    number: int
    created_s: float
    slots: int
    prefetch: int
    """Unacknowledged messages that it may hold, running ones included."""
    tie: float
    """In [0, 1): decides where Kubernetes' order of victims leaves it open."""
    phase: Phase = Phase.PENDING
    ready_s: float | None = None
    cost: int = 0
    """`controller.kubernetes.io/pod-deletion-cost`."""
    consuming: bool = False
    running: dict[Task, float] = field(default_factory=dict)
    reserved: deque[Task] = field(default_factory=deque)
    beat: Beat | None = None

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    @property
    def unacked(self) -> int:
        return len(self.running) + len(self.reserved)

    @property
    def is_hungry(self) -> bool:
        return self.consuming and self.phase is Phase.READY and self.unacked < self.prefetch

    @property
    def is_idle(self) -> bool:
        return not self.running and not self.reserved
