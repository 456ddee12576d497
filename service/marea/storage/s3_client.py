"""One boto3 client for S3, set up for what speaks like it, and without what small requests pay
for needlessly. `s3.py` keeps one for each process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from marea import __version__
from marea.errors import ConfigError
from marea.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_TRIES = 3
"""Of one request: the first and two more, 0-1 s and 0-2 s apart (botocore's standard mode).
Enough for a connection that an idle timeout closed or one SlowDown; what lasts longer is the
caller's to wait for. With both timeouts met each time a call ends within
3 x (connect + read timeout) + 3 s."""

MAX_CONNECTIONS = 50
"""Of one process: above the 40 threads that the gateway runs calls in."""

EXPECT_FROM_BYTES = 2**21
"""Bodies that wait for leave to be sent: as the AWS SDK for Java has it."""


def new_client(settings: StoreSettings, address: str | None) -> S3Client:
    """A client for `address` (None = AWS). Raises `ConfigError` for an address that is none."""
    from boto3.session import Session
    from botocore.config import Config
    from botocore.handlers import add_expect_header
    from botocore.session import get_session

    config = Config(
        signature_version="s3v4",
        # Bucket names in host names need a DNS entry each, which own stores do not have.
        s3={"addressing_style": "path"},
        # The CRC trailers that boto3 >= 1.36 adds by default break older S3-compatible stores.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": MAX_TRIES},
        max_pool_connections=MAX_CONNECTIONS,
        tcp_keepalive=True,
        # What is sent is typed here, and the long default of the agent is put together anew
        # for each request: together some 7 % of a small object's time in the client.
        parameter_validation=False,
        user_agent=f"Marea/{__version__}",
    )
    core = get_session()
    core.register_component("data_loader", _descriptions())
    core.get_component("response_parser_factory").set_parser_defaults(
        timestamp_parser=_parse_timestamp
    )
    try:
        # A session of its own: boto3's default session is not safe to share among threads.
        client: S3Client = Session(botocore_session=core).client(
            "s3",
            endpoint_url=address,
            region_name=settings.region,
            aws_access_key_id=settings.access_key or None,
            aws_secret_access_key=settings.secret_key.get_secret_value() or None,
            config=config,
        )
    except ValueError as exc:
        raise ConfigError([f"MAREA_STORE__ENDPOINT_URL: {exc}"]) from exc
    client.meta.events.register("before-parse.s3.ListObjectVersions", _keep_body)
    # botocore asks leave for every body, however small, and reads the answer byte by byte:
    # a round trip and 25 system calls a PUT.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    client.meta.events.register("before-call.s3.PutObject", _ask_leave_for_large)
    return client


@cache
def _descriptions() -> Any:
    """What botocore knows of S3: read once, for every client of the process and of its forks.

    They are only read. A client with its own takes 11 MB and 85 ms more (measured).
    """
    from botocore.session import get_session

    return get_session().get_component("data_loader")


def _ask_leave_for_large(params: dict[str, Any], **_: object) -> None:
    """`Expect: 100-continue`, so that a refused PUT costs no transfer, where it pays."""
    from botocore.utils import determine_content_length

    if (determine_content_length(params["body"]) or 0) >= EXPECT_FROM_BYTES:
        params["headers"]["Expect"] = "100-continue"


def _parse_timestamp(value: Any) -> datetime:
    """The two spellings that S3 uses, at a twentieth of the time that botocore's parser of
    everything takes; other ones are left to that."""
    with suppress(ValueError, TypeError):
        if value.endswith("GMT"):  # RFC 9110, in headers
            return parsedate_to_datetime(value)
        return datetime.fromisoformat(value)  # ISO 8601, in listings
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


def _keep_body(
    response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Put the XML beside boto3's reading of it, for `parse_versions`."""
    customized_response_dict["Listing"] = response_dict["body"]
