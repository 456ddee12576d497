"""OpenAPI, health, metrics, the form of errors, and tokens that make no sense."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fastapi.testclient import TestClient
from gateway_world import EVENT_TOKEN, TOKENS, World, minio_event
from structlog.testing import capture_logs

from marea import errors
from marea.clock import FakeClock
from marea.errors import ConfigError, MareaError, StoreUnavailable
from marea.gateway import http_errors
from marea.gateway.app import ROUTES
from marea.gateway.health import Readiness
from marea.gateway.http_errors import STATUSES, status_of
from marea.gateway.serve import build_app
from marea.settings import Settings, StoreSettings
from marea.telemetry.metrics import REGISTRY


def test_openapi_lists_every_route_with_its_guard_and_body() -> None:
    schema = World().get("/openapi.json", token="").json()
    for route in ROUTES:
        operation = schema["paths"][route.path][route.method.lower()]
        assert operation["description"]
        assert bool(operation.get("security")) == bool(route.guard), route.path
        if route.body is not None:
            sent = operation["requestBody"]["content"]["application/json"]["schema"]
            assert sent["title"] == route.body.__name__
        if route.guard is not None:
            for status in ("401", "403", "503"):
                content = operation["responses"][status]["content"]["application/json"]
                assert content["schema"]["$ref"].endswith("/ErrorView")
    described = sum(len(operations) for operations in schema["paths"].values())
    assert described == len(ROUTES)


def test_builds_from_the_settings_without_asking_anybody() -> None:
    app = build_app(Settings(store=StoreSettings(endpoint_url="http://127.0.0.1:1")))
    reply = TestClient(app).get("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"alive": True})


def test_docs_health_and_metrics_need_no_token() -> None:
    world = World()
    for path in ("/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"):
        assert world.get(path, token="").status_code == 200, path


def test_is_ready_when_all_parts_answer() -> None:
    answer = World().get("/readyz").json()
    assert answer["ready"] is True
    assert sorted(answer["parts"]) == ["broker", "ledger", "store"]


@pytest.mark.parametrize("part", ["store", "broker", "ledger"])
def test_readyz_names_the_part_that_is_away_and_why(part: str) -> None:
    world = World()
    match part:
        case "store":
            del world.store._buckets["results"]
        case "broker":
            world.broker.available = False
        case "ledger":
            world.ledger.is_away = True
    reply = world.get("/readyz")
    assert reply.status_code == 503
    away = {name: each for name, each in reply.json()["parts"].items() if not each["ready"]}
    assert list(away) == [part]
    assert away[part]["reason"].startswith(f"{part}-unavailable: ")
    assert world.get("/healthz").status_code == 200, "restarting would not bring it back"


def test_readyz_is_answered_from_memory_for_a_second() -> None:
    world = World()
    assert world.get("/readyz").status_code == 200
    world.broker.available = False
    assert world.get("/readyz").status_code == 200
    world.clock.sleep(1.1)
    assert world.get("/readyz").status_code == 503
    world.broker.available = True
    world.clock.set(world.clock.now() - 3600)  # a clock set back must not freeze the answer
    assert world.get("/readyz").status_code == 200


def test_readyz_does_not_wait_for_a_part_that_hangs() -> None:
    world = World()
    release = threading.Event()
    asked: list[int] = []

    def hang() -> None:
        asked.append(1)
        release.wait(30)

    readiness = Readiness({"store": hang, "broker": world.broker.ping}, world.clock, timeout_s=0.05)
    object.__setattr__(world.gateway, "readiness", readiness)
    try:
        for _ in range(3):
            parts = world.get("/readyz").json()["parts"]
            assert parts["store"] == {"ready": False, "reason": "no answer within 0.05 s"}
            assert parts["broker"]["ready"]
            world.clock.sleep(2)
        assert len(asked) == 1, "a hanging check is not asked again and again"
    finally:
        release.set()


def test_readyz_tells_the_reason_of_a_part_that_always_answers_too_late() -> None:
    clock, release = FakeClock(), threading.Semaphore(0)

    def slow() -> None:
        release.acquire(timeout=30)
        raise StoreUnavailable("Could not connect.")

    async def reasons() -> list[str]:
        readiness = Readiness({"store": slow}, clock, timeout_s=0.05)
        first = (await readiness.check())["store"].reason
        release.release()
        while "the last one" not in (second := (await readiness.check())["store"].reason):
            clock.sleep(2)
        release.release()
        readiness.close()
        return [first, second]

    assert asyncio.run(reasons()) == [
        "no answer within 0.05 s",
        "no answer within 0.05 s; the last one was store-unavailable: Could not connect.",
    ]


def test_metrics_count_events_and_time_requests_by_route() -> None:
    world = World()

    def requests() -> float:
        labels = {"route": "/v1/jobs/{job_id}", "status": "4xx"}
        return REGISTRY.get_sample_value("marea_gateway_requests_seconds_count", labels) or 0.0

    before = requests()
    for number in range(3):
        world.get(f"/v1/jobs/{number}")
    assert requests() == before + 3
    world.get("/nobody/asked/for/this")
    world.send_event(minio_event(world.upload()))
    text = world.get("/metrics").text
    assert 'marea_gateway_events_total{outcome="accepted"}' in text
    assert "nobody" not in text


def test_every_error_of_marea_has_a_status_of_its_own_choice() -> None:
    leaves = [
        each
        for module in (errors, http_errors)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, MareaError)
    ]
    for each in leaves:
        nearest = next(cls for cls in each.__mro__ if cls in STATUSES)
        assert nearest is not MareaError or each in (MareaError,), each
    assert status_of(errors.StoreUnavailable("x")) == 503
    assert status_of(errors.ObjectGone("x")) == 404
    assert status_of(ValueError("x")) == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not-found"), ("DELETE", "/v1/jobs", 405, "method-not-allowed")],
)
def test_errors_of_the_framework_have_the_same_form(
    method: str, path: str, status: int, code: str
) -> None:
    reply = World().client.request(method, path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_an_unexpected_error_is_a_500_that_tells_no_details() -> None:
    world = World()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /etc/shadow")

    world.ledger.page = broken  # type: ignore[assignment]
    with capture_logs() as logs:
        reply = world.get("/v1/jobs")
    assert [(line["event"], line["path"]) for line in logs] == [("unexpected error", "/v1/jobs")]
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal-error"
    assert "shadow" not in reply.text


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ({"ops:reed": "x"}, "'ops:reed' must be name:scope+scope"),
        ({"ops": "x"}, "'ops' must be name:scope+scope"),
        ({":read": "x"}, "':read' must be name:scope+scope"),
        ({"ops:read+": "x"}, "'ops:read+' must be name:scope+scope"),
        ({"ops:read": ""}, "the token of 'ops:read' is empty"),
        ({"a:read": "secret-1", "b:admin": "secret-1"}, "two names have the same token"),
    ],
)
def test_tokens_that_make_no_sense_stop_the_start(tokens: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match="MAREA_GATEWAY__API_TOKENS") as caught:
        World(api_tokens=tokens)
    assert any(sentence in problem for problem in caught.value.problems)
    assert "secret-1" not in str(caught.value)


def test_no_answer_repeats_a_token() -> None:
    world = World()
    for reply in (
        world.get("/v1/jobs", token="viewer-tokens"),
        world.post("/v1/jobs", {}, token="viewer-token"),
        world.send_event({}, token=EVENT_TOKEN + "x"),
        world.get("/openapi.json"),
        world.get("/metrics"),
    ):
        for token in (*TOKENS.values(), EVENT_TOKEN):
            assert token not in reply.text
