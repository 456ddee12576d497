"""What each process may do in the store: policies, in the language of AWS IAM. Pure.

Found by reading what `s3.py` is asked for and by running the platform under these users (a test
does). `marea store prepare` gives them to a MinIO; for other stores `marea store policies`
prints them. Nobody but the reconciler deletes, and it only in the results bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marea.storage.naming import intents_prefix, load_reports_prefix, probe_key

PROCESSES = ("gateway", "worker", "reconciler", "uploader", "loadtest")
"""Who has a user of its own. The uploader is no process: it stands for whoever uploads, and
for the test after an installation. The load test is an uploader that leaves a report."""

Document = dict[str, Any]

_READ_VERSIONS = ("s3:GetObject", "s3:GetObjectVersion")
_READ_TAGS = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging")
_LOOK = ("s3:ListBucket", "s3:GetBucketVersioning")
"""Without s3:ListBucket an object that is not there is answered like one that is forbidden."""
_LOOK_AT_VERSIONS = (*_LOOK, "s3:ListBucketVersions")
_LOCATE = ("s3:GetBucketLocation",)
"""Clients for people ask for it before anything else."""
_UPLOAD = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    # Clients upload large files in parts.
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)


def policy_documents(
    source_buckets: Sequence[str], results_bucket: str, reserved_prefix: str
) -> dict[str, Document]:
    """The policy of each of `PROCESSES`."""
    results = [results_bucket]
    probe = _statement(["s3:PutObject"], _arns(results, probe_key(reserved_prefix)))
    reports = _arns(results, f"{load_reports_prefix(reserved_prefix)}*")
    uploader = (
        _on_buckets([*source_buckets, results_bucket], (*_LOOK_AT_VERSIONS, *_LOCATE)),
        _on_objects(source_buckets, (*_READ_VERSIONS, *_READ_TAGS, *_UPLOAD)),
        _on_objects(results, _READ_VERSIONS),
    )
    return {
        "gateway": _document(
            _on_buckets(source_buckets, _LOOK_AT_VERSIONS),
            # PutObject is for the forms that it signs: they carry its own right.
            _on_objects(source_buckets, (*_READ_VERSIONS, *_READ_TAGS, "s3:PutObject")),
            _on_buckets(results, _LOOK),
            _on_objects(results, ("s3:GetObject",)),
            _statement(["s3:PutObject"], _arns(results, f"{intents_prefix(reserved_prefix)}*")),
            probe,
        ),
        "worker": _document(
            _on_buckets(source_buckets, _LOOK),
            _on_objects(source_buckets, _READ_VERSIONS),
            _on_buckets(results, _LOOK),
            _on_objects(results, ("s3:GetObject", "s3:PutObject")),
        ),
        "reconciler": _document(
            _on_buckets([*source_buckets, results_bucket], _LOOK_AT_VERSIONS),
            _on_objects(source_buckets, (*_READ_VERSIONS, *_READ_TAGS)),
            _on_objects(results, (*_READ_VERSIONS, "s3:PutObject", "s3:DeleteObject")),
        ),
        "uploader": _document(*uploader),
        "loadtest": _document(*uploader, _statement(["s3:PutObject"], reports)),
    }


def normal_document(document: Document) -> Document:
    """`document` so that two that mean the same are equal: stores order and write lists as
    they like."""
    statements = [
        {
            name: sorted(value) if isinstance(value, list) else [value]
            for name, value in statement.items()
            if name in ("Effect", "Action", "Resource", "Condition")
        }
        for statement in document.get("Statement", [])
    ]
    return {"Statement": sorted(statements, key=repr)}


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _on_buckets(buckets: Sequence[str], actions: Sequence[str]) -> Document:
    return _statement(actions, [_arn(bucket) for bucket in buckets])


def _on_objects(buckets: Sequence[str], actions: Sequence[str]) -> Document:
    return _statement(actions, _arns(buckets, "*"))


def _statement(actions: Sequence[str], resources: Sequence[str]) -> Document:
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}


def _arns(buckets: Sequence[str], keys: str) -> list[str]:
    return [f"{_arn(bucket)}/{keys}" for bucket in buckets]


def _arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"
