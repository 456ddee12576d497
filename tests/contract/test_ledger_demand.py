"""What every ledger says of the work that waits, and of drain leases, in memory and on a real
Redis alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_states import START, make_state, saved

from marea.clock import FakeClock
from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.objects import ObjectRef
from marea.results.demand import PoolDemand, Served, Started
from marea.results.ledger import Ledger
from marea.scaling.service_times import Kind

KIB = 1024


def sized(key: str, size_bytes: int) -> ObjectRef:
    return ObjectRef("uploads", key, version_id="v1", size_bytes=size_bytes)


def queued(
    ledger: Ledger, key: str, *, size: int = 0, at: float = START, **job: object
) -> JobState:
    fields = {"ref": sized(key, size), **job}
    return saved(ledger, make_state(key, "queued", job=fields, published_at=at))


def test_an_empty_ledger_demands_nothing(ledger: Ledger) -> None:
    assert ledger.demand() == {}


def test_tells_what_waits_by_pipeline_and_size(ledger: Ledger) -> None:
    queued(ledger, "a.jpg", size=KIB)
    queued(ledger, "b.jpg", size=KIB)
    queued(ledger, "c.jpg", size=3 * KIB, priority="high")
    queued(ledger, "d.csv", size=300 * KIB, pool="tables", pipeline="summary")
    pools = ledger.demand()
    assert pools["images"].queued == {Kind("grayscale", 0): 2, Kind("grayscale", 1): 1}
    assert pools["tables"].queued == {Kind("summary", 5): 1}


def test_a_job_that_starts_waits_no_longer(ledger: Ledger) -> None:
    state = queued(ledger, "a.jpg")
    saved(ledger, state.but(phase="running", started_at=START + 1, owner="w"))
    assert ledger.demand()["images"] == PoolDemand(
        running=1, started={Kind("grayscale", 0): Started(1, START + 1)}, arrived=1
    )


def test_tells_since_when_jobs_run_by_kind(ledger: Ledger) -> None:
    states = [queued(ledger, f"{n}.jpg", priority=p) for n, p in enumerate(("high", "normal"))]
    for number, state in enumerate(states):
        started = state.but(phase="running", started_at=START + 2 * number, owner="w")
        states[number] = saved(ledger, started)
    assert ledger.demand()["images"].started == {Kind("grayscale", 0): Started(2, START + 1)}
    saved(ledger, states[0].but(phase="done", finished_at=START + 5))
    assert ledger.demand()["images"].started == {Kind("grayscale", 0): Started(1, START + 2)}


def test_publishing_a_job_again_is_no_arrival(ledger: Ledger) -> None:
    state = queued(ledger, "a.jpg")
    state = saved(ledger, state.but(published_at=START + 5, publishes=2))
    assert ledger.demand()["images"] == PoolDemand(
        queued={Kind("grayscale", 0): 1}, oldest_at=START + 5, arrived=1
    )


def test_a_job_that_comes_back_after_a_pause_arrives_again(ledger: Ledger) -> None:
    state = queued(ledger, "a.jpg")
    state = saved(ledger, state.but(phase="running", owner="w"))
    state = saved(ledger, state.but(phase="delayed", due_at=START + 9))
    assert ledger.demand()["images"] == PoolDemand(arrived=1)
    saved(ledger, state.but(phase="queued"))
    assert ledger.demand()["images"].arrived == 2


def test_tells_since_when_the_oldest_waits(ledger: Ledger) -> None:
    queued(ledger, "a.jpg", at=START + 7, priority="high")
    queued(ledger, "b.jpg", at=START + 3)
    queued(ledger, "c.jpg", at=START + 5)
    assert ledger.demand()["images"].oldest_at == START + 3


def test_a_quarantined_job_waits_in_quarantine(ledger: Ledger) -> None:
    saved(ledger, make_state("a.jpg", "queued", suspects=2))
    assert set(ledger.demand()) == {"quarantine"}


def test_a_size_that_is_learned_later_moves_the_job_to_its_kind(ledger: Ledger) -> None:
    state = queued(ledger, "a.jpg", size=0)
    state = saved(ledger, state.but(job=replace(state.job, ref=sized("a.jpg", 5 * KIB))))
    assert ledger.demand()["images"].queued == {Kind("grayscale", 2): 1}
    saved(ledger, state.but(phase="running", owner="w"))
    assert ledger.demand()["images"].queued == {}


@pytest.mark.parametrize("phase", ["done", "rejected", "dead"])
def test_counts_how_long_jobs_ran(ledger: Ledger, phase: str) -> None:
    for key, seconds in (("a.jpg", 0.5), ("b.jpg", 1.25)):
        state = queued(ledger, key, size=KIB)
        state = saved(ledger, state.but(phase="running", owner="w", started_at=START))
        saved(ledger, state.but(phase=phase, finished_at=START + seconds))
    assert ledger.demand()["images"].served == {Kind("grayscale", 0): Served(2, 1.75)}


def test_a_job_that_ends_without_having_run_has_no_service_time(ledger: Ledger) -> None:
    state = saved(ledger, make_state("a.jpg", "dead", started_at=START, finished_at=START + 1))
    state = saved(ledger, state.but(phase="accepted"))
    saved(ledger, state.but(phase="cancelled", finished_at=START + 999))
    assert not any(pool.served for pool in ledger.demand().values())


def test_a_worker_hears_of_its_drain_lease_with_each_beat(ledger: Ledger, clock: FakeClock) -> None:
    beat = WorkerBeat("images@a-1", "images", 2, expires_at=START + 15)
    assert ledger.beat(beat) == 0.0
    ledger.lease_drains({"images@a-1": START + 30, "images@b-1": START + 60})
    assert ledger.beat(beat) == START + 30
    ledger.lease_drains({"images@a-1": 0.0})
    assert ledger.beat(beat) == 0.0


def test_a_drain_lease_goes_with_its_worker(ledger: Ledger) -> None:
    beat = WorkerBeat("images@a-1", "images", 2, expires_at=START + 15)
    ledger.lease_drains({"images@a-1": START + 30})
    ledger.forget_worker("images@a-1")
    assert ledger.beat(beat) == 0.0


def test_leasing_nobody_is_no_error(ledger: Ledger) -> None:
    ledger.lease_drains({})
