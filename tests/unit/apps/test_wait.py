"""What an application's pod does before Celery starts."""

from __future__ import annotations

import socket
import threading

import pytest

from marea.apps.wait import addresses, wait
from marea.clock import SystemClock


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://app:secret@marea-valkey.ns.svc/2", [("marea-valkey.ns.svc", 6379)]),
        ("rediss://:secret@[::1]:7000/0?ssl_cert_reqs=required", [("::1", 7000)]),
        ("sentinel://a;sentinel://b:7001", [("a", 26379), ("b", 7001)]),
    ],
)
def test_the_servers_of_a_redis_are_read_from_its_url(
    url: str, expected: list[tuple[str, int]]
) -> None:
    assert addresses(url) == expected


@pytest.mark.parametrize("url", ["", "amqp://rabbit", "redis://h:port", "redis+socket:///run/r"])
def test_what_is_no_redis_with_an_address_is_not_waited_for(url: str) -> None:
    assert addresses(url) == []
    wait(addresses(url), SystemClock())


def test_it_says_what_it_waits_for_and_ends_once_one_server_accepts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # The port of nobody now.
    waiting = threading.Thread(target=wait, args=([("127.0.0.1", port)], SystemClock()))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    with socket.create_server(("127.0.0.1", port)):
        waiting.join(10)
        assert not waiting.is_alive()
    assert f"waiting for the broker at 127.0.0.1:{port}: " in capsys.readouterr().err


def test_another_server_of_several_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        nobody = dead.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as server:
        wait([nobody, server.getsockname()], SystemClock())
