"""Passwords that come apart from the URLs they belong to, as a cluster's secrets do."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.utils.url import url_to_parts
from pydantic import SecretStr
from redis.connection import parse_url

from marea.errors import ConfigError
from marea.settings import BrokerSettings, LedgerSettings, load_settings

EVERY_MARK = "p@ss:w/rd?#[]%20 &;'\"\\+é"


def broker(url: str, **more: SecretStr) -> BrokerSettings:
    return BrokerSettings(url=SecretStr(url), password=SecretStr(EVERY_MARK), **more)


@pytest.mark.parametrize("url", ["redis://marea@host:6379/0", "rediss://host/1", "redis://:@host"])
def test_any_password_reaches_a_redis_as_it_was_given(url: str) -> None:
    ledger = LedgerSettings(url=SecretStr(url), password=SecretStr(EVERY_MARK))
    assert parse_url(ledger.full_url)["password"] == EVERY_MARK
    assert parse_url(ledger.full_url).get("username", "") == ("marea" if "marea" in url else "")
    assert parse_url(ledger.full_url)["host"] == "host"
    assert broker(url).full_url == ledger.full_url


def test_any_password_reaches_rabbitmq_as_it_was_given() -> None:
    parts = url_to_parts(broker("amqp://ma%40rea@host:5672/a%2Fvhost?heartbeat=3").full_url)
    assert (parts.username, parts.password) == ("ma@rea", EVERY_MARK)
    assert (parts.hostname, parts.port, parts.path) == ("host", 5672, "a/vhost")


def test_several_addresses_in_one_url_each_get_the_password() -> None:
    url = "sentinel://marea@one:26379;sentinel://marea@two:26379"
    settings = BrokerSettings(url=SecretStr(url), password=SecretStr("a b"))
    assert settings.full_url == (
        "sentinel://marea:a%20b@one:26379;sentinel://marea:a%20b@two:26379"
    )


@pytest.mark.parametrize(
    ("management_url", "full"),
    [
        ("", ""),
        ("http://marea@host:15672", "http://marea:x%40@host:15672"),
        ("http://host:15672/rabbit", "http://broker:x%40@host:15672/rabbit"),
        ("http://watch:own@host:15672", "http://watch:own@host:15672"),
    ],
)
def test_the_management_api_takes_user_and_password_of_the_broker_unless_it_has_its_own(
    management_url: str, full: str
) -> None:
    settings = BrokerSettings(
        url=SecretStr("amqp://broker@host/marea"),
        password=SecretStr("x@"),
        management_url=SecretStr(management_url),
    )
    assert settings.full_management_url == full


def test_without_a_password_of_its_own_a_url_stays_as_it_is() -> None:
    assert LedgerSettings(url=SecretStr("redis://:own@h/1")).full_url == "redis://:own@h/1"
    assert BrokerSettings(url=SecretStr("amqp://u:own@h/v")).full_url == "amqp://u:own@h/v"


@pytest.mark.parametrize(
    ("section", "url"),
    [("BROKER", "redis://marea:hidden@host/0"), ("LEDGER", "redis://:hidden@host/0")],
)
def test_a_second_password_in_the_url_is_refused_without_showing_either(
    section: str, url: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({f"MAREA_{section}__URL": url, f"MAREA_{section}__PASSWORD": "hidden too"})
    assert refused.value.problems == [
        f"MAREA_{section}__PASSWORD: is given, and the URL holds one as well: leave one of them out"
    ]


def test_a_password_for_nobody_is_refused_by_rabbitmq_s_url() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"MAREA_BROKER__URL": "amqp://host/v", "MAREA_BROKER__PASSWORD": "x"})
    assert refused.value.problems == [
        "MAREA_BROKER__URL: names no user for the password: write amqp://USER@host/vhost"
    ]


def test_passwords_and_the_access_key_can_be_files(tmp_path: Path) -> None:
    for name in ("broker", "ledger", "key"):
        (tmp_path / name).write_text(f"of {name}\n")
    settings = load_settings(
        {
            "MAREA_BROKER__PASSWORD_FILE": str(tmp_path / "broker"),
            "MAREA_LEDGER__PASSWORD_FILE": str(tmp_path / "ledger"),
            "MAREA_STORE__ACCESS_KEY_FILE": str(tmp_path / "key"),
        }
    )
    assert settings.broker.password.get_secret_value() == "of broker"
    assert settings.ledger.full_url == "redis://:of%20ledger@127.0.0.1:6379/1"
    assert settings.store.access_key == "of key"


def test_what_is_no_secret_cannot_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MAREA_STORE__REGION_FILE: unknown variable"):
        load_settings({"MAREA_STORE__REGION_FILE": str(tmp_path)})


@pytest.mark.parametrize(
    "path", ["store.secret_key", "broker.password", "gateway.event_token", "notify.secret"]
)
def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path, path: str) -> None:
    section, field = path.split(".")
    file = tmp_path / "settings.yaml"
    file.write_text(f"{section}: {{{field}: 4711}}\n")
    with pytest.raises(ConfigError) as refused:
        load_settings({"MAREA_SETTINGS_FILE": str(file)})
    assert "4711" not in str(refused.value.problems)
