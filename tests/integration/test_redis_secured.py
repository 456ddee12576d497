"""Broker and ledger on a Redis that is locked down: TLS, users with few rights, no eviction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from brokers import Kit, make_job, real_kit, wait_until, workers_of
from certificates import Authority
from ledger_states import make_state
from redis_nodes import RedisNode, documented_user, refusals
from servers import server_folder

from marea.clock import SystemClock
from marea.errors import BrokerUnavailable, LedgerUnavailable, MareaError
from marea.results.redis import RedisLedger
from marea.settings import LedgerSettings
from marea.up.servers import free_port

PASSWORD = "p@ss/w%rd :;"
ADMIN_PASSWORD = "admin"


@contextmanager
def running(*lines: str, port: int | None = None) -> Iterator[RedisNode]:
    with server_folder("redis") as folder:
        node = RedisNode(folder / "node", lines, port)
        try:
            yield node.start()
        finally:
            node.kill()


@contextmanager
def tls_server(authority: Authority, *lines: str) -> Iterator[RedisNode]:
    server = authority.sign("server", "127.0.0.1")
    port = free_port()
    with running(
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {server.certificate}",
        f"tls-key-file {server.key}",
        f"tls-ca-cert-file {authority.ca_file}",
        *(lines or ("tls-auth-clients no",)),
        port=port,
    ) as node:
        yield node


def ledger_on(url: str, **changes: object) -> RedisLedger:
    return RedisLedger(LedgerSettings.model_validate({"url": url, **changes}), SystemClock())


def complaints(kit: Kit, ledger: RedisLedger) -> list[str]:
    """What publisher, broker and ledger say, each of which must refuse."""
    told = []
    for call in (kit.publisher.ping, kit.broker.epoch, ledger.ping):
        with pytest.raises(MareaError) as refusal:
            call()
        assert isinstance(refusal.value, BrokerUnavailable | LedgerUnavailable)
        told.append(str(refusal.value))
    return told


def assert_works(kit: Kit, ledger: RedisLedger, folder: Path) -> None:
    """A job goes in, a real worker takes it, a dead one's comes back; the ledger keeps a row."""
    with workers_of(kit, folder) as workers:
        workers.start("worker-1")
        kit.publisher.publish(make_job("a.jpg"))
        wait_until(lambda: workers.started_keys() == ["a.jpg"])
        kit.publisher.publish(make_job("block/b.jpg"))
        wait_until(lambda: "block/b.jpg" in workers.started_keys())
        workers.kill("worker-1")
    assert kit.broker.holders() == {"worker-1": 1}
    assert kit.broker.requeue("worker-1") == 1
    assert kit.broker.depths(("images",))["images.normal"].ready == 1
    stored = ledger.save(make_state())
    assert stored is not None
    assert ledger.load(stored.job.id) == stored


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_port(authority: Authority) -> Iterator[int]:
    with tls_server(authority) as node:
        yield node.port


def test_works_over_tls_with_a_ca_of_ones_own(
    authority: Authority, tls_port: int, tmp_path: Path
) -> None:
    query = f"?ssl_ca_certs={authority.ca_file}"
    assert_works(
        real_kit(f"rediss://127.0.0.1:{tls_port}/0{query}"),
        ledger_on(f"rediss://127.0.0.1:{tls_port}/1{query}"),
        tmp_path,
    )


@pytest.mark.parametrize("place", ["127.0.0.1", "localhost"])
def test_names_the_setting_when_the_ca_is_another(
    tls_port: int, tmp_path: Path, place: str
) -> None:
    query = f"?ssl_ca_certs={Authority(tmp_path, 'somebody else').ca_file}"
    url = f"rediss://{place}:{tls_port}/0{query}"
    for sentence in complaints(real_kit(url), ledger_on(url)):
        assert "is not signed by the CA that ssl_ca_certs names" in sentence


def test_trusts_no_private_ca_by_itself(tls_port: int) -> None:
    url = f"rediss://127.0.0.1:{tls_port}/0"
    for sentence in complaints(real_kit(url), ledger_on(url)):
        assert "is not signed by the CA that ssl_ca_certs names" in sentence


def test_says_that_the_certificate_is_for_another_name(authority: Authority, tls_port: int) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={authority.ca_file}"
    for sentence in complaints(real_kit(url), ledger_on(url)):
        assert "certificate is for another name than the URL's" in sentence
    real_kit(f"{url}&ssl_check_hostname=false").publisher.ping()
    ledger_on(f"{url}&ssl_check_hostname=false").ping()


def test_shows_a_certificate_of_its_own_where_the_server_asks(authority: Authority) -> None:
    own = authority.sign("marea")
    with tls_server(authority, "tls-auth-clients yes") as node:
        url = f"rediss://127.0.0.1:{node.port}/0?ssl_ca_certs={authority.ca_file}"
        for sentence in complaints(real_kit(url), ledger_on(url)):
            # By the moment in which the server hangs up it is an alert, or nothing at all.
            assert "ssl_certfile and ssl_keyfile" in sentence
        url = f"{url}&ssl_certfile={own.certificate}&ssl_keyfile={own.key}"
        real_kit(url).publisher.publish(make_job())
        ledger_on(url).ping()


def test_guesses_that_one_side_speaks_tls_alone(redis_url: str, tls_port: int) -> None:
    quick = {"publish_timeout_s": 0.6}
    url = redis_url.replace("redis://", "rediss://")
    for sentence in complaints(real_kit(url, **quick), ledger_on(url, timeout_s=0.3)):
        assert "one without TLS on this port keeps silent to rediss://" in sentence
    url = f"redis://127.0.0.1:{tls_port}/0"
    for sentence in complaints(real_kit(url, **quick), ledger_on(url, timeout_s=0.3)):
        assert "as one does that is stopping, or wants TLS (rediss://)" in sentence


