"""Bounds on what a client can make us hold: bytes of a body, time to send it, nesting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from marea.gateway.http_errors import BodyTooLarge, BodyTooSlow, InvalidRequest, problems_of
from marea.gateway.parts import GatewayDependency
from marea.intake.bounded_json import parse_json

BODY_TIMEOUT_S = 30.0
"""To send a whole body: 4 MiB at 140 kB/s. Slower clients hold memory for nothing."""

M = TypeVar("M", bound=BaseModel)


def json_body(model: type[M]) -> Callable[..., Awaitable[M]]:
    """A dependency that reads a `model`, its nesting measured before anything is built."""

    async def read(request: Request, gateway: GatewayDependency) -> M:
        body = await read_body(request, gateway.settings.max_body_bytes)
        value = parse_json(body, max_depth=gateway.settings.max_json_depth)
        try:
            return model.model_validate(value)
        except ValidationError as exc:
            raise InvalidRequest("; ".join(problems_of(exc.errors(include_context=False)))) from exc

    return read


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of a body that is read by `json_body`."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, if it is small and quick enough. Raises `BodyTooLarge`, `BodyTooSlow`."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise _too_large(max_bytes)
                chunks.append(chunk)
    except TimeoutError as exc:
        raise BodyTooSlow(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from exc
    return b"".join(chunks)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {max_bytes:,} bytes; send smaller batches")
