"""The records' side of the verdict: does each name one upload that exists, truthfully, once?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from loadtest.evidence import RecordClaim, Verdict, expected_job_id
from loadtest.uploads import Upload, UploadId, Uploads

RECORDS_PREFIX = ".marea/records/"
SEPARATOR = "!"
"""A record's name, as documented: `<prefix><bucket>/<start of the key>!<pipeline>.<job id>`."""

STATES = ("done", "superseded", "rejected", "dead", "cancelled", "gone")


def index_records(
    records: Sequence[RecordClaim], uploads: Uploads, verdict: Verdict
) -> dict[UploadId, dict[str, RecordClaim]]:
    """The believable records by upload and pipeline; everything else becomes a finding."""
    claims: dict[UploadId, dict[str, RecordClaim]] = defaultdict(dict)
    for record in records:
        owner = _named_upload(record)
        if owner is None:
            verdict.add("wrong", record.name, "", "the record cannot be read")
            continue
        upload_id, pipeline = owner
        key, identity = upload_id[1], upload_id[2]
        upload = uploads.find(upload_id)
        if upload is None:
            verdict.add("unexpected", key, identity, f"a record of no listed upload: {record.name}")
            continue
        if upload.oracle == "unrouted" or (upload.pipelines and pipeline not in upload.pipelines):
            verdict.add("unexpected", key, identity, f"{pipeline} should not have run on it")
            continue
        if problem := _untruth(record, upload, pipeline):
            verdict.add("wrong", key, identity, problem)
        if pipeline in claims[upload_id]:
            verdict.add("duplicated", key, identity, f"{pipeline} has more than one record")
            continue
        # Without versions a record is refreshed whenever its content may have come back.
        if upload.has_versions and record.stored_versions > uploads.times_uploaded(upload):
            reason = f"the record of {pipeline} was written {record.stored_versions} times"
            verdict.add("duplicated", key, identity, reason)
        claims[upload_id][pipeline] = record
    return claims


def _named_upload(record: RecordClaim) -> tuple[UploadId, str] | None:
    body = record.body
    if body is None or not isinstance(ref := body.get("ref"), dict):
        return None
    parts = (ref.get("bucket"), ref.get("key"), body.get("pipeline"))
    if not all(isinstance(part, str) and part for part in parts):
        return None
    bucket, key, pipeline = (str(part) for part in parts)
    identity = str(ref.get("version_id") or "") or f"etag:{ref.get('etag', '')}"
    return (bucket, key, identity), pipeline


def _untruth(record: RecordClaim, upload: Upload, pipeline: str) -> str:
    """What the record says that the listing contradicts; "" if nothing."""
    body = record.body or {}
    ref = body.get("ref") or {}
    job_id = expected_job_id(upload.bucket, upload.key, upload.identity, pipeline)
    if body.get("job_id") != job_id:
        return f"the record's job id is {body.get('job_id')!r}, not {job_id!r}"
    if not (
        record.name.startswith(f"{RECORDS_PREFIX}{upload.bucket}/")
        and record.name.endswith(f"{SEPARATOR}{pipeline}.{job_id}")
    ):
        return f"the record's name {record.name!r} belongs to another job"
    if body.get("state") not in STATES:
        return f"the record's state is {body.get('state')!r}"
    if ref.get("etag") and ref["etag"] != upload.etag:
        return f"the record is of content {ref['etag']}, the listing has {upload.etag}"
    if ref.get("size_bytes") and upload.size_bytes and ref["size_bytes"] != upload.size_bytes:
        return f"the record says {ref['size_bytes']} bytes, the listing {upload.size_bytes}"
    return ""
