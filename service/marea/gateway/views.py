"""What clients read and write, as OpenAPI shows it. Times are ISO-8601 UTC, sizes bytes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from marea.clock import to_iso
from marea.gateway.http_errors import printable
from marea.lifecycle.state import JobState
from marea.messages.record import Record


class Body(BaseModel):
    """A request: unknown fields are refused, a misspelt one must not be lost."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class View(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class SubmitBody(Body):
    """A job of the client's choice, over an object that is in a source bucket."""

    bucket: str | None = Field(default=None, max_length=255)
    """Needed where there are several source buckets."""
    key: str = Field(min_length=1, max_length=1024)
    version_id: str = Field(default="", max_length=1024)
    """Empty = the current content."""
    pipeline: str = Field(max_length=40)
    priority: Literal["high", "normal"] = "normal"
    not_before: str | float | None = None
    """ISO-8601, or seconds since the epoch; none = at once."""
    tenant: str | None = Field(default=None, max_length=200)
    """None = the first path segment of the key."""


class UploadBody(Body):
    """Asks for a form to upload one file by."""

    bucket: str | None = Field(default=None, max_length=255)
    """Needed where there are several source buckets."""
    key: str = Field(min_length=1, max_length=1024)
    content_type: str | None = Field(default=None, max_length=255)
    metadata: dict[str, str] = Field(default_factory=dict, max_length=50)
    """User metadata, printable ASCII, at most 2 KB together."""
    max_bytes: int | None = Field(default=None, ge=1)
    """At most MAREA_GATEWAY__UPLOAD_MAX_BYTES, the default."""


class OutputView(View):
    bucket: str
    key: str
    etag: str
    size_bytes: int
    content_type: str
    sha256: str
    width_px: int | None = None
    height_px: int | None = None
    role: str = ""


class RecordView(View):
    """The terminal record, from the results bucket."""

    state: str
    code: str
    reason: str
    digest: str
    attempts: int
    started_at: str | None
    finished_at: str | None
    worker: str
    timings_s: dict[str, float]
    outputs: list[OutputView]
    details: dict[str, Any]


class JobView(View):
    """A job as the ledger knows it; `record` is there once it has ended."""

    id: str
    phase: str
    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int
    pipeline: str
    pool: str
    priority: str
    tenant: str
    route: str
    mode: str
    origin: str
    attempts: int
    code: str
    reason: str
    worker: str
    created_at: str | None
    published_at: str | None
    started_at: str | None
    finished_at: str | None
    due_at: str | None
    updated_at: str | None
    record: RecordView | None = None
    record_problem: str | None = None
    """Why the record could not be read, if it could not."""


class JobPageView(View):
    jobs: list[JobView]
    cursor: str | None
    """Give it back to go on; none at the end."""


class EventReport(View):
    """What became of a notification."""

    events: int
    """Uploads that it told of."""
    jobs: list[str]
    """Ids of the jobs that are on their way or have ended; the first 1,000."""
    routed: int = 0
    unrouted: int = 0
    duplicates: int = 0
    """Uploads that were made sure of within the last minute; nothing is said of them again."""
    ignored: int = 0
    """Deletions and uploads that no rule is asked about."""
    problems: list[str] = []
    """Records that could not be read; they are noted in the ledger."""


class UploadFormView(View):
    """POST `fields` and then the file, as multipart/form-data, to `url`."""

    upload_id: str
    url: str
    fields: dict[str, str]
    expires_at: str
    max_bytes: int
    status_url: str


class UploadView(View):
    """What became of an upload by form."""

    upload_id: str
    status: Literal["waiting", "expired", "received"]
    bucket: str
    key: str
    version_id: str | None = None
    outcome: str | None = None
    """`routed`, `unrouted` or `ignored`, once received."""
    reason: str | None = None
    jobs: list[JobView] = []
    """Jobs that are known by now; the sweep finds what no event told of."""


class DecisionView(View):
    """How many replicas a pool needs, and why."""

    pool: str
    replicas: int | None
    """So many are needed; none = not known, which is not zero."""
    problem: str | None
    """Why `replicas` is not known, if it is not."""
    limiter: str
    """What the number hangs on: a code of docs/scaling.md."""
    reason: str
    decided_at: str
    age_s: float
    before: int | None
    """The scale as it was read."""
    applied: int | None
    """The scale as it was left, by a step towards `replicas`."""
    inputs: dict[str, Any]
    """What was read, and the pool's target."""
    bounds: dict[str, float]
    """Each term of the formula, in replicas (`horizon_s` in seconds)."""


class ScalingView(View):
    """The last decisions, by pool."""

    mode: str
    """`builtin`: Marea sets the scales; `keda`, `hpa`: that scaler does; `none`: nobody."""
    decided_at: str
    age_s: float
    pools: dict[str, DecisionView]


class PastDecisionsView(View):
    pool: str
    decisions: list[DecisionView]


class PartView(View):
    ready: bool
    reason: str = ""


class ReadyView(View):
    ready: bool
    parts: dict[str, PartView]


class AliveView(View):
    alive: Literal[True] = True


class ErrorBody(View):
    code: str
    message: str
    problems: list[str] = []


class ErrorView(View):
    error: ErrorBody


def job_view(state: JobState, record: Record | None = None, problem: str | None = None) -> JobView:
    job = state.job
    return JobView(
        id=job.id,
        phase=state.phase,
        bucket=job.ref.bucket,
        key=printable(job.ref.key),
        version_id=job.ref.version_id,
        etag=job.ref.etag,
        size_bytes=job.ref.size_bytes,
        pipeline=job.pipeline,
        pool=job.pool,
        priority=job.priority,
        tenant=printable(job.tenant),
        route=job.route,
        mode=job.mode,
        origin=job.origin,
        attempts=state.attempts,
        code=state.code,
        reason=printable(state.reason),
        worker=state.owner,
        created_at=_time(state.created_at),
        published_at=_time(state.published_at),
        started_at=_time(state.started_at),
        finished_at=_time(state.finished_at),
        due_at=_time(state.due_at),
        updated_at=_time(state.updated_at),
        record=record_view(record) if record is not None else None,
        record_problem=problem,
    )


def record_view(record: Record) -> RecordView:
    return RecordView(
        state=record.state,
        code=record.code,
        reason=printable(record.reason),
        digest=record.digest,
        attempts=record.attempts,
        started_at=_time(record.started_at),
        finished_at=_time(record.finished_at),
        worker=record.worker,
        timings_s=dict(record.timings_s),
        outputs=[
            OutputView(
                bucket=output.bucket,
                key=printable(output.key),
                etag=output.etag,
                size_bytes=output.size_bytes,
                content_type=output.content_type,
                sha256=output.sha256,
                width_px=output.width_px,
                height_px=output.height_px,
                role=output.role,
            )
            for output in record.outputs
        ],
        details=dict(record.details),
    )


def _time(seconds: float) -> str | None:
    return to_iso(seconds) if seconds else None
