"""How a job ends: the record first, then the ledger with its outbox (design rules 2 and 3).

The record's conditional PUT decides. Whoever loses it adopts what it says, so a job has one
ending however many workers, retries and cancellations race for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from marea.errors import PreconditionFailed
from marea.lifecycle.effects import (
    LoadState,
    PutObject,
    ReadClock,
    ReadObject,
    SaveState,
    Steps,
    ask,
)
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.notification import Notification
from marea.messages.record import Output, Record, TerminalState
from marea.storage.naming import record_key
from marea.storage.object_store import IF_ABSENT, if_etag

RETIRE_URL = "marea:retire"
"""Address of outbox entries that tell the reconciler to remove an artifact which a newer
digest of the pipeline no longer makes; workers have no delete right."""

RENDERS = "renders"
"""Name in a record's details: how often its outputs were written, if more than once (by
command, or because an old identity came back)."""

RECORD_ROUNDS = 20
"""Times a record may change or vanish between two of our steps; arbitrary."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where results and records go, and whom to tell."""

    results_bucket: str
    reserved_prefix: str
    notify_url: str = ""

    def record_key(self, job: Job) -> str:
        return record_key(self.reserved_prefix, job.ref.bucket, job.ref.key, job.pipeline, job.id)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a job came to, before its record is written."""

    state: TerminalState
    code: str = ""
    reason: str = ""
    outputs: tuple[Output, ...] = ()
    digest: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)


def finish(row: JobState, ending: Ending, place: Place, worker: str) -> Steps[Record]:
    """Write the record of `row.job`, or adopt the one that is there; then end the row.

    Content that was replaced or removed in a bucket without versions gets no record: it is
    listed no more, so nothing asks for one, and the same content may be uploaded again at
    any moment, when a record would say that it is over (A→B→A).
    """
    now = yield from ask(ReadClock())
    record = Record(
        job_id=row.job.id,
        state=ending.state,
        ref=row.job.ref,
        pipeline=row.job.pipeline,
        digest=ending.digest,
        code=ending.code,
        reason=ending.reason,
        outputs=ending.outputs,
        attempts=row.attempts,
        started_at=row.started_at,
        finished_at=now,
        timings_s={**_waited(row), **ending.timings_s},
        worker=worker,
        tenant=row.job.tenant,
        route=row.job.route,
        details=ending.details,
    )
    previous = None
    if row.job.ref.is_versioned or ending.state not in ("superseded", "gone"):
        previous, record = yield from write_record(record, row.job, place)
    yield from end_row(row, record, place, previous)
    return record


def _waited(row: JobState) -> dict[str, float]:
    """From being accepted to the start of the attempt that ended it; none if it never ran, or if
    the ledger had lost its row: the claim then made it anew, so that both times are the claim's.
    """
    if not (row.created_at and row.started_at) or row.created_at == row.started_at:
        return {}
    return {"waited": max(0.0, row.started_at - row.created_at)}


def write_record(record: Record, job: Job, place: Place) -> Steps[tuple[Record | None, Record]]:
    """The record that was replaced, if any, and the one that stands now."""
    key = place.record_key(job)
    condition = IF_ABSENT
    previous: Record | None = None
    for _ in range(RECORD_ROUNDS):
        try:
            yield from ask(
                PutObject(
                    place.results_bucket, key, record.to_json(), "application/json", {}, condition
                )
            )
        except PreconditionFailed:
            standing = yield from ask(ReadObject(place.results_bucket, key))
            if standing is None:
                condition = IF_ABSENT
                continue
            found = _readable(standing.data)
            if found is not None and not _may_replace(found, record, job):
                if job.mode == "normal":
                    return None, found
                # Written again as it is: a command's intent ends with a younger record.
                record, previous = found, None
            elif found == record:  # our own write, whose reply was lost
                return previous, record
            elif found is not None:
                previous = found
                renders = int(found.details.get(RENDERS, 1)) + 1
                record = replace(record, details={**record.details, RENDERS: renders})
            condition = if_etag(standing.head.ref.etag)
        else:
            return previous, record
    raise PreconditionFailed(f"the record {key!r} keeps changing while it is written")


def _readable(data: bytes) -> Record | None:
    """A record, or None for bytes that are none: those are replaced, never believed."""
    try:
        return Record.from_json(data)
    except ValueError:
        return None


def _may_replace(previous: Record, record: Record, job: Job) -> bool:
    """Whether a command, or an old identity that came back, lets `record` replace one.

    Without versions an identity comes back whenever old content is uploaded again (A→B→A).
    A finished result is never replaced by a lesser ending of the same version.
    """
    if job.mode == "normal" and (job.ref.is_versioned or previous.state == "cancelled"):
        return False
    return not (previous.state == "done" and record.state != "done")


def end_row(
    row: JobState, record: Record, place: Place, previous: Record | None = None
) -> Steps[None]:
    """Bring the ledger's row to the record's state. Lost races are asked again: the record
    is written, so whatever the row says now, this is how it ends."""
    notices = _notifications(record, place, previous)
    current: JobState | None = row
    while True:
        if current is None:
            current = row.but(rev=0)
        ended = current.but(
            phase=record.state,
            owner="",
            code=record.code,
            reason=record.reason,
            attempts=max(current.attempts, record.attempts),
            finished_at=record.finished_at,
            updated_at=record.finished_at,
            due_at=0.0,
        )
        saved = yield from ask(SaveState(ended, notices))
        if saved is not None:
            return
        current = yield from ask(LoadState(row.job.id))
        if current is not None and (current.is_terminal or current.job.mode != row.job.mode):
            return  # ended by another, or opened again by a command: not ours to end


def _notifications(
    record: Record, place: Place, previous: Record | None
) -> tuple[Notification, ...]:
    notices: list[Notification] = []
    if place.notify_url:
        notices.append(
            Notification(
                id=f"{record.job_id}:{record.state}:{int(record.finished_at * 1000)}",
                job_id=record.job_id,
                url=place.notify_url,
                body={
                    "job_id": record.job_id,
                    "state": record.state,
                    "code": record.code,
                    "reason": record.reason,
                    "bucket": record.ref.bucket,
                    "key": record.ref.key,
                    "version_id": record.ref.version_id,
                    "pipeline": record.pipeline,
                    "outputs": [
                        {
                            "bucket": o.bucket,
                            "key": o.key,
                            "size_bytes": o.size_bytes,
                            "content_type": o.content_type,
                        }
                        for o in record.outputs
                    ],
                },
                due_at=record.finished_at,
            )
        )
    if previous is not None and record.state == "done" and previous.digest != record.digest:
        kept = {output.key for output in record.outputs}
        notices.extend(
            Notification(
                id=f"retire:{record.job_id}:{output.key}",
                job_id=record.job_id,
                url=RETIRE_URL,
                body={"bucket": output.bucket, "key": output.key, "digest": previous.digest},
                due_at=record.finished_at,
            )
            for output in previous.outputs
            if output.key not in kept
        )
    return tuple(notices)
