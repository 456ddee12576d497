"""What became of an upload, read from the record that a worker wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loadtest.observe.endings import job_of
from loadtest.runs.data import Job
from marea.lifecycle.claim import owner_name
from marea.messages.objects import ObjectRef
from marea.messages.record import Record

BEGAN_AT = 1_780_000_000.0
KEY = "load/x/0001/tiny-000001.jpg"
RECORD = Record(
    job_id="0" * 32,
    state="done",
    ref=ObjectRef("uploads", KEY, "v1", "etag", 2048),
    pipeline="grayscale",
    attempts=2,
    started_at=BEGAN_AT + 5.0,
    finished_at=BEGAN_AT + 6.5,
    timings_s={"waited": 1.5, "fetch": 0.1},
    worker=owner_name("images@w1", "token"),
)


def read(record: Record | bytes, **asked: Any) -> Job | None:
    fields: dict[str, Any] = {
        "recorded_at": BEGAN_AT + 7.0,
        "uploaded": {(KEY, "v1"): BEGAN_AT + 3.0},
        "source_bucket": "uploads",
        "prefix": "load/x/",
        "began_at": BEGAN_AT,
        "calibration_prefix": "",
    }
    body = record if isinstance(record, bytes) else record.to_json()
    return job_of(body, **{**fields, **asked})


def test_a_record_tells_each_stage_in_seconds_of_the_run() -> None:
    job = read(RECORD)
    assert job is not None
    times = (job.uploaded_s, job.accepted_s, job.started_s, job.finished_s, job.recorded_s)
    assert times == (3.0, 3.5, 5.0, 6.5, 7.0)
    assert job.latency_s == 4.0
    assert (job.key, job.version_id, job.pipeline, job.pool) == (KEY, "v1", "grayscale", "images")
    assert (job.state, job.attempts, job.size_bytes) == ("done", 2, 2048)


def test_what_the_record_does_not_tell_of_waiting_is_not_known() -> None:
    job = read(replace(RECORD, timings_s={}))
    assert job is not None
    assert job.accepted_s is None
    assert job.started_s == 5.0


def test_a_job_that_never_started_has_no_time_of_its_start() -> None:
    job = read(replace(RECORD, state="superseded", started_at=0.0, worker=""))
    assert job is not None
    assert (job.accepted_s, job.started_s, job.finished_s) == (None, None, None)
    assert (job.state, job.pool, job.recorded_s) == ("superseded", "", 7.0)


def test_an_upload_that_is_listed_no_more_has_no_time() -> None:
    job = read(RECORD, uploaded={})
    assert job is not None
    assert job.uploaded_s is None
    assert job.latency_s is None


def test_a_bucket_without_versions_lists_its_one_version() -> None:
    plain = replace(RECORD, ref=replace(RECORD.ref, version_id=""))
    job = read(plain, uploaded={(KEY, ""): BEGAN_AT + 3.0})
    assert job is not None
    assert (job.version_id, job.uploaded_s) == ("", 3.0)


def test_what_was_uploaded_to_measure_the_pool_is_marked() -> None:
    measured = replace(RECORD, ref=replace(RECORD.ref, key="load/x/measured/1.jpg"))
    marks = [read(each, calibration_prefix="load/x/measured/") for each in (measured, RECORD)]
    assert [job and job.is_calibration for job in marks] == [True, False]


@pytest.mark.parametrize("asked", [{"prefix": "load/y/"}, {"source_bucket": "others"}])
def test_a_record_of_another_run_or_bucket_is_none_of_this_runs(asked: dict[str, str]) -> None:
    assert read(RECORD, **asked) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"no record", b"[]", b"null", b"{}", b"\xff\xfe", json.dumps({"ref": None}).encode()],
)
def test_what_is_no_record_is_no_job(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize("wrong", [{"state": "running"}, {"finished_at": "soon"}, {"ref": "a"}])
def test_a_record_that_says_what_no_record_says_is_no_job(wrong: dict[str, str]) -> None:
    body = {**json.loads(RECORD.to_json()), **wrong}
    assert read(json.dumps(body).encode()) is None
