"""GET /v1/scaling: numbers fit to be acted upon, or an error; never a zero for want of better."""

from __future__ import annotations

from dataclasses import replace

import pytest
from decided import burst, hold, record
from gateway_world import World

from marea.results.decisions import LATEST

PATHS = ("/v1/scaling", "/v1/scaling/images", "/v1/scaling/images/history")


@pytest.fixture
def world() -> World:
    return World()


def error_of(world: World, path: str) -> tuple[int, str, str]:
    reply = world.get(path)
    error = reply.json().get("error", {})
    return reply.status_code, error.get("code", ""), error.get("message", "")


def test_a_pool_tells_what_it_needs_and_every_figure_behind_it(world: World) -> None:
    decision = replace(burst(world.clock.now()), applied=2)
    record(world, decision)
    world.clock.sleep(1.5)
    reply = world.get("/v1/scaling/images")
    assert reply.status_code == 200
    told = reply.json()
    assert (told["replicas"], told["limiter"]) == (decision.replicas, decision.limiter)
    assert told["replicas"] > 2, "the burst needs more than there are"
    assert told["reason"] == decision.reason
    assert (told["age_s"], told["before"], told["applied"]) == (1.5, 2, 2)
    assert told["inputs"] == decision.inputs
    assert told["inputs"]["ready"] == 1000
    assert told["bounds"] == decision.bounds
    assert told["problem"] is None


def test_a_pool_that_needs_none_says_zero(world: World) -> None:
    idle = burst(world.clock.now(), ready=0, unacked=0, busy=0, work_s=0.0, oldest_s=0.0)
    record(world, idle)
    assert world.get("/v1/scaling/images").json()["replicas"] == 0


def test_an_unknown_pool_is_a_404_that_names_the_known(world: World) -> None:
    now = world.clock.now()
    record(world, burst(now, "tables"), burst(now))
    for path in ("/v1/scaling/image", "/v1/scaling/image/history"):
        sentence = "there is no pool 'image'; there are images, tables"
        assert error_of(world, path) == (404, "no-such-pool", sentence)


@pytest.mark.parametrize("path", PATHS)
def test_without_any_decision_nothing_is_known(world: World, path: str) -> None:
    status, code, sentence = error_of(world, path)
    assert (status, code) == (503, "no-decision")
    assert sentence.startswith("nobody has sized any pool yet: the autoscaler is not running")


@pytest.mark.parametrize(
    ("age_s", "code"),
    [
        (30.0, ""),
        (30.5, "decision-stale"),
        (-30.0, ""),
        (-30.5, "decision-stale"),
        (90_000.0, "no-decision"),
    ],
)
def test_a_number_is_told_for_thirty_seconds_and_not_beyond(
    world: World, age_s: float, code: str
) -> None:
    made_at = world.clock.now()
    record(world, burst(made_at))
    world.clock.set(made_at + age_s)
    for path in ("/v1/scaling", "/v1/scaling/images"):
        assert error_of(world, path)[:2] == (503 if code else 200, code)


def test_what_is_stale_says_how_old_it_is_and_a_clock_ahead_is_named(world: World) -> None:
    record(world, burst(world.clock.now()))
    world.clock.sleep(95)
    sentence = "the last decision is 95 s old, more than 30 s: is the autoscaler well?"
    assert error_of(world, "/v1/scaling/images") == (503, "decision-stale", sentence)
    world.clock.set(world.clock.now() - 200)
    _, _, sentence = error_of(world, "/v1/scaling/images")
    assert sentence == "the last decision is 105 s ahead of this clock; set both by NTP"


def test_a_pool_that_is_held_gives_no_number_and_says_why(world: World) -> None:
    record(world, hold(world.clock.now()))
    status, code, sentence = error_of(world, "/v1/scaling/images")
    assert (status, code) == (503, "pool-held")
    assert sentence == "pool 'images' is held at 4: the broker did not answer"
    assert world.get("/v1/scaling/images").headers["Retry-After"]


