"""Waiting for a platform: by what a gateway answers, one look after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.stub import ANY, Stubber

from loadtest.collect import StoreAddress, open_client
from loadtest.conduct.preflight import NotReady
from loadtest.conduct.readiness import IN_A_ROW, wait_until_ready
from loadtest.scenario import load_scenario
from loadtest.target import Target

SCENARIO = load_scenario("short")
LOOKS = 40
"""More than any of these tests takes."""


@contextmanager
def gateway(jobs: list[int], ready: list[int]) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the paths that were asked. It answers each question with the next status
    of its list, and the last one again and again."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            statuses = ready if path == "/readyz" else jobs
            asked.append(path)
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def waited(url: str, timeout_s: float) -> list[str]:
    """What is told until it is ready, on a store that has both buckets."""
    target = Target(StoreAddress(None, "k", "s"), gateway_url=url, api_token="t")
    client, said = open_client(target.store), list[str]()
    with Stubber(client) as stub:
        for _ in range(2 * LOOKS):
            asked = {"Bucket": ANY, "Prefix": ANY, "MaxKeys": ANY}
            stub.add_response("list_object_versions", {}, asked)
        wait_until_ready(client, target, SCENARIO.load, timeout_s, said.append, pause_s=0.0)
    return said


def test_a_platform_that_is_ready_is_looked_at_a_few_times_and_nothing_is_told() -> None:
    with gateway([200], [200]) as (url, asked):
        assert waited(url, 30) == []
    assert asked == ["/v1/jobs", "/readyz"] * IN_A_ROW


def test_while_old_pods_answer_too_it_waits_until_none_does() -> None:
    # 401 is the answer of a pod that does not know the new token.
    jobs = [200, 401, 200, 200, 401, *[200] * IN_A_ROW]
    with gateway(jobs, [200]) as (url, asked):
        (told,) = waited(url, 30)
    assert "refuses the token (401)" in told
    assert asked.count("/v1/jobs") == 5 + IN_A_ROW


def test_a_gateway_that_calls_itself_not_ready_is_waited_for_and_each_reason_told_once() -> None:
    with gateway([200], [503, 503, 503, 200]) as (url, _):
        (told,) = waited(url, 30)
    assert told.startswith("Not ready yet: the gateway at http://127.0.0.1:")
    assert "is not ready: 503" in told


def test_one_that_never_is_ready_is_given_up_with_the_reason() -> None:
    with (
        gateway([200], [503]) as (url, _),
        pytest.raises(NotReady, match=r"is not ready: 503.*so it was for 0 s \(--wait\)"),
    ):
        waited(url, 0)
