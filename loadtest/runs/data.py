"""One load run as data: what was sent, what was seen meanwhile, and what became of each upload.

All times ending in `_s` are seconds since the beginning of the run, `Run.began_at`; before it
they are negative. None is *not known*, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["s3", "presigned", "job"]
"""How an upload comes: straight to the bucket, by a form of the gateway's, or straight and then
submitted with a pipeline of the client's choice."""

Outcome = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Send:
    """One arrival of the schedule, as its client saw it."""

    number: int
    due_s: float
    """When the schedule wanted it."""
    sent_s: float
    """When its first byte could go: later than due where all senders were busy."""
    done_s: float
    """When the store had answered."""
    way: Way
    key: str
    kind: str
    """Of file, e.g. `photo`."""
    size_bytes: int
    outcome: Outcome
    problem: str = ""
    """What went wrong, in the words of whoever refused."""

    @property
    def late_s(self) -> float:
        return self.sent_s - self.due_s


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the platform from outside. A pool that is not named was not seen."""

    at_s: float
    ready: Mapping[str, int] = field(default_factory=dict)
    """Messages that wait in the broker, by pool."""
    unacked: Mapping[str, int] = field(default_factory=dict)
    """Messages that some worker has and has not acknowledged, by pool."""
    wanted: Mapping[str, int] = field(default_factory=dict)
    """Replicas asked for, by pool."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    """Replicas that run and are ready, by pool."""
    slots: Mapping[str, int] = field(default_factory=dict)
    """Jobs that these replicas can do at once, by pool."""
    cpu: Mapping[str, float] = field(default_factory=dict)
    """Cores used since the last sample, by role: `gateway`, `reconciler`, `autoscaler`,
    `worker-<pool>`, `store`, `broker`, `kubernetes` (the cluster itself), `generator` (the load
    itself), `other`."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes (proportional set size, or a container's working set), by the same roles."""


State = Literal["done", "superseded", "rejected", "dead", "cancelled", "gone"]


@dataclass(frozen=True, slots=True)
class Job:
    """One job by its terminal record and the listings, without a word of its client."""

    job_id: str
    key: str
    version_id: str
    pipeline: str
    pool: str
    state: State
    size_bytes: int
    uploaded_s: float | None
    """The store's own time of the upload (`LastModified`)."""
    accepted_s: float | None
    """When the platform took it on, by the record."""
    started_s: float | None
    finished_s: float | None
    recorded_s: float | None
    """The store's own time of the record: from then on the result is there for certain."""
    worker: str = ""
    attempts: int = 1
    is_calibration: bool = False

    @property
    def latency_s(self) -> float | None:
        """From the upload to its result, by the store's own clock."""
        if self.uploaded_s is None or self.recorded_s is None:
            return None
        return self.recorded_s - self.uploaded_s


@dataclass(frozen=True, slots=True)
class Decision:
    """One change that the autoscaler made, in its own words."""

    at_s: float
    pool: str
    wanted: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """All of a run; `figures` and `limits` are made of the rest."""

    scenario: str
    about: str
    began_at: float
    """Seconds since the epoch, when the first upload was due."""
    ended_s: float
    """When the last look was taken."""
    load_ended_s: float
    """When the last upload of the schedule had been answered, or the load was broken off."""
    settled_s: float | None
    """When the last upload had its record, by the store; None if not all of them were seen."""
    partial: str = ""
    """Why the run is not whole, e.g. `interrupted after 12 s`; "" if it is."""
    shape: Mapping[str, Any] = field(default_factory=dict)
    """`name` and the settings of the schedule's shape."""
    target: Mapping[str, Any] = field(default_factory=dict)
    """What was loaded: `kind` (`marea up`, `cluster`, `address`), store, broker, pools, notes."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """`cpu_count`, `cpu_model`, `memory_bytes`, `python`, `commit`: of the load's own machine."""
    calibration: Mapping[str, float] = field(default_factory=dict)
    """What was measured before: `store_puts_per_s`, `steady_jobs_per_s`."""
    gateway: Mapping[str, float] = field(default_factory=dict)
    """What was read once at the end: `event_answers`, `event_answer_p99_s`, `restarts`."""
    command: str = ""
    """What made this run, to be repeated."""
    notes: tuple[str, ...] = ()
    """What could not be seen, and why, in sentences."""
    sends: tuple[Send, ...] = ()
    samples: tuple[Sample, ...] = ()
    jobs: tuple[Job, ...] = ()
    decisions: tuple[Decision, ...] = ()
    checker: Mapping[str, Any] = field(default_factory=dict)
    """Counts of the stand-alone checker: `valid`, `acknowledged`, `checked`, `lost`,
    `duplicated`, `wrong`, `unexpected`, `out_of_order`, `vanished`, `findings`."""
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """One line of a scenario's expectations, judged."""

    figure: str
    relation: Literal["at most", "at least"]
    bound: float
    value: float | None
    """None = the figure is not known, and the limit is not kept."""
    why: str
    """Where the bound comes from."""

    @property
    def is_kept(self) -> bool:
        if self.value is None:
            return False
        return self.value <= self.bound if self.relation == "at most" else self.value >= self.bound
