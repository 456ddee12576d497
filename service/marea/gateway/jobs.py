"""/v1/jobs: submit, list, look up, cancel, replay."""

from __future__ import annotations

import math
import re
from typing import Annotated

from fastapi import Depends, Query, Response

from marea.clock import from_iso
from marea.errors import MareaError, ObjectGone
from marea.gateway.http_errors import Conflicting, InvalidRequest, NotKnown
from marea.gateway.limits import json_body
from marea.gateway.parts import Gateway, GatewayDependency
from marea.gateway.ports import Submission
from marea.gateway.stream import EventStream
from marea.gateway.views import JobPageView, JobView, SubmitBody, job_view
from marea.lifecycle.commands import REPLAYABLE
from marea.lifecycle.state import JobState, Phase
from marea.messages.objects import ObjectRef, normal_version_id
from marea.pipelines.catalog import UnknownPipeline

PAGE_MAX_JOBS = 500

_JOB_ID = re.compile(r"[0-9a-f]{32}\Z")

PhaseFilter = Annotated[Phase | None, Query(description="Only jobs of this phase.")]


def submit_job(
    gateway: GatewayDependency,
    body: Annotated[SubmitBody, Depends(json_body(SubmitBody))],
    response: Response,
) -> JobView:
    """Run a pipeline of the caller's choice over an object in a source bucket.

    202 once the job is surely on its way. The same object version and pipeline are the same
    job: if it has ended before, it is not run again, and 200 tells how it ended.
    """
    bucket = chosen_bucket(gateway, body.bucket)
    if body.pipeline not in gateway.ports.pipelines:
        known = ", ".join(gateway.ports.pipelines)
        raise UnknownPipeline([f"there is no pipeline {body.pipeline!r}; known are {known}"])
    tenant = body.tenant
    if tenant is None:
        first, slash, _ = body.key.partition("/")
        tenant = first if slash else ""
    state = gateway.ports.intake.submit(
        Submission(
            ref=_existing(gateway, bucket, body.key, body.version_id),
            pipeline=body.pipeline,
            priority=body.priority,
            not_before=_seconds(body.not_before),
            tenant=tenant,
        )
    )
    response.status_code = 200 if state.is_terminal else 202
    response.headers["Location"] = f"/v1/jobs/{state.job.id}"
    return view_with_record(gateway, state)


def list_jobs(
    gateway: GatewayDependency,
    phase: PhaseFilter = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_JOBS)] = 100,
) -> JobPageView:
    """Jobs, newest first; `phase=dead` is the dead-letter list."""
    page = gateway.ports.ledger.page(phase=phase, cursor=cursor, limit=limit)
    return JobPageView(jobs=[job_view(state) for state in page.states], cursor=page.cursor)


def get_job(gateway: GatewayDependency, job_id: str) -> JobView:
    """A job, and its terminal record once there is one."""
    return view_with_record(gateway, known_job(gateway, job_id))


def cancel_job(gateway: GatewayDependency, job_id: str) -> JobView:
    """End an open job. A job that ends first stays as it ended, which is a 409."""
    state = known_job(gateway, job_id)
    if not state.is_terminal:
        state = gateway.ports.intake.cancel(state)
    if state.phase != "cancelled":
        raise Conflicting(f"the job has ended already: {state.phase}", code="job-ended")
    return view_with_record(gateway, state)


def replay_job(gateway: GatewayDependency, job_id: str) -> JobView:
    """Run a dead, rejected or cancelled job again, with a fresh budget of attempts."""
    state = known_job(gateway, job_id)
    if not state.is_terminal:
        raise Conflicting(f"the job is still under way: {state.phase}", code="job-open")
    if state.phase not in REPLAYABLE:
        raise Conflicting(
            f"the job ended as {state.phase}; {', '.join(sorted(REPLAYABLE))} can be replayed",
            code="job-not-replayable",
        )
    return job_view(gateway.ports.intake.replay(state))


async def stream_jobs(
    gateway: GatewayDependency,
    phase: PhaseFilter = None,
    job_id: Annotated[str | None, Query(max_length=32)] = None,
) -> EventStream:
    """Changes of jobs as server-sent events, from now on: `event: job`, data as GET shows it.

    `event: end` tells why the stream ends; connect again then, and load what matters.
    """
    gateway.streams.require_room()

    def wants(state: JobState) -> bool:
        return (phase is None or state.phase == phase) and (
            job_id is None or state.job.id == job_id
        )

    return EventStream(gateway.streams, wants)


def known_job(gateway: Gateway, job_id: str) -> JobState:
    """The ledger's row. Raises `NotKnown`."""
    state = gateway.ports.ledger.load(job_id) if _JOB_ID.match(job_id) else None
    if state is None:
        raise NotKnown(
            "the ledger has no such job; it keeps ended jobs for its retention only, their"
            " records stay in the results bucket",
            code="job-unknown",
        )
    return state


def chosen_bucket(gateway: Gateway, bucket: str | None) -> str:
    """A source bucket. Raises `InvalidRequest`."""
    buckets = sorted(gateway.ports.rules.source_buckets)
    if bucket is None and len(buckets) == 1:
        return buckets[0]
    if bucket is None or bucket not in buckets:
        raise InvalidRequest(
            f"bucket: must be one of the source buckets {', '.join(buckets)}", code="bucket-invalid"
        )
    return bucket


def _existing(gateway: Gateway, bucket: str, key: str, version_id: str) -> ObjectRef:
    version_id = normal_version_id(version_id)
    if gateway.ports.rules.reserved_prefix and key.startswith(gateway.ports.rules.reserved_prefix):
        raise InvalidRequest("key: keys under the reserved prefix are Marea's own")
    store = gateway.ports.store
    head = (
        store.head_version(ObjectRef(bucket, key, version_id))
        if version_id
        else store.head(bucket, key)
    )
    if head is None:
        version = f" version {version_id!r}" if version_id else ""
        raise ObjectGone(f"{bucket!r} has no object {key!r}{version}; upload it first")
    return head.ref


def _seconds(not_before: str | float | None) -> float:
    if not_before is None:
        return 0.0
    try:
        seconds = from_iso(not_before) if isinstance(not_before, str) else float(not_before)
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest(f"not_before: {not_before!r} is not ISO-8601") from exc
    # Later than the year 9999, no clock can spell it.
    if not math.isfinite(seconds) or not 0 <= seconds < 253_402_300_800:
        raise InvalidRequest(f"not_before: {not_before!r} is out of range")
    return seconds


def view_with_record(gateway: Gateway, state: JobState) -> JobView:
    """A job as clients see it. While the store is away the ledger's part is shown, and why the
    record is not."""
    if not state.is_terminal:
        return job_view(state)
    try:
        return job_view(state, gateway.ports.intake.record(state.job))
    except MareaError as exc:
        return job_view(state, problem=f"{exc.code}: {exc}")
