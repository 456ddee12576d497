"""What a user says of an app pool, and what is said back where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marea.cli.settings_table import effective_values
from marea.errors import ConfigError
from marea.settings import Settings, load_settings

VARIABLE = "MAREA_AUTOSCALER__APPS"
PASSWORD = "do-not-show-me"
URL = f"redis://shop:{PASSWORD}@broker/2"


def load(app: Any) -> Settings:
    return load_settings({VARIABLE: json.dumps({"shop": app})})


def test_an_app_pool_is_its_queues_and_its_broker() -> None:
    app = load({"queues": ["celery", "mail"], "broker_url_file": "/run/url"}).autoscaler.apps[
        "shop"
    ]
    assert app.queues == ("celery", "mail")
    assert app.broker_url_file == Path("/run/url")
    assert app.silent_s == 90.0


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ({"queues": ["celery"]}, "exactly one of broker_url and broker_url_file"),
        (
            {"queues": ["celery"], "broker_url": URL, "broker_url_file": "/run/url"},
            "exactly one of broker_url and broker_url_file",
        ),
        ({"queues": [], "broker_url": URL}, "at least 1 item"),
        ({"queues": ["celery", "celery"], "broker_url": URL}, "queues must be names, each of"),
        ({"queues": ["celery"], "broker_url": URL, "silent_s": -1}, "greater than or equal to 0"),
        ({"queues": ["celery"], "broker": URL, "broker_url": URL}, "Extra inputs"),
        (URL, "valid dictionary"),
    ],
)
def test_what_makes_no_app_pool_is_refused_and_the_url_not_shown(app: Any, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(app)
    text = "\n".join(refused.value.problems)
    assert said in text
    assert f"{VARIABLE}__SHOP" in text
    assert PASSWORD not in text


def test_settings_in_effect_do_not_show_the_url() -> None:
    shown = effective_values(load({"queues": ["celery"], "broker_url": URL}))[VARIABLE]
    assert "celery" in shown
    assert PASSWORD not in shown