def test_the_list_shows_the_other_pools_beside_one_that_is_held(world: World) -> None:
    now = world.clock.now()
    record(world, hold(now), burst(now, "tables"))
    told = world.get("/v1/scaling").json()
    assert (told["mode"], told["age_s"]) == ("keda", 0.0)
    assert told["pools"]["tables"]["replicas"] == burst(now, "tables").replicas
    held = told["pools"]["images"]
    assert held["replicas"] is None
    assert held["problem"].startswith("pool-held: pool 'images' is held at 4: the broker")


def test_a_decision_that_took_long_to_be_written_is_as_old_as_its_reading(world: World) -> None:
    now = world.clock.now()
    world.clock.sleep(40)
    record(world, burst(now), burst(world.clock.now(), "tables"))
    assert error_of(world, "/v1/scaling/images")[:2] == (503, "decision-stale")
    assert world.get("/v1/scaling/tables").status_code == 200
    assert world.get("/v1/scaling").json()["pools"]["images"]["replicas"] is None


def test_history_lists_the_latest_first_and_as_many_as_asked_for(world: World) -> None:
    start = world.clock.now()
    for waiting in (10, 100, 1000):
        record(world, burst(world.clock.now(), ready=waiting, work_s=float(waiting)))
        world.clock.sleep(3600)
    record(world, hold(world.clock.now()))
    told = world.get("/v1/scaling/images/history", limit=3).json()
    assert told["pool"] == "images"
    assert [each["problem"] is None for each in told["decisions"]] == [False, True, True]
    assert [each["replicas"] for each in told["decisions"]] == [
        None,
        burst(start, ready=1000, work_s=1000.0).replicas,
        burst(start, ready=100, work_s=100.0).replicas,
    ]
    assert [each["age_s"] for each in told["decisions"]] == [0.0, 3600.0, 7200.0]
    assert len(world.get("/v1/scaling/images/history").json()["decisions"]) == 4


def test_history_of_a_pool_that_is_no_more_can_still_be_read(world: World) -> None:
    record(world, burst(world.clock.now(), "scans"))
    record(world, burst(world.clock.now()))
    assert len(world.get("/v1/scaling/scans/history").json()["decisions"]) == 1
    assert error_of(world, "/v1/scaling/scans")[:2] == (404, "no-such-pool")


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_an_unusable_limit_is_named(world: World, limit: str) -> None:
    reply = world.get("/v1/scaling/images/history", limit=limit)
    assert reply.status_code == 422
    assert reply.json()["error"]["message"].startswith("limit: ")


def test_a_name_that_no_pool_can_have_is_not_looked_up(world: World) -> None:
    world.ledger.is_away = True
    assert error_of(world, "/v1/scaling/" + "x" * 41)[:2] == (422, "request-invalid")


@pytest.mark.parametrize("path", PATHS)
def test_a_ledger_that_is_away_is_told(world: World, path: str) -> None:
    record(world, burst(world.clock.now()))
    world.ledger.is_away = True
    assert error_of(world, path)[:2] == (503, "ledger-unavailable")


@pytest.mark.parametrize(
    "body", [[], "x", {}, {"at": 1, "mode": "keda"}, {"at": 1, "mode": "", "pools": {"images": {}}}]
)
def test_decisions_in_a_form_that_is_not_known_are_no_decisions(world: World, body: object) -> None:
    world.ledger.set_value(LATEST, body)
    status, code, sentence = error_of(world, "/v1/scaling/images")
    assert (status, code) == (503, "decision-unreadable")
    assert "another version of the autoscaler wrote them" in sentence


@pytest.mark.parametrize("path", PATHS)
def test_it_takes_the_scope_read(world: World, path: str) -> None:
    record(world, burst(world.clock.now()))
    assert world.get(path, token="viewer-token").status_code == 200
    assert world.get(path, token="client-token").status_code == 403
    assert world.get(path, token="").status_code == 401
