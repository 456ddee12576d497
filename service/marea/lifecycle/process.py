"""One delivery of one job, from claim to acknowledgement.

    claim ─▶ fetch exactly that version ─▶ guards and steps ─▶ commit ─▶ record ─▶ ledger ─▶ ack
       └ not mine to run: drop, delay, quarantine, give up

Returning means: acknowledge the message. Trouble outside the job puts it into the delayed
set, uncharged; trouble with the ledger itself comes out as `LedgerUnavailable`, since
without the ledger nothing may be decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from marea.errors import (
    LedgerUnavailable,
    ObjectChanged,
    ObjectGone,
    PermanentError,
    TransientError,
)
from marea.lifecycle.claim import (
    Delay,
    Drop,
    GiveUp,
    Quarantine,
    Resume,
    Run,
    decide_claim,
    owner_worker,
)
from marea.lifecycle.commit import (
    JUST_READ_S,
    META_JOB,
    Committed,
    KeyTaken,
    Superseded,
    commit,
    is_current,
)
from marea.lifecycle.effects import (
    FetchSource,
    HeadObject,
    HeadVersion,
    LoadState,
    Publish,
    ReadClock,
    ReadWorker,
    RunPipeline,
    SaveState,
    Steps,
    ask,
)
from marea.lifecycle.finish import Ending, Place, finish
from marea.lifecycle.policy import Policy
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.messages.record import TerminalState
from marea.pipelines.pipeline import Pipeline, Source
from marea.storage.object_store import ObjectBody, ObjectHead


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What a delivery is processed with."""

    owner: str
    """`worker#token`, unique per delivery; see `claim.owner_name`."""
    in_quarantine: bool
    policy: Policy
    place: Place
    pipelines: Mapping[str, Pipeline]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the delivery; for logs and metrics, nobody acts on it."""

    event: TerminalState | str
    """A terminal state, or `dropped`, `delayed`, `quarantined`."""
    code: str = ""
    reason: str = ""


def process_job(job: Job, context: WorkContext) -> Steps[Outcome]:
    """Process one delivery of `job`. Raises `LedgerUnavailable` only."""
    claimed = yield from _claim(job, context)
    if isinstance(claimed, Outcome):
        return claimed
    try:
        ending = yield from _work(claimed.job, context)
        record = yield from finish(claimed, ending, context.place, owner_worker(context.owner))
    except LedgerUnavailable:
        raise
    except TransientError as exc:
        return (yield from _postpone(claimed, exc, context))
    return Outcome(record.state, record.code, record.reason)


def _claim(job: Job, context: WorkContext) -> Steps[JobState | Outcome]:
    """The row, claimed and charged; or what became of the delivery instead."""
    while True:
        now = yield from ask(ReadClock())
        row = yield from ask(LoadState(job.id))
        beat = None
        if row is not None and row.phase == "running" and row.owner != context.owner:
            beat = yield from ask(ReadWorker(owner_worker(row.owner)))
        decision = decide_claim(
            row,
            job,
            beat=beat,
            owner=context.owner,
            in_quarantine=context.in_quarantine,
            now=now,
            policy=context.policy,
        )
        match decision:
            case Drop(reason):
                return Outcome("dropped", reason=reason)
            case Resume(state):
                return state
            case GiveUp(state, code, reason):
                ending = Ending("dead", code, reason)
                try:
                    record = yield from finish(
                        state, ending, context.place, owner_worker(context.owner)
                    )
                except LedgerUnavailable:
                    raise
                except TransientError as exc:
                    return (yield from _postpone(state, exc, context, charged=False))
                return Outcome(record.state, record.code, record.reason)
            case Run(state):
                saved = yield from ask(SaveState(state))
                if saved is not None:
                    return saved
            case Delay(state):
                if (yield from ask(SaveState(state))) is not None:
                    return Outcome("delayed", reason="not before its time")
            case Quarantine(state):
                if (yield from ask(SaveState(state))) is not None:
                    # Lost between here and the publish: found by rule 6, like any message.
                    try:
                        yield from ask(Publish(state.job, quarantine=True))
                    except TransientError as exc:
                        return Outcome("quarantined", exc.code, str(exc))
                    return Outcome("quarantined", reason="it twice took a worker with it")


def _work(job: Job, context: WorkContext) -> Steps[Ending]:
    pipeline = context.pipelines.get(job.pipeline)
    if pipeline is None:
        # Declared elsewhere already, e.g. by a gateway that was upgraded first.
        raise TransientError(
            f"this worker knows no pipeline {job.pipeline!r}; `marea pipelines list` shows those"
            " that it does, and the job waits until one is declared",
            code="pipeline-unknown",
        )
    try:
        result_keys = pipeline.result_keys(job.ref.key)
    except PermanentError as exc:
        return Ending("rejected", exc.code, str(exc), digest=pipeline.digest)
    if any(key.startswith(context.place.reserved_prefix) for key in result_keys):
        return Ending(
            "rejected",
            "result-key-reserved",
            f"a result of it would lie under {context.place.reserved_prefix!r}, which is kept"
            " for records; use another key or result template",
            digest=pipeline.digest,
        )
    started = yield from ask(ReadClock())
    try:
        found = yield from _fetch(job, pipeline.max_bytes)
        if found is None:
            return Ending(
                "gone",
                "object-gone",
                "this version was removed from the source bucket before it was processed",
            )
        if isinstance(found, Superseded):
            return (yield from _superseded(job, found, pipeline, context))
        fetched = found.body
        got = yield from ask(ReadClock())
        produced = yield from ask(
            RunPipeline(
                job.pipeline,
                Source(fetched.data, job.ref.key, fetched.head.content_type, fetched.head.metadata),
            )
        )
    except PermanentError as exc:
        return Ending("rejected", exc.code, str(exc), digest=pipeline.digest)
    ran = yield from ask(ReadClock())
    try:
        result = yield from commit(
            job,
            produced.artifacts,
            pipeline.digest,
            context.place.results_bucket,
            just_read=found.is_current and ran - started < JUST_READ_S,
        )
    except PermanentError as exc:  # e.g. a result key that the store does not accept
        return Ending("rejected", exc.code, str(exc), digest=pipeline.digest)
    done = yield from ask(ReadClock())
    match result:
        case Superseded():
            return (yield from _superseded(job, result, pipeline, context))
        case KeyTaken(reason):
            return Ending(
                "rejected",
                "result-key-taken",
                reason + "; give one of the two another result template",
                digest=pipeline.digest,
            )
        case Committed(outputs):
            timings = {"fetch": got - started, "pipeline": ran - got, "commit": done - ran}
            timings.update(produced.timings_s)
            return Ending(
                "done",
                outputs=outputs,
                digest=pipeline.digest,
                details=dict(produced.details),
                timings_s=timings,
            )


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The bytes of a job's version, and whether they were the key's current content."""

    body: ObjectBody
    is_current: bool


