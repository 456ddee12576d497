"""From produced artifacts to the friendly keys, by compare-and-swap (design rules 3 and 4).

    (a) what stands under the friendly key?  assumed absent first: a conditional PUT finds
        out for the price of the write it would do anyway
    (b) is the source still the current content?         no ──▶ superseded
        not asked on the first try if the source was read as the current content a moment
        ago: what a newer version writes meanwhile makes (c) fail, and then it is asked
    (c) PUT each artifact on the condition read in (a)   404, 409, 412 ──▶ back to (a)
    (d) only where (c) replaced another version's result: (b) once more. The swap compares
        ETags, which are hashes of content; a result with the same bytes as the one that was
        read may have been written in between (A→B→A), so the swap can succeed for an
        older version. Then the newest version is rendered again here, at once.

A crash anywhere is repaired by running it again: an artifact that carries this job's id is
adopted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from marea.errors import CommitContended, PreconditionFailed
from marea.lifecycle.effects import HeadObject, PutObject, Steps, ask
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.messages.record import Output
from marea.pipelines.pipeline import Artifact
from marea.storage.object_store import IF_ABSENT, ObjectHead, PutCondition, if_etag

MAX_ROUNDS = 12
"""Swaps lost in a row before the job steps back with `commit-contended`; arbitrary, far
above what the simulation ever needs (4 with eight writers of one key)."""

JUST_READ_S = 2.0
"""How long a look at the source spares the next one. The looks differ only for a result that
somebody deletes within this time, together with the upload that would have replaced it; gut
feeling, above the time of most images and below that of a person."""

META_JOB, META_SOURCE, META_KEY = "marea-job", "marea-source", "marea-key-sha256"
META_PIPELINE, META_DIGEST = "marea-pipeline", "marea-digest"


@dataclass(frozen=True, slots=True)
class Committed:
    """Every artifact stands under its friendly key."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Superseded:
    """The source key shows another content by now (`current`; None: it was deleted)."""

    current: ObjectHead | None
    replaced_newer: bool = False
    """A swap of ours may have replaced a newer version's result (case d)."""


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """A friendly key belongs to another upload or pipeline (rule 12)."""

    reason: str


def artifact_metadata(job: Job, digest: str) -> dict[str, str]:
    """Whose artifact it is; ASCII only, the key as its hash (rule 12)."""
    return {
        META_JOB: job.id,
        META_SOURCE: job.ref.identity,
        META_KEY: key_hash(job.ref),
        META_PIPELINE: job.pipeline,
        META_DIGEST: digest,
    }


def key_hash(ref: ObjectRef) -> str:
    """SHA-256 of bucket and key: 64 hex digits."""
    text = f"{ref.bucket}\0{ref.key}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def is_current(head: ObjectHead | None, ref: ObjectRef) -> bool:
    """Whether `head`, the current content of the source key, is the version of `ref`."""
    return head is not None and head.ref.identity == ref.identity


def is_mine(head: ObjectHead | None, job: Job, digest: str) -> bool:
    """Whether the artifact under a friendly key is this job's, of this digest."""
    return (
        head is not None
        and head.metadata.get(META_JOB) == job.id
        and head.metadata.get(META_DIGEST) == digest
    )


def _obstacle(head: ObjectHead, job: Job) -> str:
    """Why the friendly key may not be replaced; "" if it may."""
    owner = head.metadata
    if META_JOB not in owner:
        return f"{head.ref.key!r} in the results bucket was not written by Marea"
    if owner.get(META_KEY) != key_hash(job.ref):
        return f"{head.ref.key!r} is already the result of another upload"
    if owner.get(META_PIPELINE) != job.pipeline:
        return f"{head.ref.key!r} is already a result of pipeline {owner.get(META_PIPELINE)!r}"
    return ""


def commit(
    job: Job,
    artifacts: Sequence[Artifact],
    digest: str,
    results_bucket: str,
    *,
    just_read: bool = False,
) -> Steps[Committed | Superseded | KeyTaken]:
    """Place `artifacts`. Raises `CommitContended` and whatever the store raises.

    `just_read`: the source was the current content within the last `JUST_READ_S`. Only the
    first round may rest on that, since it writes to absent keys alone.
    """
    conditions: dict[str, PutCondition] = {}
    placed: dict[str, Output] = {}
    replaced = False
    metadata = artifact_metadata(job, digest)
    for turn in range(MAX_ROUNDS):
        if turn or not just_read:
            current = yield from ask(HeadObject(job.ref.bucket, job.ref.key))
            if not is_current(current, job.ref):
                return Superseded(current, replaced_newer=replaced)
        lost_swap = False
        for artifact in artifacts:
            if artifact.key in placed:
                continue
            condition = conditions.get(artifact.key, IF_ABSENT)
            try:
                stored = yield from ask(
                    PutObject(
                        results_bucket,
                        artifact.key,
                        artifact.data,
                        artifact.content_type,
                        metadata,
                        condition,
                    )
                )
            except PreconditionFailed:
                head = yield from ask(HeadObject(results_bucket, artifact.key))
                if head is None:
                    conditions[artifact.key] = IF_ABSENT
                elif is_mine(head, job, digest):
                    placed[artifact.key] = _output(artifact, head.ref)
                    continue
                elif obstacle := _obstacle(head, job):
                    return KeyTaken(obstacle)
                else:
                    conditions[artifact.key] = if_etag(head.ref.etag)
                lost_swap = True
                break
            placed[artifact.key] = _output(artifact, stored)
            replaced = replaced or bool(condition.if_etag)
        if lost_swap:
            continue
        if replaced:
            current = yield from ask(HeadObject(job.ref.bucket, job.ref.key))
            if not is_current(current, job.ref):
                return Superseded(current, replaced_newer=True)
        return Committed(tuple(placed[artifact.key] for artifact in artifacts))
    raise CommitContended(
        f"the result of {job.ref.key!r} changed {MAX_ROUNDS} times while it was being written;"
        " trying again later"
    )


def _output(artifact: Artifact, stored: ObjectRef) -> Output:
    return Output(
        bucket=stored.bucket,
        key=artifact.key,
        etag=stored.etag,
        size_bytes=len(artifact.data),
        content_type=artifact.content_type,
        sha256=hashlib.sha256(artifact.data).hexdigest(),
        width_px=artifact.width_px,
        height_px=artifact.height_px,
        role=artifact.role,
    )
