"""What the gateway is handed, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marea.clock import Clock
from marea.lifecycle.state import JobState
from marea.messages.job import Job, Priority
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.pipelines.pipeline import Pipeline
from marea.queues.publisher import Publisher
from marea.results.ledger import Ledger
from marea.routing.route import Plan, UploadFacts
from marea.routing.table import RouteTable
from marea.storage.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that a client chose. `not_before` is seconds since the epoch; 0 = at once."""

    ref: ObjectRef
    pipeline: str
    priority: Priority = "normal"
    not_before: float = 0.0
    tenant: str = ""


class Intake(Protocol):
    """How work enters; `lifecycle_intake.py` runs the lifecycle's procedures.

    Every method raises `TransientError` if it cannot promise what it was asked for.
    """

    def plan(self, facts: UploadFacts) -> Plan:
        """Route an upload; asks the store for what its event left unsaid and a rule needs."""
        ...

    def accept(self, jobs: Sequence[Job]) -> Mapping[str, bool]:
        """See to it that jobs get done; by id, whether that is sure. If not, they must be
        sent again."""
        ...

    def submit(self, submission: Submission) -> JobState:
        """The job's row once it is surely on its way, or has ended before."""
        ...

    def cancel(self, state: JobState) -> JobState:
        """End an open job; its row afterwards, which may say that it ended otherwise."""
        ...

    def replay(self, state: JobState) -> JobState:
        """Run an ended job again; its row once it is surely on its way."""
        ...

    def record(self, job: Job) -> Record | None:
        """The terminal record, if the job has ended."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """The world outside. Everything in it is used by many threads at once."""

    clock: Clock
    store: ObjectStore
    ledger: Ledger
    publisher: Publisher
    rules: RouteTable
    pipelines: Mapping[str, Pipeline]
    intake: Intake
