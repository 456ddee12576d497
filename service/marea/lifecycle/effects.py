"""What a procedure may ask of the world. Each effect names the type of its reply.

`yield from ask(effect)` returns the reply, or raises what the port raised. Between any two
effects the process may die: that is the point of writing procedures this way.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.job import Job, Priority
from marea.messages.notification import Notification
from marea.messages.objects import ObjectRef
from marea.pipelines.pipeline import Produced, Source
from marea.storage.object_store import (
    ObjectBody,
    ObjectHead,
    ObjectPage,
    PutCondition,
    VersionMarker,
    VersionPage,
)

R = TypeVar("R")
T = TypeVar("T")


class Effect(Generic[R]):
    """Base of all effects; `R` is the reply."""

    __slots__ = ()


Steps = Generator[Effect[Any], Any, T]
"""A procedure that ends with a T."""


def ask(effect: Effect[R]) -> Generator[Effect[Any], Any, R]:
    """Yield one effect and return its reply, typed."""
    reply: R = yield effect
    return reply


# clock and ledger


@dataclass(frozen=True, slots=True)
class ReadClock(Effect[float]):
    pass


@dataclass(frozen=True, slots=True)
class LoadState(Effect[JobState | None]):
    job_id: str


@dataclass(frozen=True, slots=True)
class LoadStates(Effect[dict[str, JobState]]):
    """Many at once; absent ones are left out."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadWithTenants(Effect[tuple[dict[str, JobState], dict[str, int]]]):
    """`LoadStates` and `TenantLoads` in one round trip: what a job needs to be let in."""

    job_ids: tuple[str, ...]
    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SaveState(Effect[JobState | None]):
    """Compare-and-swap on `state.rev`. Replies the stored state (rev + 1), None = lost the race."""

    state: JobState
    notifications: tuple[Notification, ...] = ()
    """Put into the outbox by the same atomic write."""


@dataclass(frozen=True, slots=True)
class SaveStates(Effect[list[JobState | None]]):
    """Many independent compare-and-swaps in one round trip, replies in order."""

    states: tuple[JobState, ...]


@dataclass(frozen=True, slots=True)
class TenantLoads(Effect[dict[str, int]]):
    """Jobs in the broker (queued or running) per tenant, those named."""

    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadWorker(Effect[WorkerBeat | None]):
    """The worker's last beat if it is still live."""

    worker: str


@dataclass(frozen=True, slots=True)
class DueRows(Effect[list[str]]):
    """Ids of delayed rows with due_at <= now."""

    now: float
    limit: int


@dataclass(frozen=True, slots=True)
class VerdictRows(Effect[list[str]]):
    limit: int


@dataclass(frozen=True, slots=True)
class AcceptedRows(Effect[list[str]]):
    updated_before: float
    limit: int


@dataclass(frozen=True, slots=True)
class QueuedRows(Effect[list[str]]):
    pool: str
    priority: Priority
    published_before: float
    limit: int


@dataclass(frozen=True, slots=True)
class RunningRows(Effect[Mapping[str, str]]):
    """Job id -> owner."""


@dataclass(frozen=True, slots=True)
class WaitingTenants(Effect[list[str]]):
    pass


@dataclass(frozen=True, slots=True)
class WaitingRows(Effect[list[str]]):
    tenant: str
    limit: int


# broker


@dataclass(frozen=True, slots=True)
class Publish(Effect[None]):
    """Enqueue, confirmed by the broker. `quarantine` sends it to the quarantine queue."""

    job: Job
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class PublishMany(Effect[list[bool]]):
    """Enqueue a batch; replies per job whether the broker confirmed it.

    `quarantine` says per job whether it goes to the quarantine queue.
    """

    jobs: tuple[Job, ...]
    quarantine: tuple[bool, ...]


# store and pipeline


@dataclass(frozen=True, slots=True)
class FetchSource(Effect[ObjectBody]):
    ref: ObjectRef
    max_bytes: int


@dataclass(frozen=True, slots=True)
class HeadObject(Effect[ObjectHead | None]):
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class HeadVersion(Effect[ObjectHead | None]):
    """What HEAD tells of exactly this version; None if it is gone."""

    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class ReadTags(Effect[Mapping[str, str]]):
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class ReadObject(Effect[ObjectBody | None]):
    """The current content of a key; None if absent."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class PutObject(Effect[ObjectRef]):
    bucket: str
    key: str
    data: bytes
    content_type: str
    metadata: Mapping[str, str]
    condition: PutCondition


@dataclass(frozen=True, slots=True)
class DeleteObject(Effect[None]):
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class ListVersions(Effect[VersionPage]):
    bucket: str
    prefix: str
    after: VersionMarker | None
    limit: int


@dataclass(frozen=True, slots=True)
class ListObjects(Effect[ObjectPage]):
    bucket: str
    prefix: str
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class RunPipeline(Effect[Produced]):
    """Guards, then the pipeline's steps. Raises `PermanentError`."""

    pipeline: str
    source: Source
