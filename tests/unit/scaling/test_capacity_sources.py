"""What a load run tells of its jobs and workers, and what of it cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.errors import ConfigError
from marea.scaling.capacity_sources import Looks, Ran, chosen, read_jobs, read_samples, spread


def lines(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [json.dumps(row) for row in rows]


def job(started_s: float | None, finished_s: float | None, **changes: Any) -> dict[str, Any]:
    row = {"started_s": started_s, "finished_s": finished_s, "state": "done", "size_bytes": 1}
    return {**row, "pipeline": "thumbnail", **changes}


def test_jobs_that_no_worker_started_or_ended_are_left_out() -> None:
    rows = [
        job(1.0, 2.5),
        job(None, 3.0),
        job(2.0, None),
        job(2.0, 9.0, state="dead"),
        job(-3.0, -1.0, state="rejected", pool="images"),
    ]
    jobs = read_jobs("jobs.jsonl", [*lines(rows), "\n"])
    assert [each.took_s for each in jobs] == [1.5, 2.0]
    assert jobs[1].pool == "images"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "jobs.jsonl, line 2: not JSON: "),
        ("[1]", "jobs.jsonl, line 2: has to be a JSON object"),
        (json.dumps(job(2.0, 1.0)), "jobs.jsonl, line 2: finished_s is before started_s"),
        (
            '{"state": "done", "started_s": "now", "finished_s": 1}',
            "jobs.jsonl, line 2: 'started_s' has to be a number, and is 'now'",
        ),
        (
            '{"state": "done", "started_s": 1, "finished_s": NaN}',
            "jobs.jsonl, line 2: 'finished_s' has to be a number, and is nan",
        ),
    ],
)
def test_a_line_that_cannot_be_read_stops_all_and_is_named(line: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_jobs("jobs.jsonl", [*lines([job(1.0, 2.0)]), line])
    assert refused.value.problems[0].startswith(sentence)


def test_the_spread_is_that_of_the_times() -> None:
    found = spread([Ran(0.0, took) for took in (1.0, 2.0, 3.0)])
    assert found is not None
    assert (found.jobs, found.mean_s, found.cv) == (3, 2.0, 0.5)


def test_one_job_has_no_spread_and_none_has_nothing() -> None:
    found = spread([Ran(1.0, 2.0)])
    assert found is not None
    assert found.cv is None
    assert spread([]) is None
    assert spread([Ran(1.0, 1.0)]) is None


def test_jobs_are_chosen_by_pool_and_pipeline() -> None:
    jobs = [Ran(0, 1, "a", "x"), Ran(0, 1, "b", "x"), Ran(0, 1, "a", "y"), Ran(0, 1, "a")]
    assert chosen(jobs, None, ()) == jobs
    assert chosen(jobs, "x", ["a"]) == [jobs[0], jobs[3]]
    assert chosen(jobs, None, ["b", "c"]) == [jobs[1]]


def sample(at_s: float, cores: float, **changes: Any) -> dict[str, Any]:
    row = {
        "at_s": at_s,
        "cpu": {"worker-images": cores, "gateway": 9.0},
        "memory": {"worker-images": 600_000_000, "store": 9},
        "replicas": {"images": 3},
        "slots": {"images": 6},
    }
    return {**row, **changes}


def test_processors_are_counted_for_the_slots_that_were_busy_at_the_time() -> None:
    """Four slots are busy for 10 s and use 2 cores, as much as half a core each."""
    jobs = [Ran(0.0, 10.0)] * 4
    found = read_samples("s", lines([sample(0.0, 77.0), sample(10.0, 2.0)]), jobs)
    assert found == Looks(cores_a_slot=0.5, replica_bytes=200_000_000, slots=2)


def test_a_time_that_no_sample_tells_of_counts_for_neither_side() -> None:
    jobs = [Ran(0.0, 30.0)]
    blind = sample(20.0, 0.0, cpu={"gateway": 1.0})
    found = read_samples("s", lines([sample(0.0, 0.0), sample(10.0, 0.8), blind]), jobs)
    assert found.cores_a_slot == pytest.approx(0.8)


def test_samples_without_workers_tell_nothing_of_them() -> None:
    rows = [{"at_s": at_s, "cpu": {"gateway": 1.0}, "replicas": {}} for at_s in (0.0, 1.0)]
    assert read_samples("s", lines(rows), [Ran(0.0, 1.0)]) == Looks()
    assert read_samples("s", [], [Ran(0.0, 1.0)]) == Looks()


def test_the_workers_of_another_pool_do_not_count() -> None:
    other = {"worker-tables": 5.0, "worker-images": 1.0}
    rows = [sample(at_s, 0.0, cpu=other) for at_s in (0.0, 10.0)]
    jobs = [Ran(0.0, 10.0, pool="images")] * 2
    assert read_samples("s", lines(rows), jobs, "images").cores_a_slot == pytest.approx(0.5)
    assert read_samples("s", lines(rows), jobs).cores_a_slot == pytest.approx(3.0)


def test_memory_is_what_95_of_100_samples_do_not_exceed() -> None:
    sizes = [*range(1, 100), 10_000]
    rows = [
        sample(float(at), 1.0, memory={"worker-images": size * 3}) for at, size in enumerate(sizes)
    ]
    assert read_samples("s", lines(rows), []).replica_bytes == 95


FULL = {"slots": {"images": 2}, "ready": {"images": 7}}


def between_s(*looks: dict[str, Any]) -> float | None:
    """Two slots for 60 s, 100 jobs of a second each: 20 slot-seconds are not theirs."""
    jobs = [Ran(1.2 * n, 1.2 * n + 1.0) for n in range(50)] * 2
    return read_samples("s", lines(looks), jobs).between_s


def test_the_time_between_two_jobs_is_seen_where_a_queue_lasts() -> None:
    looks = [sample(at_s, 1.0, **FULL) for at_s in (-6.0, 0.0, 20.0, 60.0)]
    assert between_s(*looks) == pytest.approx(0.2)


def test_the_time_between_two_jobs_is_unknown_without_a_queue() -> None:
    empty = {**FULL, "ready": {"images": 0}}
    looks = [sample(-6.0, 1.0, **FULL), sample(0.0, 1.0, **FULL), sample(60.0, 1.0, **empty)]
    assert between_s(*looks) is None


def test_slots_that_were_just_added_may_not_work_yet_and_are_no_gap_between_jobs() -> None:
    grown = {**FULL, "slots": {"images": 4}}
    settled = [sample(-6.0, 1.0, **FULL), sample(0.0, 1.0, **FULL)]
    assert between_s(*settled, sample(60.0, 1.0, **grown)) is None
    assert between_s(*settled[1:], sample(60.0, 1.0, **FULL)) is None
    late = [sample(at_s, 1.0, **grown) for at_s in (61.0, 64.0)]
    assert between_s(*settled, sample(60.0, 1.0, **FULL), *late) == pytest.approx(0.2)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 20)), min_size=1, max_size=30),
    st.floats(0.1, 8.0),
    st.lists(st.floats(0.0, 90.0), max_size=10),
)
def test_all_cores_over_all_work_whenever_the_looks_were_taken(
    times: list[tuple[float, float]], cores: float, looks: list[float]
) -> None:
    jobs = [Ran(start, start + took) for start, took in times]
    rows = [sample(at_s, cores) for at_s in (*looks, 0.0, 100.0)]
    work_s = sum(each.took_s for each in jobs)
    found = read_samples("s", lines(rows), jobs).cores_a_slot
    assert found == pytest.approx(cores * 100.0 / work_s)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"cpu": {}}, "s, line 1: 'at_s' has to be a number, and is None"),
        ({"at_s": 0, "cpu": [1]}, "s, line 1: 'cpu' has to be an object of numbers, and is [1]"),
        (
            {"at_s": 0, "memory": {"worker-images": "much"}},
            "s, line 1: 'worker-images' has to be a number, and is 'much'",
        ),
    ],
)
def test_a_sample_that_cannot_be_read_is_named(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_samples("s", lines([row]), [])
    assert refused.value.problems == [sentence]
