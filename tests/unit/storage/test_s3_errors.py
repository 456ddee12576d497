"""What each refusal of a store means: whose fault it is, and what to do."""

from __future__ import annotations

import pytest

from marea.errors import (
    MareaError,
    ObjectChanged,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
    TransientError,
)
from marea.storage.s3_errors import Refusal, Request, error_of_refusal

READ = Request("read", "s3:GetObject", "uploads", "k")
READ_VERSION = Request("read", "s3:GetObjectVersion", "uploads", "k", "v1")
WRITE = Request("write", "s3:PutObject", "results", "k")
SWAP = Request("write", "s3:PutObject", "results", "k", is_conditional=True)
LIST = Request("list", "s3:ListBucket", "results")
DELETE = Request("delete", "s3:DeleteObject", "results", "k")


@pytest.mark.parametrize(
    ("request_", "status", "code", "error"),
    [
        (READ, 404, "NoSuchKey", ObjectGone),
        (READ, 404, "404", ObjectGone),
        (READ_VERSION, 404, "NoSuchVersion", ObjectGone),
        (READ_VERSION, 405, "MethodNotAllowed", ObjectGone),
        (READ_VERSION, 400, "InvalidArgument", ObjectGone),
        (READ, 400, "InvalidArgument", StoreUnavailable),
        (READ, 412, "PreconditionFailed", ObjectChanged),
        (READ, 404, "NoSuchBucket", StoreUnavailable),
        (READ, 403, "AccessDenied", StoreUnavailable),
        (READ, 400, "KeyTooLongError", PermanentError),
        (READ, 503, "SlowDown", StoreUnavailable),
        (SWAP, 412, "PreconditionFailed", PreconditionFailed),
        (SWAP, 409, "ConditionalRequestConflict", PreconditionFailed),
        (SWAP, 404, "NoSuchKey", PreconditionFailed),
        (SWAP, 404, "NoSuchBucket", StoreUnavailable),
        (SWAP, 403, "AccessDenied", StoreUnavailable),
        (SWAP, 500, "InternalError", StoreUnavailable),
        (SWAP, 501, "NotImplemented", StoreUnavailable),
        (WRITE, 409, "OperationAborted", StoreUnavailable),
        (WRITE, 429, "TooManyRequests", StoreUnavailable),
        (WRITE, 507, "XMinioStorageFull", StoreUnavailable),
        (WRITE, 400, "XMinioInvalidObjectName", PermanentError),
        (DELETE, 404, "NoSuchKey", StoreUnavailable),
        (LIST, 404, "NoSuchBucket", StoreUnavailable),
        (LIST, 400, "InvalidAccessKeyId", StoreUnavailable),
        (LIST, 0, "", StoreUnavailable),
    ],
)
def test_a_refusal_becomes_the_error_that_callers_act_on(
    request_: Request, status: int, code: str, error: type[MareaError]
) -> None:
    assert type(error_of_refusal(request_, Refusal(status, code))) is error


def test_what_an_operator_can_mend_is_never_charged_to_the_upload() -> None:
    for status, code in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "ExpiredToken")]:
        for request in (READ, WRITE, SWAP, LIST, DELETE):
            assert isinstance(error_of_refusal(request, Refusal(status, code)), TransientError)


def test_a_forbidden_request_names_the_permission_and_the_bucket() -> None:
    sentence = str(error_of_refusal(SWAP, Refusal(403, "AccessDenied")))
    assert "s3:PutObject" in sentence
    assert "'results'" in sentence
    assert "s3:ListBucket" in str(error_of_refusal(READ, Refusal(403, "AccessDenied")))


def test_wrong_credentials_name_their_settings() -> None:
    for code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        assert "MAREA_STORE__SECRET_KEY" in str(error_of_refusal(LIST, Refusal(403, code)))


def test_a_missing_bucket_names_itself_and_its_settings() -> None:
    sentence = str(error_of_refusal(READ, Refusal(404, "NoSuchBucket")))
    assert "'uploads'" in sentence
    assert "MAREA_STORE__SOURCE_BUCKETS" in sentence


def test_a_refused_key_says_why_and_what_next() -> None:
    error = error_of_refusal(WRITE, Refusal(400, "XMinioInvalidObjectName", "unsupported"))
    assert error.code == "key-not-accepted"
    assert "unsupported" in str(error)
    assert "another name" in str(error)
