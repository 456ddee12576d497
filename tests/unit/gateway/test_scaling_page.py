"""docs/scaling-signal.md says what the gateway does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from decided import burst, record
from gateway_world import World

from marea.gateway.app import ROUTES
from marea.telemetry.metrics import POOL_GAUGES

PAGE = (Path(__file__).parents[3] / "docs" / "scaling-signal.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_every_gauge_is_listed_and_no_other() -> None:
    assert re.findall(r"^\| `(marea_[a-z_]+)` \|", PAGE, re.M) == list(POOL_GAUGES)
    assert set(re.findall(r"marea_pool_[a-z_]+", PAGE)) == set(POOL_GAUGES)


def test_every_address_is_listed_and_no_other() -> None:
    listed = {path.split("?")[0] for path in re.findall(r"^\| `GET (/v1/[^`]+)`", PAGE, re.M)}
    assert listed == {route.path for route in ROUTES if route.path.startswith("/v1/scaling")}


def test_the_answer_that_is_shown_is_of_the_gateways_form() -> None:
    world = World()
    record(world, burst(world.clock.now()))
    (shown,) = map(json.loads, examples("json"))
    told = world.get("/v1/scaling/images").json()
    assert list(shown) == list(told)
    assert set(shown["inputs"]) <= set(told["inputs"])
    assert list(shown["bounds"]) == list(told["bounds"])


def test_keda_is_told_an_address_and_a_field_that_hold_a_number() -> None:
    world = World()
    record(world, burst(world.clock.now()))
    _alerts, keda, _hpa = examples("yaml")
    _, scaled = yaml.safe_load_all(keda)
    asked = scaled["spec"]["triggers"][0]["metadata"]
    path = asked["url"].removeprefix("http://marea-gateway")
    value = world.get(path).json()[asked["valueLocation"]]
    assert value == burst(world.clock.now()).replicas
    assert float(asked["targetValue"]) == 1.0


def test_the_alerts_and_the_hpa_ask_for_gauges_that_there_are() -> None:
    alerts, _keda, hpa = examples("yaml")
    assert {rule["alert"] for rule in yaml.safe_load(alerts)} == {
        "MareaAutoscalerIsAway",
        "MareaPoolIsHeld",
    }
    metric = yaml.safe_load(hpa)["spec"]["metrics"][0]["external"]["metric"]
    assert metric["name"] in POOL_GAUGES
    assert metric["selector"]["matchLabels"] == {"pool": "images"}
