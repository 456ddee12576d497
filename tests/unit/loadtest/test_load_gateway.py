"""What the gateway's own pages tell a load run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_servers import Answer, answering
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from loadtest.observe.gateway import (
    EVENTS_ROUTE,
    EventAnswers,
    GatewaySource,
    event_answers,
    parse_metrics,
)
from loadtest.observe.look import Look, Unseen
from marea.telemetry.metrics import GATEWAY_REQUESTS, REQUEST_BUCKETS_S, exposition

BEGAN_AT = 1_780_000_000.0
POOLS = {
    "images": {"marea_pool_ready_jobs": 7.0, "marea_pool_held_jobs": 2.0, "marea_pool_replicas": 3},
    "tables": {"marea_pool_ready_jobs": 1.0},
}


def answers_of(seconds: list[float], route: str = EVENTS_ROUTE, status: str = "2xx") -> str:
    """An exposition with the gateway's own metric, and these observations alone."""
    registry = CollectorRegistry()
    histogram = Histogram(
        "marea_gateway_requests_seconds", "a test", ("route", "status"),
        buckets=REQUEST_BUCKETS_S, registry=registry,
    )  # fmt: skip
    for each in seconds:
        histogram.labels(route, status).observe(each)
    histogram.labels("/v1/jobs", "2xx").observe(9.0)
    return generate_latest(registry).decode()


def told(seconds: list[float]) -> EventAnswers:
    found = event_answers(parse_metrics(answers_of(seconds)))
    assert found is not None
    return found


def test_the_gateways_own_exposition_is_understood() -> None:
    before = event_answers(parse_metrics(exposition({})[0].decode()))
    for took in (0.001, 0.02, 0.2):
        GATEWAY_REQUESTS.labels(EVENTS_ROUTE, "2xx").observe(took)
    after = event_answers(parse_metrics(exposition({})[0].decode()))
    assert after is not None
    fresh = after.since(before) if before is not None else after
    assert fresh.count == 3
    assert fresh.at_most[0.025] == 2
    assert fresh.at_most[float("inf")] == 3
    assert fresh.quantile(0.99) == 0.25


@given(seconds=st.lists(st.floats(0.0, 9.9), min_size=1, max_size=40), share=st.floats(0.01, 1.0))
def test_a_quantile_is_the_least_bound_that_the_share_kept(
    seconds: list[float], share: float
) -> None:
    bound = told(seconds).quantile(share)
    kept = {each: sum(took <= each for took in seconds) for each in REQUEST_BUCKETS_S}
    wanted = min(each for each, count in kept.items() if count >= share * len(seconds))
    assert bound == wanted


def test_a_quantile_above_all_bounds_is_not_known() -> None:
    assert told([0.01, 60.0]).quantile(0.99) is None
    assert told([0.01, 60.0]).quantile(0.5) == 0.01


def test_only_what_came_since_is_counted() -> None:
    for before, later in ((5.0, 0.01), (0.01, 5.0)):
        fresh = told([before, before, later]).since(told([before, before]))
        assert (fresh.count, fresh.quantile(0.99)) == (1, later)
    assert told([5.0]).since(told([5.0])).quantile(0.99) is None


@pytest.mark.parametrize("labels", [{"route": "/v1/uploads"}, {"status": "5xx"}])
def test_other_routes_and_refusals_are_no_answers_to_events(labels: dict[str, str]) -> None:
    assert event_answers(parse_metrics(answers_of([0.1], **labels))) is None


def test_a_look_takes_the_scale_and_the_backlog_only_if_it_is_asked_to() -> None:
    page = Answer(200, exposition(POOLS)[0])
    with answering({"/metrics": page}) as url:
        with_backlog, without = Look(0.0), Look(0.0)
        GatewaySource(url, "", with_backlog=True).fill(with_backlog)
        GatewaySource(url, "", with_backlog=False).fill(without)
    assert with_backlog.ready == {"images": 7, "tables": 1}
    assert with_backlog.unacked == {"images": 2}
    assert with_backlog.wanted == without.wanted == {"images": 3}
    assert (without.ready, without.unacked) == ({}, {})


@pytest.mark.parametrize(
    "page", [Answer(503, b"not ready"), Answer(200, b"{ this is no exposition")]
)
def test_a_gateway_that_does_not_tell_is_unseen(page: Answer) -> None:
    with answering({"/metrics": page}) as url:
        source = GatewaySource(url, "", with_backlog=True)
        with pytest.raises(Unseen, match="metrics cannot be read"):
            source.fill(Look(0.0))
        assert source.event_answers() is None


def decided(after_s: float, replicas: int | None, applied: int | None = None) -> dict[str, Any]:
    moment = datetime.fromtimestamp(BEGAN_AT + after_s, UTC).isoformat()
    reason = f"at {after_s:g}"
    return {"decided_at": moment, "replicas": replicas, "applied": applied, "reason": reason}


def decisions_told(images: list[dict[str, Any]]) -> list[tuple[float, int | None, str]]:
    pages = {
        "/v1/scaling": Answer(200, json.dumps({"pools": {"images": {}}}).encode()),
        "/v1/scaling/images/history": Answer(200, json.dumps({"decisions": images}).encode()),
    }
    with answering(pages) as url:
        found = GatewaySource(url, "token", with_backlog=False).decisions(BEGAN_AT)
    return [(each.at_s, each.wanted, each.reason) for each in found]


def test_of_the_decisions_those_are_told_that_changed_something() -> None:
    newest_first = [
        decided(8, 1), decided(6, 4), decided(4, 4), decided(3, None), decided(2, 4), decided(1, 1),
    ]  # fmt: skip
    assert decisions_told(newest_first) == [(1, 1, "at 1"), (2, 4, "at 2"), (8, 1, "at 8")]


def test_a_decision_is_what_was_applied_where_that_differs() -> None:
    assert decisions_told([decided(1, 9, applied=6)]) == [(1, 6, "at 1")]


def test_of_what_was_before_the_load_the_last_minute_is_told() -> None:
    told_ = decisions_told([decided(-300, 1), decided(-30, 2), decided(5, 3)])
    assert [at_s for at_s, _, _ in told_] == [-30, 5]


def test_decisions_in_another_form_are_unseen() -> None:
    with pytest.raises(Unseen, match="in another form"):
        decisions_told([{"when": "yesterday"}])
