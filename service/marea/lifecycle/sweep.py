"""The comparison that makes promise 1 true: what the bucket lists against the records.

Two ordered listings are merged (`storage.merge`): a source version without a record, and
without an open row in the ledger, is work that no event or broker delivered. One request a
page, none an object, and memory for the rows that are pending only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from marea.lifecycle.accept import Planner, accept_jobs, plan_with_facts
from marea.lifecycle.effects import (
    HeadObject,
    ListObjects,
    ListVersions,
    LoadStates,
    ReadClock,
    Steps,
    ask,
)
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.pipelines.pipeline import Pipeline
from marea.routing.route import UploadFacts
from marea.storage.merge import RecordMerge
from marea.storage.naming import parse_record_key, records_prefix
from marea.storage.object_store import ListedObject, ListedVersion, VersionMarker


@dataclass(frozen=True, slots=True)
class SweepContext:
    """What a sweep compares with."""

    plan: Planner
    place: Place
    policy: Policy
    pipelines: Mapping[str, Pipeline]
    grace_s: float
    """Versions younger than this are left to their events."""
    page_size: int = 1000


@dataclass(slots=True)
class Sweep:
    """One sweep over one bucket (or a prefix of it), as far as it has come.

    It may go on from a marker, but then reads the records from their beginning: the stem of
    a later key's record may lie before the marker.
    """

    bucket: str
    merge: RecordMerge
    prefix: str = ""
    after: VersionMarker | None = None
    ended: bool = False
    versions: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    """Versions per class: recorded, in_flight, young, ignored, unrouted, missing."""
    accepted: int = 0
    """Missing jobs that are on their way now."""
    requests: int = 0
    """Listing requests made."""
    _names_after: str = ""
    _written_at: dict[str, float] = field(default_factory=dict)
    """Job id -> when its record was written; only where identities can come back."""

    def again(self) -> Sweep:
        """A sweep that goes on from the last page that this one finished."""
        merge = RecordMerge(self.merge.reserved_prefix, self.bucket)
        return replace(
            self, merge=merge, _names_after="", _written_at={}, classes=Counter(self.classes)
        )


WRITTEN_MAX = 50_000
"""Record times held at once; beyond it the oldest are forgotten, and not compared."""


def sweep_pages(sweep: Sweep, context: SweepContext, pages: int) -> Steps[bool]:
    """Go on with `sweep` for at most `pages` pages of its source bucket; whether it ended.

    If it raises, the merge is half fed: go on with `sweep.again()`.
    """
    base = records_prefix(context.place.reserved_prefix, sweep.bucket)
    for _ in range(pages):
        page = yield from ask(
            ListVersions(sweep.bucket, sweep.prefix, sweep.after, context.page_size)
        )
        sweep.requests += 1
        sweep.merge.add_rows(page.rows)
        keep_times = any(not row.ref.is_versioned for row in page.rows)
        while sweep.merge.needs_records():
            names = yield from ask(
                ListObjects(
                    context.place.results_bucket, base, sweep._names_after, context.page_size
                )
            )
            sweep.requests += 1
            sweep._names_after = names.next_after or ""
            sweep.merge.add_records(
                [row.key for row in names.rows], exhausted=names.next_after is None
            )
            if keep_times:
                _remember_times(sweep, names.rows)
            yield from _judge(sweep.merge.ready(), sweep, context)
        yield from _judge(sweep.merge.ready(), sweep, context)
        sweep.after = page.next
        if page.next is None:
            sweep.ended = True
            return True
    return False


def _remember_times(sweep: Sweep, rows: Sequence[ListedObject]) -> None:
    for row in rows:
        if (parsed := parse_record_key(row.key)) is not None:
            sweep._written_at[parsed[1]] = row.last_modified
    while len(sweep._written_at) > WRITTEN_MAX:
        del sweep._written_at[next(iter(sweep._written_at))]


def _judge(
    ready: Sequence[tuple[ListedVersion, frozenset[str]]], sweep: Sweep, context: SweepContext
) -> Steps[None]:
    now = yield from ask(ReadClock())
    wanted: dict[str, tuple[ListedVersion, Job]] = {}
    for row, recorded in ready:
        if row.is_delete_marker:
            continue
        sweep.versions += 1
        facts = UploadFacts(row.ref, row.last_modified)
        answer = context.plan(facts)
        if answer.outcome == "needs-facts":
            if answer.possible and all(job.id in recorded for job in answer.possible):
                sweep.classes["recorded"] += 1
                continue
            answer = yield from plan_with_facts(facts, context.plan)
        if answer.outcome != "routed":
            sweep.classes[answer.outcome] += 1
            continue
        missing = [job for job in answer.jobs if job.id not in recorded]
        missing += _came_back(row, answer.jobs, recorded, sweep)
        if not missing:
            sweep.classes["recorded"] += 1
        elif now - row.last_modified < context.grace_s:
            sweep.classes["young"] += 1
        else:
            wanted.update({job.id: (row, job) for job in missing})
    yield from _accept_missing(wanted, sweep, context)


def _came_back(
    row: ListedVersion, jobs: Sequence[Job], recorded: frozenset[str], sweep: Sweep
) -> list[Job]:
    """Without versions: jobs whose record is not younger than the content that is listed.

    The content was uploaded anew after the record was written, perhaps after other content
    (A→B→A), and no event said so. Both times are the store's; stores that tell whole seconds
    make the two equal now and then, which costs one more run.
    """
    if row.ref.is_versioned:
        return []
    return [
        job.in_mode("refresh", "sweep")
        for job in jobs
        if job.id in recorded and row.last_modified >= sweep._written_at.get(job.id, math.inf)
    ]


def _accept_missing(
    wanted: dict[str, tuple[ListedVersion, Job]], sweep: Sweep, context: SweepContext
) -> Steps[None]:
    if not wanted:
        return
    rows = yield from ask(LoadStates(tuple(wanted)))
    jobs: list[Job] = []
    for job_id, (_, job) in wanted.items():
        row = rows.get(job_id)
        if row is not None and not row.is_terminal:
            sweep.classes["in_flight"] += 1
        elif (
            row is not None
            and job.mode == "normal"
            and (yield from _has_record(row, context.place))
        ):
            sweep.classes["recorded"] += 1  # written after its page was listed
        else:
            sweep.classes["missing"] += 1
            jobs.append(
                replace(job, origin="sweep") if row is None else job.in_mode("refresh", "sweep")
            )
    confirmed = yield from accept_jobs(jobs, context.policy)
    sweep.accepted += sum(confirmed.values())


def _has_record(row: JobState, place: Place) -> Steps[bool]:
    head = yield from ask(HeadObject(place.results_bucket, place.record_key(row.job)))
    return head is not None
