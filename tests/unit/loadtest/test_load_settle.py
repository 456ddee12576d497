"""Waiting for the last record, by listings alone."""

from __future__ import annotations

import time

import pytest
from load_servers import Answer, answering, closed_port

from loadtest.collect import StoreAddress, open_client
from loadtest.conduct.settle import wait_until_settled
from loadtest.evidence import expected_job_id
from loadtest.history import Expected, Operation
from loadtest.target import Target
from marea.storage.naming import record_key

KEY = "load/x/0001/tiny-000001.jpg"
UPLOAD = Operation(
    op="put", bucket="uploads", key=KEY, invoked_at=1.0, outcome="ok", etag="e",
    expected=(Expected("load/x/0001/tiny-000001_processed.jpg", "grayscale"),),
)  # fmt: skip
VERSIONS = (
    f"<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>{KEY}</Key>"
    "<VersionId>v1</VersionId><IsLatest>true</IsLatest></Version></ListVersionsResult>"
)


def records(*keys: str) -> Answer:
    rows = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    return Answer(200, body.encode())


def settled(url: str) -> tuple[float | None, list[int]]:
    """When it had settled, with no patience at all, and what was told."""
    store = StoreAddress(url, "key", "secret")
    told: list[int] = []
    found = wait_until_settled(
        open_client(store), Target(store), "load/x/", [UPLOAD], 0.0, told.append
    )
    return found, told


@pytest.mark.parametrize("with_record", [True, False])
def test_an_upload_is_over_when_its_record_is_listed(with_record: bool) -> None:
    job_id = expected_job_id("uploads", KEY, "v1", "grayscale")
    record = record_key(".marea/", "uploads", KEY, "grayscale", job_id)
    pages = {
        "/uploads": Answer(200, VERSIONS.encode()),
        "/results": records(*[record] * with_record),
    }
    before = time.time()
    with answering(pages) as url:
        found, told = settled(url)
    if with_record:
        assert found is not None
        assert before <= found <= time.time()
        assert told == [0]
    else:
        assert (found, told) == (None, [1])


def test_a_store_that_is_away_settles_nothing_and_tells_no_number() -> None:
    with closed_port() as url:
        assert settled(url) == (None, [])
