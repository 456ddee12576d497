"""Whether a run can begin: each obstacle a sentence, before the first upload."""

from __future__ import annotations

from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from loadtest.scenario import Load
from loadtest.target import Target

TIMEOUT_S = 5.0
ASKED_KEY = ".marea/loadtest"
"""Looked for, and not there: a bucket that may be listed answers that nothing is there."""


class NotReady(Exception):
    """The run cannot begin; the text says what is wrong and what to do."""


def check_target(client: Any, target: Target, load: Load) -> None:
    """Raises `NotReady`. Asks for nothing that the run itself does not ask for."""
    for bucket in (target.source_bucket, target.results_bucket):
        _check_bucket(client, target, bucket)
    if not target.gateway_url:
        if needed := sorted(load.gateway_ways):
            raise NotReady(
                f"this scenario uploads by {' and '.join(needed)}, which goes through the gateway,"
                " and no gateway is known: set LOADTEST_GATEWAY_URL and LOADTEST_API_TOKEN"
            )
        return
    _check_gateway(target, needs_token=bool(load.gateway_ways))


def _check_bucket(client: Any, target: Target, bucket: str) -> None:
    where = target.store.endpoint_url or "AWS"
    try:
        client.list_object_versions(Bucket=bucket, Prefix=ASKED_KEY, MaxKeys=1)
    except EndpointConnectionError as exc:
        raise NotReady(
            f"nothing answers at {where}: is the platform up, and is this address reached from"
            " here? (MAREA_STORE__ENDPOINT_URL)"
        ) from exc
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        raise NotReady(_bucket_sentence(code, bucket, where, exc)) from exc
    except BotoCoreError as exc:
        raise NotReady(f"the store at {where} cannot be asked: {exc}") from exc


def _bucket_sentence(code: str, bucket: str, where: str, exc: ClientError) -> str:
    if code in ("NoSuchBucket", "404"):
        return (
            f"there is no bucket {bucket!r} at {where}: make it, or name another by"
            " LOADTEST_SOURCE_BUCKET and LOADTEST_RESULTS_BUCKET"
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403"):
        return (
            f"the store at {where} does not let this key list {bucket!r} ({code}): check"
            " MAREA_STORE__ACCESS_KEY and MAREA_STORE__SECRET_KEY"
        )
    return f"the store at {where} does not list {bucket!r}: {exc}"


def _check_gateway(target: Target, *, needs_token: bool) -> None:
    headers = {"Authorization": f"Bearer {target.api_token}"} if target.api_token else {}
    try:
        answer = httpx.get(
            f"{target.gateway_url}/v1/jobs?limit=1", headers=headers, timeout=TIMEOUT_S
        )
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise NotReady(
            f"no gateway answers at {target.gateway_url} ({type(exc).__name__}): check"
            " LOADTEST_GATEWAY_URL"
        ) from exc
    if answer.status_code in (401, 403) and needs_token:
        raise NotReady(
            f"the gateway at {target.gateway_url} refuses the token ({answer.status_code}): set"
            " LOADTEST_API_TOKEN to one that may read and submit"
        )
    if answer.status_code >= 500:
        raise NotReady(
            f"the gateway at {target.gateway_url} is not ready: {answer.status_code}"
            f" {answer.text[:200]}"
        )
    if answer.status_code not in (200, 401, 403):
        raise NotReady(
            f"what answers at {target.gateway_url} is no gateway ({answer.status_code} to"
            " /v1/jobs): check LOADTEST_GATEWAY_URL"
        )
