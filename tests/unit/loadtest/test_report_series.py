"""Time series of a run: sums that hold, and gaps where nobody looked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from example_run import POOL, example_run
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import series
from loadtest.report.series import Grid, Series
from loadtest.runs.data import Decision, Run, Sample
from loadtest.runs.figures import figures_of

TIMES = st.floats(0, 100, allow_nan=False)
EMPTY = Run(scenario="none", about="", began_at=0.0, ended_s=10.0, load_ended_s=0.0, settled_s=None)
WIDTHS = st.sampled_from([1.0, 2.0, 3.7, 30.0, 200.0])


def grid(width: float = 1.0) -> Grid:
    return Grid(0.0, 100.0, width)


def integral(found: Series) -> float:
    values = [value or 0.0 for value in found.values]
    return sum(
        value * (end - begin)
        for value, begin, end in zip(values, found.at, found.at[1:], strict=False)
    )


@given(st.lists(TIMES, max_size=60), WIDTHS)
def test_a_rate_counts_every_event_once(times: list[float], width: float) -> None:
    assert abs(integral(series.rate(times, grid(width))) - len(times)) < 1e-6


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=40), WIDTHS)
def test_occupancy_holds_all_the_time_of_all_intervals(
    pairs: list[tuple[float, float]], width: float
) -> None:
    spans = [(min(pair), max(pair)) for pair in pairs]
    found = series.occupancy(list(spans), grid(width))
    assert abs(integral(found.series) - sum(end - begin for begin, end in spans)) < 1e-6
    assert found.peak is not None
    assert (found.series.highest or 0.0) <= found.peak + 1e-9
    assert found.peak <= len(spans)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=900))
def test_a_distribution_rises_to_one_at_the_slowest_with_few_points(values: list[float]) -> None:
    points = series.cdf(sorted(values))
    assert points == sorted(points)
    assert points[-1] == (max(values), 1.0)
    assert len(points) <= 602


@given(st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=2000))
def test_thinning_keeps_within_what_was_seen(values: list[float | None]) -> None:
    found = series.thin(Series(tuple(float(n) for n in range(len(values))), tuple(values)), 100)
    assert len(found.at) <= 100
    known = [value for value in values if value is not None]
    assert found.is_known == bool(known)
    if known:
        assert (found.highest or 0.0) <= max(known) + 1e-9


def test_the_peak_of_the_backlog_is_the_one_among_the_figures() -> None:
    run = example_run()
    assert series.waiting(run, series.grid_of(run)).peak == figures_of(run)["backlog_max"]


def test_a_slot_handed_from_one_job_to_the_next_is_one_slot() -> None:
    assert series.occupancy([(0.0, 5.0), (5.0, 9.0)], grid()).peak == 1


@pytest.mark.parametrize(
    ("settled_s", "ended_s", "end"),
    [(40.0, 200.0, 50.0), (40.0, 42.0, 42.0), (8.0, 200.0, 12.5), (None, 200.0, 200.0)],
)
def test_the_axis_ends_soon_after_the_last_result_and_not_with_the_judging(
    settled_s: float | None, ended_s: float, end: float
) -> None:
    run = replace(EMPTY, load_ended_s=10.0, settled_s=settled_s, ended_s=ended_s)
    assert series.grid_of(run).end == end
    assert series.grid_of(run, EMPTY).end == max(end, EMPTY.ended_s)


def test_what_was_not_seen_is_unknown_and_not_zero() -> None:
    axis = series.grid_of(EMPTY)
    assert not series.sent(EMPTY, axis).is_known
    assert not series.finished(EMPTY, axis).is_known
    assert not series.waiting(EMPTY, axis).series.is_known
    assert series.waiting(EMPTY, axis).peak is None
    assert not series.total(EMPTY, lambda sample: sample.ready).is_known
    assert series.by_role(EMPTY, lambda sample: sample.cpu) == {}


def test_a_look_that_misses_a_pool_is_a_gap_in_its_line_and_in_the_sum() -> None:
    looks = [Sample(0, ready={"a": 1, "b": 2}), Sample(1, ready={"a": 1}), Sample(2, ready={})]
    run = replace(EMPTY, samples=tuple(looks))
    assert series.sampled(run, lambda s: s.ready, "b").values == (2, None, None)
    assert series.total(run, lambda s: s.ready).values == (3, None, None)


def test_a_time_without_looks_is_a_gap() -> None:
    looks = [Sample(at, replicas={"a": 2}) for at in (0.0, 1.0, 2.0, 30.0, 31.0)]
    found = series.sampled(replace(EMPTY, samples=tuple(looks)), lambda s: s.replicas, "a")
    assert found.values == (2, 2, 2, None, 2, 2)


def test_a_role_that_one_look_missed_leaves_that_looks_whole_sum_open() -> None:
    cpu = [{"store": 1.0, "broker": 0.5}, {"store": 1.0}, {"store": 1.0, "broker": 0.5}]
    run = replace(EMPTY, samples=tuple(Sample(n, cpu=seen) for n, seen in enumerate(cpu)))
    assert series.by_role(run, lambda s: s.cpu) == {
        "store": Series((0, 1, 2), (1.0, None, 1.0)),
        "broker": Series((0, 1, 2), (0.5, None, 0.5)),
    }


def test_a_look_that_did_not_read_memory_is_no_gap_in_it() -> None:
    looks = [Sample(float(n), memory={"store": 5} if n % 3 == 0 else {}) for n in range(7)]
    found = series.by_role(replace(EMPTY, samples=tuple(looks)), lambda s: s.memory)
    assert found == {"store": Series((0.0, 3.0, 6.0), (5, 5, 5))}


def test_while_uploads_have_no_record_yet_the_records_do_not_tell_what_waits() -> None:
    whole = example_run()
    cut = replace(
        whole,
        settled_s=None,
        jobs=tuple(job for job in whole.jobs if (job.recorded_s or 0.0) < 66.0),
    )
    until = series.complete_until(cut)
    found = series.waiting(cut, series.grid_of(cut)).series
    assert until is not None
    assert 40.0 < until < 66.0
    assert all(
        (value is None) == (at >= until) for at, value in zip(found.at, found.values, strict=True)
    )
    assert series.complete_until(whole) is None


def test_jobs_of_the_calibration_are_not_among_the_loads() -> None:
    run = example_run()
    marked = replace(run, jobs=tuple(replace(job, is_calibration=True) for job in run.jobs))
    assert series.job_sample(marked) == []
    assert not any(series.latencies(marked).values())
    assert not series.finished(marked, series.grid_of(marked)).is_known


def test_decisions_are_numbered_by_time_and_tell_what_was_wanted_before() -> None:
    late, early = Decision(9.0, POOL, 4, "more"), Decision(3.0, POOL, 3, "some")
    seen = (Sample(1.0, wanted={POOL: 2}), Sample(2.0, wanted={POOL: 2}))
    found = series.marks(replace(EMPTY, samples=seen, decisions=(late, early)))
    assert [(mark.number, mark.decision, mark.before) for mark in found] == [
        (1, early, 2),
        (2, late, 3),
    ]


@given(st.lists(st.tuples(TIMES, st.integers(0, 20)), max_size=60))
def test_shown_marks_are_few_and_stand_apart(changes: list[tuple[float, int]]) -> None:
    decisions = tuple(Decision(at, POOL, wanted, "") for at, wanted in changes)
    all_marks = series.marks(replace(EMPTY, decisions=decisions))
    shown = series.shown_marks(all_marks, grid(), 12, 0.03)
    assert len(shown) <= 12
    assert bool(shown) == bool(decisions)
    at = sorted(mark.decision.at_s for mark in shown)
    assert all(later - sooner >= 3.0 for sooner, later in pairwise(at))


def test_the_sample_of_jobs_has_the_first_the_last_and_the_slowest() -> None:
    run = example_run()
    chosen = series.job_sample(run)
    by_upload = sorted(run.jobs, key=lambda job: job.uploaded_s or 0.0)
    assert len(chosen) == 60
    assert chosen[0] == by_upload[0]
    assert chosen[-1] == by_upload[-1]
    assert max(run.jobs, key=lambda job: job.latency_s or 0.0) in chosen
    assert chosen == series.job_sample(replace(run, jobs=tuple(reversed(run.jobs))))
