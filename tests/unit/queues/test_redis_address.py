"""What a URL of a Redis means, for redis-py and for kombu, and what is said of a wrong one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from marea.errors import ConfigError
from marea.queues.celery import create_celery_app
from marea.queues.redis_address import (
    RedisAddress,
    broker_address,
    kombu_address,
    ledger_address,
    parse_redis_url,
)
from marea.settings import load_settings

THREE = "redis+sentinel://marea:p%40ss@one:26379,two,[::3]:5000/my%2Fmaster/4"


def parse(url: str, sentinel_password: str = "") -> RedisAddress:
    return parse_redis_url(url, "MAREA_BROKER__URL", sentinel_password)


def test_a_plain_address_has_its_usual_port_and_database() -> None:
    assert parse("redis://cache") == RedisAddress((("cache", 6379),))
    assert parse("redis://:se%2Fcret@cache:7000/3") == RedisAddress(
        (("cache", 7000),), database=3, password="se/cret"
    )


def test_sentinels_are_hosts_before_the_primarys_name_and_the_database() -> None:
    address = parse(THREE)
    assert address.hosts == (("one", 26379), ("two", 26379), ("::3", 5000))
    assert (address.primary, address.database) == ("my/master", 4)
    assert (address.username, address.password) == ("marea", "p@ss")
    assert address.tls is None


def test_tells_an_address_without_its_passwords() -> None:
    address = parse(THREE, "sentinels' own")
    told = "redis+sentinel://marea@one:26379,two:26379,[::3]:5000/my%2Fmaster/4"
    assert str(address) == told
    for text in (repr(address), repr(kombu_address(address)), str(address)):
        assert "p@ss" not in text
        assert "p%40ss" not in text
        assert "own" not in text


def test_tls_verifies_certificate_and_name_unless_told_otherwise(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert parse(f"rediss://cache?ssl_ca_certs={ca}").tls == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(ca),
    }
    assert parse("rediss://cache?ssl_check_hostname=false").tls == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": False,
    }
    for none in ("none", "CERT_NONE"):
        assert parse(f"rediss+sentinel://cache/m?ssl_cert_reqs={none}").tls == {
            "ssl_cert_reqs": ssl.CERT_NONE,
            "ssl_check_hostname": False,
        }


def test_kombu_is_told_the_same() -> None:
    place = kombu_address(parse("rediss://marea:p%40ss@cache:7000/3"))
    connection: Any = Connection(place.url, ssl=place.use_ssl)  # type: ignore[no-untyped-call]
    assert connection.transport_cls == "rediss"
    assert (connection.hostname, connection.port, connection.virtual_host) == ("cache", 7000, "3")
    assert (connection.userid, connection.password) == ("marea", "p@ss")
    assert connection.ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def test_kombu_gets_every_sentinel_and_its_login() -> None:
    place = kombu_address(parse(f"{THREE}?sentinel_username=watcher", "sentinels' own"))
    connection: Any = Connection(place.url)  # type: ignore[no-untyped-call]
    assert connection.transport_cls == "sentinel"
    assert connection.virtual_host == "4"
    assert [alternate.rpartition("@")[2] for alternate in connection.alt] == [
        "one:26379/4",
        "two:26379/4",
        "[::3]:5000/4",
    ]
    assert place.transport_options["master_name"] == "my/master"
    login = place.transport_options["sentinel_kwargs"]
    assert (login["username"], login["password"]) == ("watcher", "sentinels' own")


def test_a_worker_behind_sentinels_has_every_option_of_one_without() -> None:
    def options(url: str) -> dict[str, Any]:
        settings = load_settings({}, overrides={"broker": {"url": url}})
        app = create_celery_app(settings, worker="w1", pools=("images",))
        assert app.conf.worker_disable_prefetch
        options: dict[str, Any] = app.conf.broker_transport_options
        return options

    behind = options("redis+sentinel://one,two/mymaster/0")
    assert behind["unacked_key"] == "marea:unacked:w1"
    own = {"master_name", "sentinel_kwargs"}
    assert {name: behind[name] for name in behind if name not in own} == options("redis://one/0")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sentinel://one:26379;sentinel://two:26379", "redis+sentinel://[user@]host"),
        ("unix:///run/redis.sock", "unix:// is no address of a Redis"),
        ("redis://one,two/0", "several hosts need a sentinel"),
        ("redis://", "a host is missing"),
        ("redis://one:port/0", "'one:port' is no host and port"),
        ("redis://one/first", "the database must be a number, not 'first'"),
        ("redis+sentinel://one:26379", "the name of the primary is missing"),
        ("redis+sentinel://one:26379/0", "the name of the primary is missing"),
        ("redis+sentinel://one/mymaster/0/1", "the database must be a number, not '0/1'"),
        ("redis://one?db=3", "unknown parameter db; there are ssl_ca_certs"),
        ("redis://one?ssl_ca_certs=/ca", "ssl_ca_certs without TLS: write rediss://"),
        ("redis+sentinel://one/m?ssl_ca_certs=/ca", "write rediss+sentinel://"),
        ("rediss://one?ssl_ca_certs=/no/ca.pem", "ssl_ca_certs=/no/ca.pem: cannot be read: No"),
        ("rediss://one?ssl_cert_reqs=maybe", "ssl_cert_reqs=maybe: must be required or none"),
        ("rediss://one?ssl_check_hostname=no", "ssl_check_hostname=no: must be true or false"),
        ("rediss://one?ssl_certfile=/etc/hostname", "go together: one of them is missing"),
        ("redis://one?sentinel_username=watcher", "a sentinel's login without a sentinel"),
    ],
)
def test_says_what_is_wrong_and_what_to_write(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(url.replace("://", "://marea:hunter2@") if "unix" not in url else url)
    assert str(refusal.value).startswith("MAREA_BROKER__URL: ")
    assert said in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_password_of_sentinels_needs_sentinels() -> None:
    with pytest.raises(ConfigError, match="a sentinel's login without a sentinel"):
        parse("redis://one/0", "secret")


@pytest.mark.parametrize("section", ["broker", "ledger"])
def test_each_section_gives_its_sentinels_their_own_password(section: str) -> None:
    url = "redis+sentinel://marea@one:26379,two:26379/mymaster/2"
    settings = load_settings(
        {
            f"MAREA_{section.upper()}__URL": url,
            f"MAREA_{section.upper()}__PASSWORD": "a/b",
            f"MAREA_{section.upper()}__SENTINEL_PASSWORD": "c/d",
        }
    )
    address = (
        broker_address(settings.broker) if section == "broker" else ledger_address(settings.ledger)
    )
    assert settings.broker.kind == "redis"
    assert (address.username, address.password) == ("marea", "a/b")
    assert address.sentinel_login == {"password": "c/d"}
