"""Errors as HTTP: one table from error classes to statuses, one form of body.

    {"error": {"code": "job-unknown", "message": "…", "problems": […]}}

`code` is as stable as `marea.errors` says. Anything that is not raised on purpose is a 500
without details; the log has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from marea.errors import (
    ConfigError,
    MareaError,
    ObjectChanged,
    ObjectGone,
    PermanentError,
    PreconditionFailed,
    TransientError,
)
from marea.intake.bounded_json import MalformedJson
from marea.results.decisions import PoolUnknown

log = structlog.get_logger("marea.gateway")


class NotAuthentic(MareaError):
    """No token, or none that is known."""

    code = "not-authentic"


class NotAllowed(MareaError):
    """The token is known and lacks the scope."""

    code = "not-allowed"


class BodyTooLarge(MareaError):
    code = "body-too-large"


class BodyTooSlow(MareaError):
    code = "body-too-slow"


class InvalidRequest(MareaError):
    """What was asked for makes no sense; the sentence says which field."""

    code = "request-invalid"


class NotKnown(MareaError):
    """What the address names is not there."""

    code = "not-found"


class Conflicting(MareaError):
    """The job's state does not allow what was asked for."""

    code = "conflict"


class TooManyStreams(TransientError):
    code = "too-many-streams"


class TooManyEvents(TransientError):
    code = "too-many-events"


STATUSES: Mapping[type[Exception], int] = {
    NotAuthentic: 401,
    NotAllowed: 403,
    NotKnown: 404,
    PoolUnknown: 404,
    ObjectGone: 404,
    BodyTooSlow: 408,
    Conflicting: 409,
    ObjectChanged: 409,
    PreconditionFailed: 409,
    BodyTooLarge: 413,
    MalformedJson: 400,
    InvalidRequest: 422,
    PermanentError: 422,
    ConfigError: 422,  # a name that only this request uses, e.g. an unknown pipeline
    TransientError: 503,
    MareaError: 500,
}


def status_of(error: Exception) -> int:
    """The nearest class of the table decides."""
    return next((STATUSES[each] for each in type(error).__mro__ if each in STATUSES), 500)


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    problems: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The one form of an error."""
    error: dict[str, object] = {"code": code, "message": printable(message)}
    if problems:
        error["problems"] = [printable(problem) for problem in problems]
    return JSONResponse({"error": error}, status, dict(headers or {}))


def printable(text: str) -> str:
    """Text that UTF-8 can spell: keys of some stores are not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def install_error_handlers(app: FastAPI, retry_after_s: int) -> None:
    """Every error leaves `app` in the one form; 503 with `Retry-After`."""

    async def on_marea_error(_request: Request, exc: Exception) -> JSONResponse:
        status = status_of(exc)
        headers: dict[str, str] = {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if status == 503:
            headers["Retry-After"] = str(retry_after_s)
        code = getattr(exc, "code", MareaError.code)
        if status >= 500:
            log.warning("request failed", code=code, reason=str(exc))
        problems = exc.problems if isinstance(exc, ConfigError) else ()
        return error_response(status, code, str(exc), problems=problems, headers=headers)

    async def on_invalid(_request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, RequestValidationError)
        problems = problems_of(exc.errors())
        return error_response(422, InvalidRequest.code, "; ".join(problems), problems=problems)

    async def on_http(_request: Request, exc: Exception) -> JSONResponse:
        assert isinstance(exc, HTTPException)
        code = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "-")
        return error_response(exc.status_code, code, str(exc.detail), headers=exc.headers)

    async def on_anything(request: Request, exc: Exception) -> JSONResponse:
        log.error("unexpected error", path=request.url.path, exc_info=exc)
        return error_response(500, "internal-error", "an unexpected error; the log has it")

    app.add_exception_handler(MareaError, on_marea_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)


def problems_of(errors: Sequence[Mapping[str, object]]) -> list[str]:
    """Pydantic's errors as sentences that name the field."""
    sentences = []
    for error in errors:
        location = error.get("loc")
        path = [str(part) for part in location] if isinstance(location, tuple | list) else []
        name = ".".join(part for part in path if part not in ("body", "query", "path"))
        message = str(error.get("msg")).removeprefix("Value error, ")
        sentences.append(f"{name or 'the body'}: {message}")
    return sentences
