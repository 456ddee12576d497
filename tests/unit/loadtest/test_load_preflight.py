"""What stands in a run's way is told in one sentence before the first upload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from load_servers import Answer, answering, closed_port

from loadtest.collect import StoreAddress, open_client
from loadtest.conduct.preflight import NotReady, check_target
from loadtest.scenario import Load
from loadtest.target import Target

NOTHING_LISTED = Answer(200, b"<ListVersionsResult><IsTruncated>false</IsTruncated>"
                             b"</ListVersionsResult>")  # fmt: skip
BUCKETS = {"/uploads": NOTHING_LISTED, "/results": NOTHING_LISTED}
JOBS = {"/v1/jobs": Answer(200, b'{"jobs": []}')}


def refused(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def load_of(**ways: float) -> Load:
    shape = {"name": "steady", "per_s": 1, "for_s": 1}
    return Load.model_validate({"about": "a test", "shape": shape, "ways": ways})


S3_ALONE = load_of(s3=1)
ALL_WAYS = load_of(s3=1, presigned=1, job=1)


def check(store_url: str, load: Load = S3_ALONE, **more: Any) -> None:
    store = StoreAddress(store_url, "key", "secret")
    check_target(open_client(store), Target(store, **more), load)


@contextmanager
def sentence() -> Iterator[list[str]]:
    """The obstacle that the block met, as one sentence."""
    told: list[str] = []
    with pytest.raises(NotReady) as caught:
        yield told
    told.append(str(caught.value))
    assert "\n" not in told[0]


def obstacle(pages: Mapping[str, Answer], load: Load = ALL_WAYS, **more: Any) -> tuple[str, str]:
    """(sentence, gateway's address) of a store in order and a gateway of these pages."""
    with answering(BUCKETS) as store, answering(pages) as gateway, sentence() as told:
        check(store, load, gateway_url=gateway, **more)
    return told[0], gateway


def test_a_store_and_a_gateway_in_order_are_no_obstacle() -> None:
    with answering(BUCKETS) as store, answering(JOBS) as gateway:
        check(store)
        check(store, ALL_WAYS, gateway_url=gateway, api_token="known")


def test_a_store_that_is_not_there_is_told_with_its_address_and_variable() -> None:
    with closed_port() as url, sentence() as told:
        check(url)
    assert told[0].startswith(f"nothing answers at {url}:")
    assert "MAREA_STORE__ENDPOINT_URL" in told[0]


@pytest.mark.parametrize("bucket", ["uploads", "results"])
def test_a_bucket_that_is_missing_is_told_by_name(bucket: str) -> None:
    pages = {**BUCKETS, f"/{bucket}": Answer(404, refused("NoSuchBucket"))}
    with answering(pages) as url, sentence() as told:
        check(url)
    assert told[0].startswith(f"there is no bucket {bucket!r} at {url}:")
    assert "LOADTEST_SOURCE_BUCKET" in told[0]
    assert "LOADTEST_RESULTS_BUCKET" in told[0]


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_a_key_that_may_not_list_is_told_with_its_variables(code: str) -> None:
    with answering({"*": Answer(403, refused(code))}) as url, sentence() as told:
        check(url)
    assert f"the store at {url} does not let this key list 'uploads' ({code})" in told[0]
    assert "MAREA_STORE__SECRET_KEY" in told[0]


def test_another_trouble_of_the_store_is_told_in_its_words() -> None:
    with answering({"*": Answer(400, refused("AuthorizationHeaderMalformed"))}) as url:
        with sentence() as told:
            check(url)
        assert told[0].startswith(f"the store at {url} does not list 'uploads': ")
    assert "AuthorizationHeaderMalformed" in told[0]


def test_without_a_gateway_only_uploads_straight_to_the_bucket_can_be_sent() -> None:
    with answering(BUCKETS) as store:
        check(store, load_of(s3=1, presigned=0))
        with sentence() as told:
            check(store, ALL_WAYS)
    assert told[0].startswith("this scenario uploads by job and presigned,")
    assert "LOADTEST_GATEWAY_URL" in told[0]
    assert "LOADTEST_API_TOKEN" in told[0]


def test_a_gateway_that_is_not_there_is_told_with_its_address_and_variable() -> None:
    with answering(BUCKETS) as store, closed_port() as gateway, sentence() as told:
        check(store, gateway_url=gateway)
    assert told[0].startswith(f"no gateway answers at {gateway} (ConnectError)")
    assert "LOADTEST_GATEWAY_URL" in told[0]


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "http://gateway:port", "gateway"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with answering(BUCKETS) as store, sentence() as told:
        check(store, gateway_url=url)
    assert told[0].startswith(f"no gateway answers at {url} (")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_told_with_its_variable(status: int) -> None:
    told, gateway = obstacle({"*": Answer(status)}, api_token="wrong")
    assert told.startswith(f"the gateway at {gateway} refuses the token ({status}):")
    assert "LOADTEST_API_TOKEN" in told
    assert "wrong" not in told


def test_who_needs_no_token_is_not_asked_for_one() -> None:
    with answering(BUCKETS) as store, answering({"*": Answer(401)}) as gateway:
        check(store, gateway_url=gateway)


def test_a_gateway_that_is_not_ready_is_told_in_its_words() -> None:
    told, gateway = obstacle({"*": Answer(503, b"the store is away")})
    assert told == f"the gateway at {gateway} is not ready: 503 the store is away"


def test_another_server_at_the_gateways_address_is_no_gateway() -> None:
    told, gateway = obstacle({})
    assert told.startswith(f"what answers at {gateway} is no gateway (404 to /v1/jobs)")
    assert "LOADTEST_GATEWAY_URL" in told
