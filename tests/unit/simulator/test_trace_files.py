"""Traces from files: JSON lines of jobs, recorded histories, and what is refused how."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.history import HistoryWriter, Operation
from marea.errors import ConfigError
from marea.simulator import trace_files
from marea.simulator.trace import Job, PoolSpec
from marea.simulator.trace_files import parse_trace
from marea.simulator.traces import TRACES

POOL = PoolSpec(slots=2, max_replicas=9, drain_s=30.0)


def refusal(*lines: str, work_s: float | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_trace("jobs.jsonl", lines, POOL, work_s)
    return "\n".join(refused.value.problems)


def test_jobs_are_ordered_and_the_first_is_at_zero() -> None:
    trace = parse_trace(
        "jobs.jsonl",
        ['{"at": 1700000010, "work_s": 2, "key": "table"}', "", '{"at": 1700000004, "work_s": 1}'],
        POOL,
    )
    assert trace.jobs == (Job(0.0, 1.0), Job(6.0, 2.0, key="table"))
    assert trace.pools == (POOL,)


def test_every_pool_that_is_named_exists() -> None:
    lines = ['{"at": 0, "work_s": 1, "pool": "b"}', '{"at": 0, "work_s": 1, "pool": "a"}']
    pools = parse_trace("jobs.jsonl", lines, POOL).pools
    assert [(pool.name, pool.slots, pool.max_replicas) for pool in pools] == [
        ("a", 2, 9),
        ("b", 2, 9),
    ]


def test_a_recorded_history_is_replayed_with_a_service_time(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as history:
        for at_s, outcome in ((100.0, "ok"), (103.0, "failed"), (104.5, "unknown")):
            history.record(
                Operation("put", "uploads", "a.jpg", at_s, outcome, etag="e", pipelines=("gray",))
            )
        history.record(Operation("delete", "uploads", "a.jpg", 105.0, "ok"))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert parse_trace("h", lines, POOL, work_s=2.5).jobs == (
        Job(0.0, 2.5, key="gray"),
        Job(4.5, 2.5, key="gray"),
    )
    assert "line 1: this is a load test's history" in refusal(*lines)
    assert "--work-s" in refusal(*lines)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"at": 1}', "'work_s' has to be a number of seconds, and is None"),
        ('{"at": -1, "work_s": 1}', "'at' is -1 s and has to be at least 0"),
        ('{"at": 0, "work_s": 0}', "'work_s' is 0 s and has to be at least 0.001"),
        ('{"at": 0, "work_s": 1e9}', "'work_s' is 1e+09 s and has to be at most 604800"),
        ('{"at": NaN, "work_s": 1}', "'at' has to be a number of seconds, and is nan"),
        ('{"at": true, "work_s": 1}', "'at' has to be a number of seconds, and is True"),
        ('{"at": 0, "work_s": 1, "pool": ""}', "'pool' has to be a name of 1 to 63 characters"),
        ('{"at": 0, "work_s": 1, "size": 3}', "'size' is none of at, work_s, pool, key"),
        ("[1, 2]", "a job is an object such as"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_what_to_do(line: str, sentence: str) -> None:
    told = refusal('{"at": 0, "work_s": 1}', line)
    assert told.startswith("jobs.jsonl, line 2: ")
    assert sentence in told


def test_a_file_without_jobs_is_no_trace() -> None:
    assert refusal("", "  ").startswith("jobs.jsonl has no jobs; write one a line")


def test_too_much_is_refused_before_it_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    far = ['{"at": 0, "work_s": 1}', '{"at": 9999999999, "work_s": 1}']
    assert "goes over 115741 days, and at most 7 are simulated" in refusal(*far)
    pools = [json.dumps({"at": 0, "work_s": 1, "pool": f"p{n}"}) for n in range(51)]
    assert "names 51 pools, and at most 50" in refusal(*pools)
    monkeypatch.setattr(trace_files, "MAX_JOBS", 2)
    assert "has more than 2 jobs" in refusal(*['{"at": 0, "work_s": 1}'] * 3)


@given(st.lists(st.text()))
def test_whatever_the_file_holds_it_is_read_or_refused(lines: list[str]) -> None:
    with suppress(ConfigError):
        assert parse_trace("file", lines, POOL).jobs


@pytest.mark.parametrize("name", TRACES)
def test_a_seed_decides_a_named_trace(name: str) -> None:
    trace = TRACES[name](3)
    assert trace == TRACES[name](3)
    assert trace.jobs != TRACES[name](4).jobs
    assert trace.name == name
    assert list(trace.jobs) == sorted(trace.jobs, key=lambda job: job.at_s)
    assert {job.pool for job in trace.jobs} == {pool.name for pool in trace.pools}
    assert trace.about.endswith(".")