# users


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisNode]:
    """The default user is off; there are `marea`, as documented, and one who may look."""
    with running(
        "user default off",
        f"user admin on >{ADMIN_PASSWORD} ~* &* +@all",
        documented_user('"').replace('>"', f'">{PASSWORD}"'),
    ) as node:
        yield node


@pytest.fixture
def admin(guarded: RedisNode) -> Iterator[redis.Redis]:
    with redis.Redis(port=guarded.port, username="admin", password=ADMIN_PASSWORD) as admin:
        admin.flushall()
        admin.acl_log_reset()
        yield admin


def test_works_as_a_user_with_the_least_rights(
    guarded: RedisNode, admin: redis.Redis, tmp_path: Path
) -> None:
    url = f"redis://marea@127.0.0.1:{guarded.port}"
    kit = real_kit(f"{url}/0", password=PASSWORD)
    assert_works(kit, ledger_on(f"{url}/1", password=PASSWORD), tmp_path)
    assert refusals(admin) == []


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "DEBUG SLEEP 0",
        "SHUTDOWN NOSAVE",
        "MONITOR",
        "ACL LIST",
        "CLIENT LIST",
        "REPLICAOF NO ONE",
        "SCRIPT FLUSH",
        "SAVE",
        "GET somebody-elses",
        "RPUSH somebody-elses 1",
        "PUBLISH somebody-elses 1",
    ],
)
def test_that_user_can_neither_rule_the_server_nor_see_others(
    guarded: RedisNode, admin: redis.Redis, command: str
) -> None:
    with (
        redis.Redis(port=guarded.port, username="marea", password=PASSWORD) as client,
        # DEBUG has a switch of its own in front of the ACL.
        pytest.raises(redis.ResponseError, match=r"permissions|DEBUG command not allowed"),
    ):
        client.execute_command(*command.split())


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("", "the server asks for a user and password"),
        ("marea:wrong@", "the server refuses this user and password"),
        ("nobody:wrong@", "the server refuses this user and password"),
    ],
)
def test_says_what_is_wrong_with_the_login(guarded: RedisNode, login: str, said: str) -> None:
    url = f"redis://{login}127.0.0.1:{guarded.port}/0"
    for sentence in complaints(real_kit(url), ledger_on(url)):
        assert said in sentence
        assert "wrong@" not in sentence


def test_says_that_the_acl_allows_too_little(guarded: RedisNode, admin: redis.Redis) -> None:
    admin.acl_setuser("poor", enabled=True, passwords=["+poor"], categories=["+@connection"])
    url = f"redis://poor:poor@127.0.0.1:{guarded.port}/0"
    for call in (
        lambda: real_kit(url).publisher.publish(make_job()),
        lambda: real_kit(url).broker.epoch(),
        lambda: ledger_on(url).load("0" * 32),
    ):
        with pytest.raises(MareaError, match="ACL does not let this user do what Marea does"):
            call()


# eviction


def test_refuses_a_server_that_evicts_until_it_is_set_right() -> None:
    with running("maxmemory 64mb", "maxmemory-policy allkeys-lru") as node:
        url = f"redis://127.0.0.1:{node.port}/0"
        kit, ledger = real_kit(url), ledger_on(url)
        for sentence in complaints(kit, ledger):
            assert "maxmemory-policy is allkeys-lru" in sentence
            assert "set maxmemory-policy noeviction there" in sentence
        with pytest.raises(BrokerUnavailable, match="allkeys-lru"):
            kit.publisher.publish(make_job())
        with redis.Redis(port=node.port) as operator:
            assert operator.keys("*") == []
            operator.config_set("maxmemory-policy", "noeviction")
        kit.publisher.publish(make_job())
        assert kit.broker.depths(("images",))["images.normal"].ready == 1
        ledger.ping()


@pytest.mark.parametrize(
    "lines",
    [
        ("maxmemory 64mb", "maxmemory-policy volatile-ttl"),
        ("maxmemory 0", "maxmemory-policy allkeys-lru"),
    ],
)
def test_takes_a_server_that_evicts_nothing_that_is_open(lines: tuple[str, str]) -> None:
    with running(*lines) as node:
        url = f"redis://127.0.0.1:{node.port}/0"
        real_kit(url).publisher.publish(make_job())
        ledger_on(url).ping()


# TLS, users and sentinels at once


def test_works_behind_a_sentinel_with_tls_and_logins_of_its_own(
    authority: Authority, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(
            tls_server(authority, "tls-auth-clients no", documented_user("limited"))
        )
        sentinel = stack.enter_context(
            tls_server(
                authority,
                "tls-auth-clients no",
                "tls-replication yes",
                "requirepass sentinels",
                f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1",
            )
        )
        url = (
            f"rediss+sentinel://marea@127.0.0.1:{sentinel.port}/mymaster/{{}}"
            f"?ssl_ca_certs={quote(str(authority.ca_file))}"
        )
        logins = {"password": "limited", "sentinel_password": "sentinels"}
        kit, ledger = real_kit(url.format(0), **logins), ledger_on(url.format(1), **logins)
        wait_until(lambda: _answers(ledger))
        assert_works(kit, ledger, tmp_path)
        stranger = ledger_on(url.format(1), password="limited")
        with pytest.raises(LedgerUnavailable, match="sentinels refuse the user or password"):
            stranger.ping()


def _answers(ledger: RedisLedger) -> bool:
    """The sentinel has to look at the primary first."""
    try:
        ledger.ping()
    except LedgerUnavailable:
        return False
    return True
