"""The pools' gauges in /metrics: absent, not zero, where nothing is known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from decided import burst, hold, record
from gateway_world import World, served
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from marea.gateway.metrics import PoolReader
from marea.results.decisions import LATEST
from marea.telemetry.metrics import POOL_GAUGES

AGE = "marea_pool_decision_age_seconds"
OWN = "marea_gateway_events_total"


@pytest.fixture
def world() -> World:
    return World()


def gauges(world: World, pool: str = "images") -> dict[str, float]:
    """What a scrape tells of the pool. The gateway's own metrics must be there in any case."""
    reply = world.get("/metrics", token="")
    assert reply.status_code == 200
    assert OWN in reply.text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
        if sample.labels.get("pool") == pool
    }


def test_a_scrape_tells_what_the_pool_needs_has_and_has_to_do(world: World) -> None:
    decision = replace(burst(world.clock.now(), arrivals_per_s=0.5), applied=6)
    record(world, decision)
    world.clock.sleep(1.5)
    assert gauges(world) == {
        "marea_pool_replicas_wanted": decision.replicas,
        "marea_pool_replicas": 6,
        "marea_pool_ready_jobs": 1000,
        "marea_pool_held_jobs": 8,
        "marea_pool_busy_slots": 8,
        "marea_pool_work_seconds": 1000,
        "marea_pool_arrivals_per_second": 0.5,
        "marea_pool_oldest_seconds": 3,
        AGE: 1.5,
    }
    assert set(gauges(world)) == set(POOL_GAUGES)


def test_the_scale_as_it_was_read_stands_until_a_step_was_taken(world: World) -> None:
    record(world, burst(world.clock.now()))
    assert gauges(world)["marea_pool_replicas"] == 2


def test_a_pool_that_needs_none_is_a_zero_and_not_absent(world: World) -> None:
    idle = burst(world.clock.now(), ready=0, unacked=0, busy=0, work_s=0.0, oldest_s=0.0)
    record(world, idle)
    assert gauges(world)["marea_pool_replicas_wanted"] == 0
    assert gauges(world)["marea_pool_ready_jobs"] == 0


def test_a_pool_that_is_held_tells_nothing_but_that_somebody_decides(world: World) -> None:
    now = world.clock.now()
    record(world, hold(now), burst(now, "tables"))
    assert gauges(world) == {AGE: 0.0}
    assert set(gauges(world, "tables")) == set(POOL_GAUGES)


@pytest.mark.parametrize(("age_s", "is_told"), [(30.0, True), (30.5, False), (-31.0, False)])
def test_old_decisions_tell_nothing_but_their_age(
    world: World, age_s: float, is_told: bool
) -> None:
    record(world, burst(world.clock.now()))
    world.clock.set(world.clock.now() + age_s)
    told = gauges(world)
    assert told[AGE] == max(0.0, age_s)
    assert ("marea_pool_replicas_wanted" in told) == is_told
    assert len(told) == (len(POOL_GAUGES) if is_told else 1)


def test_a_figure_that_the_decision_lacks_is_absent(world: World) -> None:
    decision = burst(world.clock.now())
    inputs = {**decision.inputs, "busy": None}
    del inputs["oldest_s"]
    record(world, replace(decision, inputs=inputs))
    absent = {"marea_pool_oldest_seconds", "marea_pool_busy_slots"}
    assert set(POOL_GAUGES) - set(gauges(world)) == absent


def test_without_decisions_there_is_no_sample_of_any_pool(world: World) -> None:
    assert gauges(world) == {}
    world.ledger.set_value(LATEST, {"pools": "of another version"})
    assert gauges(world) == {}


def test_a_ledger_that_is_away_takes_away_its_part_alone(world: World) -> None:
    record(world, burst(world.clock.now()))
    world.ledger.is_away = True
    assert gauges(world) == {}
    world.ledger.is_away = False
    assert gauges(world)


@contextmanager
def hanging(world: World, timeout_s: float) -> Iterator[tuple[list[int], threading.Event]]:
    """The ledger answers only when it is released: how often it was asked, and the release."""
    asked: list[int] = []
    release = threading.Event()
    answer = world.ledger.value

    def late(name: str) -> Any:
        asked.append(1)
        release.wait(30)
        return answer(name)

    world.ledger.value = late  # type: ignore[method-assign]
    world.app.state.pool_reader = PoolReader(world.ledger, world.clock, timeout_s=timeout_s)
    try:
        yield asked, release
    finally:
        release.set()


def test_a_ledger_that_hangs_is_not_waited_for_and_asked_but_once(world: World) -> None:
    record(world, burst(world.clock.now()))
    with hanging(world, timeout_s=0.05) as (asked, release):
        for _ in range(3):
            assert gauges(world) == {}
        assert len(asked) == 1
        release.set()
        wait_until(lambda: bool(gauges(world)), "the ledger's answer is shown again")


def test_a_slow_ledger_holds_up_no_other_request(world: World) -> None:
    """On a real socket, where all requests share one event loop."""
    import httpx

    record(world, burst(world.clock.now()))
    with hanging(world, timeout_s=30) as (asked, release), served(world) as (address, _):
        scraped: list[str] = []
        scrape = threading.Thread(
            target=lambda: scraped.append(httpx.get(f"{address}/metrics", timeout=30).text)
        )
        scrape.start()
        wait_until(lambda: bool(asked), "the scrape asks the ledger")
        assert httpx.get(f"{address}/healthz", timeout=10).status_code == 200
        assert scraped == []
        release.set()
        scrape.join(30)
    assert "marea_pool_replicas_wanted{" in scraped[0]