def _fetch(job: Job, max_bytes: int) -> Steps[_Fetched | Superseded | None]:
    """The source, unless a newer content stands in its place; None if that version is gone.

    The current content is asked for, on the condition that it is this version's: one request
    both reads and finds out, and of a version that came too late no byte is read.
    """
    ref = job.ref
    if not ref.etag:  # the condition could not be put
        try:
            return _Fetched((yield from ask(FetchSource(ref, max_bytes))), is_current=False)
        except ObjectGone:
            return None
    try:
        body = yield from ask(FetchSource(replace(ref, version_id=""), max_bytes))
        if body.head.ref.identity == ref.identity:
            return _Fetched(body, is_current=True)
    except ObjectGone:
        if not ref.is_versioned:
            return None
    except ObjectChanged:
        pass
    current = yield from ask(HeadObject(ref.bucket, ref.key))
    try:
        if is_current(current, ref):  # it has come back since
            return _Fetched((yield from ask(FetchSource(ref, max_bytes))), is_current=False)
    except (ObjectGone, ObjectChanged) as exc:
        raise TransientError(f"{ref.key!r} keeps changing in the source bucket") from exc
    if ref.is_versioned and (yield from ask(HeadVersion(ref))) is None:
        return None
    return Superseded(current)


def _superseded(
    job: Job, superseded: Superseded, pipeline: Pipeline, context: WorkContext
) -> Steps[Ending]:
    """End an older version; if its artifact stands where the current version's belongs, put
    that right first, or a swap won by equal bytes would stay (commit.py, case d)."""
    current = superseded.current
    reason = (
        "a newer version of the key was uploaded"
        if current is not None
        else "the key was deleted from the source bucket"
    )
    ending = Ending("superseded", "superseded", reason, digest=pipeline.digest)
    if current is None:
        return ending
    shows_mine = superseded.replaced_newer
    if not shows_mine:
        for key in pipeline.result_keys(job.ref.key):
            head = yield from ask(HeadObject(context.place.results_bucket, key))
            shows_mine = shows_mine or (head is not None and head.metadata.get(META_JOB) == job.id)
    if shows_mine:
        yield from _render_current(job, current, pipeline, context)
    return ending


def _render_current(
    job: Job, current: ObjectHead | None, pipeline: Pipeline, context: WorkContext
) -> Steps[None]:
    """Render the current content in this job's place, without a record: its own job writes
    that, and adopts the artifacts. Follows the key until it stands still."""
    while current is not None:
        newest = Job(ref=current.ref, pipeline=job.pipeline, pool=job.pool)
        try:
            fetched = yield from ask(FetchSource(newest.ref, pipeline.max_bytes))
            produced = yield from ask(
                RunPipeline(
                    newest.pipeline,
                    Source(
                        fetched.data,
                        newest.ref.key,
                        fetched.head.content_type,
                        fetched.head.metadata,
                    ),
                )
            )
        except (ObjectGone, ObjectChanged):
            current = yield from ask(HeadObject(job.ref.bucket, job.ref.key))
            continue
        except PermanentError:
            return  # the newest content has no result; its own job says why
        result = yield from commit(
            newest, produced.artifacts, pipeline.digest, context.place.results_bucket
        )
        if not isinstance(result, Superseded):
            return
        current = result.current


def _postpone(
    claimed: JobState, trouble: TransientError, context: WorkContext, *, charged: bool = True
) -> Steps[Outcome]:
    """Give the claim back, uncharged, to be published again after a pause."""
    row: JobState | None = claimed
    while row is not None:
        now = yield from ask(ReadClock())
        deferrals = row.deferrals + 1
        saved = yield from ask(
            SaveState(
                row.but(
                    phase="delayed",
                    owner="",
                    attempts=row.attempts - (1 if charged else 0),
                    deferrals=deferrals,
                    due_at=now + context.policy.backoff_s(deferrals),
                    updated_at=now,
                    code=trouble.code,
                    reason=str(trouble),
                )
            )
        )
        if saved is not None:
            break
        row = yield from ask(LoadState(claimed.job.id))
        if row is None:
            # The ledger was lost: begin the row anew, so that the job is not.
            row = claimed.but(rev=0)
        elif row.owner != context.owner:
            break  # carried on, or ended, by somebody else
    return Outcome("delayed", trouble.code, str(trouble))
