"""One PUT, written into the history whatever becomes of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from loadtest.history import Expected, Operation, Oracle, Outcome

if TYPE_CHECKING:
    from loadtest.demo.corpus import CorpusFile
    from loadtest.files import LoadFile


class History(Protocol):
    """Where operations are written down, e.g. a `HistoryWriter`."""

    def record(self, operation: Operation) -> None: ...


def put_recorded(
    client: Any,
    history: History,
    bucket: str,
    key: str,
    body: bytes,
    *,
    content_type: str = "application/octet-stream",
    oracle: Oracle = "",
    pipelines: tuple[str, ...] = (),
    expected: tuple[Expected, ...] = (),
    complain: Callable[[str], None] | None = None,
) -> Operation:
    """Upload and record. Never raises what the store did: the outcome says it, and `complain` is
    told it in words.

    `failed` only where the store refused for certain (4xx); 5xx and no answer are `unknown`.
    """
    invoked_at = time.time()
    etag, version_id = etag_of(body), ""
    outcome: Outcome = "ok"
    try:
        answer = client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        etag = str(answer["ETag"]).strip('"')
        version_id = str(answer.get("VersionId") or "")
    except ClientError as exc:
        status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        outcome = "failed" if 400 <= status < 500 else "unknown"
        _tell(complain, exc)
    except BotoCoreError as exc:
        outcome = "unknown"
        _tell(complain, exc)
    operation = finished_put(
        bucket,
        key,
        body,
        invoked_at=invoked_at,
        outcome=outcome,
        etag=etag,
        version_id=version_id,
        oracle=oracle,
        pipelines=pipelines,
        expected=expected,
    )
    history.record(operation)
    return operation


def etag_of(body: bytes) -> str:
    """What a single upload's ETag is, to recognise one that got no answer. Not for security."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def finished_put(
    bucket: str,
    key: str,
    body: bytes,
    *,
    invoked_at: float,
    outcome: Outcome,
    etag: str,
    version_id: str,
    oracle: Oracle,
    pipelines: tuple[str, ...],
    expected: tuple[Expected, ...],
) -> Operation:
    """The operation of an upload that has just been answered, or given up."""
    return Operation(
        op="put",
        bucket=bucket,
        key=key,
        invoked_at=invoked_at,
        completed_at=None if outcome == "unknown" else time.time(),
        outcome=outcome,
        etag=etag,
        version_id="" if version_id == "null" else version_id,
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
        oracle=oracle,
        pipelines=pipelines,
        expected=expected,
    )


def _tell(complain: Callable[[str], None] | None, problem: Exception) -> None:
    if complain is not None:
        complain(f"store: {problem}"[:200])


def put_file(client: Any, history: History, bucket: str, file: CorpusFile) -> Operation:
    """As `put_recorded`, of a file that knows what must become of it."""
    return put_recorded(
        client,
        history,
        bucket,
        file.key,
        file.body,
        content_type=file.content_type,
        oracle=file.oracle,
        pipelines=(file.pipeline,) if file.pipeline else (),
        expected=file.expected,
    )


def put_load_file(
    client: Any,
    history: History,
    bucket: str,
    key: str,
    file: LoadFile,
    complain: Callable[[str], None] | None = None,
) -> Operation:
    """As `put_recorded`, of a file of a load."""
    return put_recorded(
        client,
        history,
        bucket,
        key,
        file.body,
        content_type=file.content_type,
        oracle=file.oracle,
        pipelines=file.pipelines,
        expected=file.expected,
        complain=complain,
    )
