"""Waiting for the results by listing alone, over a real S3 API (moto, in this process)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from loadtest.demo.corpus import CorpusFile
from loadtest.demo.watch import Ending, wait_for_endings
from loadtest.evidence import expected_job_id
from loadtest.history import Expected, Operation


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="results")
        yield client


def make_ending(key: str, outcome: Any = "ok", oracle: Any = "good") -> Ending:
    result = Expected(f"{key}_processed", "grayscale")
    expected = (result,) if oracle == "good" else ()
    pipeline = "" if oracle == "unrouted" else "grayscale"
    put = Operation("put", "uploads", key, 0.0, outcome, time.time(), "e", version_id="v1")
    return Ending(CorpusFile(key, b"x", oracle, pipeline, expected), put)


def put_record(s3: Any, key: str, **body: Any) -> None:
    job_id = expected_job_id("uploads", key, "v1", "grayscale")
    name = f".marea/records/uploads/{key}!grayscale.{job_id}"
    s3.put_object(Bucket="results", Key=name, Body=json.dumps(body).encode())


def wait(s3: Any, endings: list[Ending], timeout_s: float = 0.0) -> list[Ending]:
    return wait_for_endings(
        s3,
        "results",
        endings,
        timeout_s=timeout_s,
        progress=lambda _: None,
        is_alive=lambda: None,
    )


def test_reads_results_and_rejections(s3: Any) -> None:
    good, bad = make_ending("a"), make_ending("b", oracle="bad")
    ignored = make_ending("c", oracle="unrouted")
    s3.put_object(Bucket="results", Key="a_processed", Body=b"gray")
    put_record(s3, "a", state="done", code="")
    put_record(s3, "b", state="rejected", code="image-truncated", reason="cut off")
    assert wait(s3, [good, bad, ignored]) == []
    assert (good.state, good.results) == ("done", {"a_processed": b"gray"})
    assert (bad.state, bad.code, bad.reason) == ("rejected", "image-truncated", "cut off")
    assert ignored.state == "unrouted"
    assert good.took_s is not None


def test_names_what_is_late_and_why(s3: Any) -> None:
    absent, half, refused = make_ending("a"), make_ending("b"), make_ending("c", "failed")
    put_record(s3, "b", state="done", code="")
    assert wait(s3, [absent, half, refused]) == [absent, half]
    assert absent.problem == "no record; 0 of 1 results are there"
    assert half.problem == "recorded as done, but b_processed is missing"
    assert refused.problem == "the store refused the upload"


def test_goes_on_looking_until_the_result_is_there(s3: Any) -> None:
    ending = make_ending("a")

    def arrive() -> None:
        s3.put_object(Bucket="results", Key="a_processed", Body=b"gray")
        put_record(s3, "a", state="done", code="")

    late = wait_for_endings(
        s3, "results", [ending], timeout_s=30, progress=lambda _: None, is_alive=arrive
    )
    assert late == []
    assert ending.results


def test_gives_up_when_the_platform_has_died(s3: Any) -> None:
    def died() -> None:
        raise RuntimeError("marea up ended")

    with pytest.raises(RuntimeError, match="ended"):
        wait_for_endings(
            s3, "results", [make_ending("a")], timeout_s=30, progress=lambda _: None, is_alive=died
        )
