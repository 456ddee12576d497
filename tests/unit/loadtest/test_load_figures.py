"""The figures of a load run: what is not known is None, and never zero."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_runs import job, run_of, send

from loadtest.runs.data import Sample
from loadtest.runs.figures import (
    ABOUT,
    LATE_S,
    LEAST_DRAINED,
    drain_rate,
    figures_of,
    most_within,
    percentile,
    throughput,
    when_settled,
)

COUNTED_FROM_NOTHING = {"uploads": 0.0, "jobs": 0.0}
"""What is there was counted, and there is nothing."""
TIMES = st.lists(st.floats(0, 1000), min_size=1, max_size=60)


def test_of_an_empty_run_nothing_is_known_but_that_it_is_empty() -> None:
    figures = figures_of(run_of())
    assert set(figures) == set(ABOUT)
    known = {name: value for name, value in figures.items() if value is not None}
    assert known == COUNTED_FROM_NOTHING


def test_every_figure_has_its_name_and_meaning() -> None:
    run = run_of(sends=(send(),), jobs=(job(),), samples=(Sample(0.0),))
    assert list(figures_of(run)) == list(ABOUT)
    assert all(ABOUT.values())


def test_late_is_what_left_later_than_a_tenth_of_a_second_after_it_was_due() -> None:
    lateness = (0.0, LATE_S / 2, LATE_S * 1.5, 3.0)
    sends = [send(n, due_s=0.0, sent_s=late_s) for n, late_s in enumerate(lateness)]
    figures = figures_of(run_of(sends=tuple(sends)))
    assert figures["late_share"] == 0.5
    assert figures["late_p99_s"] == 3.0


def test_an_upload_is_timed_from_when_it_was_due_and_not_from_when_it_could_go() -> None:
    held_up = send(due_s=1.0, sent_s=4.0, done_s=4.5)
    assert figures_of(run_of(sends=(held_up,)))["put_p50_s"] == 3.5


def test_uploads_that_failed_are_counted_and_not_timed() -> None:
    sends = (
        send(0),
        send(1, outcome="failed", done_s=99.0, problem="503"),
        send(2, outcome="unknown", done_s=99.0, problem="no answer"),
        send(3, problem="job API: 500"),
    )
    figures = figures_of(run_of(sends=sends))
    assert (figures["uploads"], figures["failed_uploads"], figures["problems"]) == (2, 2, 3)
    assert figures["put_p99_s"] == pytest.approx(0.01)


def test_jobs_are_told_by_their_states_and_stages() -> None:
    done = job(
        0, uploaded_s=1.0, accepted_s=1.2, started_s=3.2, finished_s=3.7, recorded_s=4.0,
        attempts=2,
    )  # fmt: skip
    figures = figures_of(run_of(jobs=(done, job(1, state="rejected"), job(2, state="gone"))))
    stages = [figures[f"{name}_p50_s"] for name in ("accepted", "waited", "service", "latency")]
    assert stages == pytest.approx([0.2, 2.0, 0.5, 3.0])
    assert [figures[name] for name in ("jobs", "done", "rejected", "dead")] == [3, 1, 1, 0]
    assert figures["attempts_max"] == 2


def test_a_stage_that_no_record_tells_is_not_known() -> None:
    figures = figures_of(run_of(jobs=(job(uploaded_s=1.0, started_s=2.0),)))
    assert [figures[f"{name}_p50_s"] for name in ("accepted", "waited", "latency")] == [None] * 3
    assert figures["backlog_max"] is None


def test_clocks_that_differ_make_no_negative_time() -> None:
    figures = figures_of(run_of(jobs=(job(uploaded_s=1.0, accepted_s=0.9),)))
    assert figures["accepted_p50_s"] == 0.0


def test_what_was_uploaded_to_measure_the_pool_does_not_count() -> None:
    times = {"uploaded_s": -9.0, "accepted_s": -9.0, "started_s": 30.0, "recorded_s": 31.0}
    measured = tuple(
        job(n, is_calibration=True, state="dead", finished_s=11.0 + n, **times) for n in range(30)
    )
    assert figures_of(run_of(jobs=measured)) == figures_of(run_of())


@given(stays=st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 50)), min_size=1, max_size=40))
def test_the_backlog_is_the_most_that_waited_at_once(stays: list[tuple[float, float]]) -> None:
    jobs = tuple(
        job(n, accepted_s=begin, started_s=begin + length)
        for n, (begin, length) in enumerate(stays)
    )
    most = max(
        sum(begin <= moment < begin + length for begin, length in stays) for moment, _ in stays
    )
    assert figures_of(run_of(jobs=jobs))["backlog_max"] == most


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1), share=st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    least = math.ceil(share * len(values))
    assert found is not None
    assert sum(value <= found for value in values) >= least
    assert sum(value < found for value in values) < least


def test_a_percentile_of_nothing_is_not_known() -> None:
    assert percentile([], 0.5) is None
    assert most_within([], 1.0) is None


@given(times=TIMES, window_s=st.floats(0.01, 100))
def test_the_most_in_a_window_is_that_of_the_best_window(
    times: list[float], window_s: float
) -> None:
    best = max(sum(start <= at < start + window_s for at in times) for start in times)
    assert most_within(times, window_s) == pytest.approx(best / window_s)


def test_ten_a_second_are_ten_in_the_fullest_second() -> None:
    sends = tuple(send(n, due_s=n / 8) for n in range(80))
    run = run_of(sends=sends, calibration={"store_puts_per_s": 16.0})
    assert figures_of(run)["arrivals_peak_per_s"] == 8.0
    assert figures_of(run)["peak_share"] == 0.5


@given(count=st.integers(LEAST_DRAINED, 300), rate=st.floats(0.1, 500))
def test_jobs_that_end_evenly_have_the_throughput_at_which_they_end(
    count: int, rate: float
) -> None:
    assert throughput([n / rate for n in range(count)]) == pytest.approx(rate)


def test_slow_starts_and_stragglers_do_not_count() -> None:
    even = [10 + n / 20 for n in range(200)]
    assert throughput([0.0, 5.0, *even, 60.0, 90.0]) == pytest.approx(20.0)


def test_a_drain_begins_when_the_last_upload_is_accepted_and_not_when_it_is_sent() -> None:
    slow = [job(n, accepted_s=1.0, started_s=1.0, finished_s=1.0 + n / 5) for n in range(100)]
    last = job(100, accepted_s=21.0, started_s=21.0, finished_s=21.0)
    fast = [job(101 + n, accepted_s=2.0, started_s=22, finished_s=22.0 + n / 20) for n in range(60)]
    assert drain_rate([*slow, last, *fast], load_ended_s=3.0) == pytest.approx(20.0)
    assert drain_rate(slow, load_ended_s=50.0) is None


def test_too_few_ends_are_no_throughput() -> None:
    assert throughput([float(n) for n in range(LEAST_DRAINED - 1)]) is None
    assert throughput([None] * 100) is None
    assert throughput([5.0] * 100) is None


def test_the_drain_is_what_ends_after_the_load_against_the_pools_own_rate() -> None:
    during = tuple(job(n, finished_s=n / 10) for n in range(100))
    after = tuple(job(200 + n, finished_s=10.5 + n / 4) for n in range(40))
    run = run_of(jobs=during + after, settled_s=22.0, calibration={"steady_jobs_per_s": 5.0})
    figures = figures_of(run)
    assert figures["drain_jobs_per_s"] == pytest.approx(4.0)
    assert figures["drain_share"] == pytest.approx(0.8)
    assert figures["drain_s"] == 12.0


def test_all_is_done_when_the_last_record_was_written_and_not_when_it_was_found() -> None:
    jobs = [job(1, recorded_s=4.0), job(2, recorded_s=9.5), job(3)]
    measured = job(4, recorded_s=12.0, is_calibration=True)
    assert when_settled(14.0, [*jobs, measured]) == 9.5
    assert when_settled(14.0, [measured]) == 14.0
    assert when_settled(None, jobs) is None


def test_a_drain_share_needs_both_rates() -> None:
    after = tuple(job(n, finished_s=11.0 + n) for n in range(40))
    assert figures_of(run_of(jobs=after))["drain_share"] is None
    run = run_of(calibration={"steady_jobs_per_s": 5.0}, settled_s=9.0)
    assert figures_of(run)["drain_share"] is None
    assert figures_of(run)["drain_s"] == 0.0


def test_the_generators_cores_are_told_apart_from_the_platforms() -> None:
    cpu = {"worker-images": 1.0, "store": 0.25, "broker": 0.25, "generator": 0.5, "other": 3.0}
    memory = {"worker-images": 40_000_000, "worker-tables": 2_000_000, "store": 8_000_000,
              "generator": 99_000_000}  # fmt: skip
    samples = (
        Sample(-5.0, cpu={**cpu, "generator": 2.0}),
        Sample(2.0, cpu=cpu, memory=memory, replicas={"images": 2, "tables": 1}),
        Sample(4.0, cpu={**cpu, "generator": 1.0}, replicas={"images": 1}),
        Sample(15.0, cpu={**cpu, "generator": 2.0}),
    )
    figures = figures_of(run_of(samples=samples))
    assert figures["generator_cores_mean"] == 0.75
    assert figures["platform_cores_mean"] == 1.5
    assert figures["worker_memory_max_mb"] == 42.0
    assert figures["platform_memory_max_mb"] == 50.0
    assert figures["replicas_max"] == 3


def test_a_platform_whose_workers_are_elsewhere_has_no_known_use() -> None:
    samples = (Sample(1.0, cpu={"generator": 0.5, "store": 0.1}, memory={"store": 8_000_000}),)
    figures = figures_of(run_of(samples=samples))
    assert figures["generator_cores_mean"] == 0.5
    for name in ("platform_cores_mean", "worker_memory_max_mb", "platform_memory_max_mb"):
        assert figures[name] is None
