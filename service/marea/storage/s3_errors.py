"""What a store's refusal means to Marea. Pure: statuses and codes in, errors out.

Whatever an operator can mend (a permission, a bucket, the store itself) is `StoreUnavailable`:
it is tried again and never charged to a job. Only a key that the store can never hold is the
upload's own fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from marea.errors import (
    MareaError,
    ObjectChanged,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
)
from marea.storage.limits import KEY_NOT_ACCEPTED
from marea.storage.probing import HEADER_NOT_IMPLEMENTED, missing_bucket

_KEY_CODES = frozenset(
    {
        "KeyTooLongError",
        "InvalidURI",
        "InvalidObjectName",
        "XMinioInvalidObjectName",
        "XMinioInvalidResourceName",
        "XMinioObjectExistsAsDirectory",
        "XMinioParentIsObject",
    }
)

CREDENTIAL_CODES = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the store, as far as its error needs to tell."""

    verb: str
    """For the sentence: `read`, `write`, `list`…"""
    permission: str
    """The S3 action that the access key needs."""
    bucket: str
    key: str | None = None
    """None: the request is about the bucket."""
    version_id: str = ""
    is_conditional: bool = False
    """A PUT with If-Match or If-None-Match."""

    @property
    def target(self) -> str:
        return self.bucket if self.key is None else f"{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer other than success."""

    status: int
    code: str
    """S3's error code, e.g. `NoSuchKey`; the status where the answer had no body (HEAD)."""
    message: str = ""


def error_of_refusal(request: Request, refusal: Refusal) -> MareaError:
    """The error to raise for `refusal`."""
    code, status = refusal.code, refusal.status
    if code == "NoSuchBucket":
        return StoreUnavailable(missing_bucket(request.bucket))
    if code in _KEY_CODES:
        return PermanentError(
            f"The store does not take the key {request.key!r} ({code}: {refusal.message});"
            " upload it under another name.",
            code=KEY_NOT_ACCEPTED,
        )
    if status in (401, 403) or code in CREDENTIAL_CODES:
        return StoreUnavailable(_forbidden(request, refusal))
    if request.is_conditional and status in (404, 409, 412):
        return PreconditionFailed(
            f"{request.target} is not in the state that the write asked for ({code})."
        )
    if request.verb == "read" and _is_absent(request, refusal):
        return ObjectGone(f"{_version(request)} does not exist any more ({code}).")
    if request.verb == "read" and status == 412:
        return ObjectChanged(f"{request.target} now holds other content than the job names.")
    if status == 501:
        return StoreUnavailable(
            f"The store cannot {request.verb} {request.target}: not implemented"
            f" ({refusal.message}).",
            code=HEADER_NOT_IMPLEMENTED,
        )
    return StoreUnavailable(
        f"The store did not {request.verb} {request.target}: {status} {code}"
        f" {refusal.message}".rstrip()
    )


def _is_absent(request: Request, refusal: Refusal) -> bool:
    """No such key or version; or a delete marker (405); or no version id of this store (400)."""
    if refusal.status in (404, 405):
        return True
    return bool(request.version_id) and refusal.status == 400 and refusal.code == "InvalidArgument"


def _version(request: Request) -> str:
    version = f" version {request.version_id}" if request.version_id else ""
    return f"{request.target}{version}"


def _forbidden(request: Request, refusal: Refusal) -> str:
    if refusal.code in CREDENTIAL_CODES:
        return (
            f"The store does not accept the credentials ({refusal.code}): correct"
            " MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY."
        )
    hint = ""
    if request.permission in ("s3:GetObject", "s3:GetObjectVersion"):
        hint = " and s3:ListBucket, without which absent keys are answered like forbidden ones"
    return (
        f"The store forbids to {request.verb} {request.target} ({refusal.code}): give the access"
        f" key {request.permission} on the bucket {request.bucket!r}{hint}."
    )
