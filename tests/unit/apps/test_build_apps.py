"""From the settings to applications, or to sentences about what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marea.clock import SystemClock
from marea.errors import ConfigError
from marea.settings import load_settings
from marea.wiring import build_apps, build_targets

OWN = ("images", "quarantine")


def build(**apps: dict[str, Any]) -> Any:
    settings = load_settings({"MAREA_AUTOSCALER__APPS": json.dumps(apps)})
    return build_apps(settings, OWN, SystemClock())


def test_the_url_is_read_from_its_file_and_nothing_is_connected_to(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("redis://nobody:secret@nowhere.invalid/2\n")
    assert set(build(shop={"queues": ["celery"], "broker_url_file": str(file)})) == {"shop"}


@pytest.mark.parametrize(
    ("pool", "app", "said"),
    [
        ("images", {"broker_url": "redis://h/2"}, "'images' is a pool of Marea's own workers"),
        ("shop", {"broker_url_file": "/does/not/exist"}, "shop.broker_url_file=/does/not/exist"),
        ("shop", {"broker_url": "sqs://key:secret@"}, "the kind 'sqs'"),
        ("shop", {"broker_url": "no-url-but-a-secret"}, "has no URL"),
    ],
)
def test_what_cannot_be_built_is_told_without_the_url(
    pool: str, app: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        build(**{pool: {"queues": ["celery"], **app}})
    (problem,) = refused.value.problems
    assert problem.startswith("MAREA_AUTOSCALER__APPS: ")
    assert said in problem
    assert "secret" not in problem


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        build(
            images={"queues": ["celery"], "broker_url": "redis://h/2"},
            shop={"queues": ["celery"], "broker_url": "sqs://"},
        )
    assert len(refused.value.problems) == 2


def test_an_app_pool_has_a_target_like_any_other() -> None:
    pools = json.dumps({"shop": {"slots": 4, "max_replicas": 7}})
    targets = build_targets(load_settings({"MAREA_AUTOSCALER__POOLS": pools}), (*OWN, "shop"))
    assert (targets["shop"].slots, targets["shop"].max_replicas) == (4, 7)
