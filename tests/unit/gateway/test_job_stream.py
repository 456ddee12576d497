"""Server-sent events over a real socket: the test client reads only what has ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from gateway_world import DONE, World, bearer, minio_event, served
from waiting import wait_until

from marea.errors import LedgerUnavailable
from marea.gateway.stream import JobStreams


@contextmanager
def stream(url: str, query: str = "") -> Iterator[Iterator[str]]:
    """Lines of an open stream, its greeting read."""
    with httpx.stream(
        "GET", f"{url}/v1/stream{query}", headers=bearer("viewer-token"), timeout=10
    ) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = reply.iter_lines()
        assert next(lines) == "retry: 2000"
        yield lines


def next_event(lines: Iterator[str]) -> tuple[str, dict[str, object]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))
    pytest.fail("the stream ended without an event")


def test_a_stream_delivers_the_changes_of_a_job() -> None:
    world = World()
    with served(world) as (url, _), stream(url) as lines:
        (job_id,) = world.send_event(minio_event(world.upload())).json()["jobs"]
        world.end(job_id, DONE)
        phases = []
        while "done" not in phases:
            name, job = next_event(lines)
            assert (name, job["id"]) == ("job", job_id)
            phases.append(job["phase"])
        assert phases == ["accepted", "queued", "done"]


def test_a_stream_shows_only_what_was_asked_for() -> None:
    world = World()
    with served(world) as (url, _), stream(url, "?phase=done") as lines:
        jobs = [
            world.send_event(minio_event(world.upload(key))).json()["jobs"][0]
            for key in ("a.jpg", "b.jpg")
        ]
        world.end(jobs[1], DONE)
        assert next_event(lines)[1]["id"] == jobs[1]


def test_a_quiet_stream_is_kept_open_by_heartbeats() -> None:
    world = World()
    world.gateway.streams.heartbeat_s = 0.01
    with served(world) as (url, _), stream(url) as lines:
        beats = 0
        while beats < 3:
            beats += next(lines) == ": beat"


def test_a_listener_that_leaves_is_forgotten_and_the_watch_ends() -> None:
    world = World()
    with served(world) as (url, _):
        with stream(url):
            assert world.gateway.streams.listener_count == 1
            assert watching()
        wait_until(lambda: world.gateway.streams.listener_count == 0, "the listener is gone")
        wait_until(lambda: not watching(), "the watching thread has ended")
        with stream(url) as lines:  # and a new one is served again
            world.send_event(minio_event(world.upload()))
            assert next_event(lines)[0] == "job"


def watching() -> bool:
    return any(thread.name == "job-watch" for thread in threading.enumerate())


def test_streams_are_bounded_in_number() -> None:
    world = World()
    object.__setattr__(world.gateway, "streams", JobStreams(world.ledger, max_streams=1))
    with served(world) as (url, _), stream(url):
        reply = httpx.get(f"{url}/v1/stream", headers=bearer("viewer-token"))
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "too-many-streams")
        assert "retry-after" in reply.headers


def test_open_streams_do_not_hold_up_the_shutdown() -> None:
    world = World()
    with served(world) as (url, server), stream(url) as lines:
        server.handle_exit(15, None)
        name, reason = next_event(lines)
        assert (name, reason) == ("end", "the gateway is stopping")
        assert list(lines) == [""]


def test_a_ledger_that_cannot_be_watched_is_a_503() -> None:
    world = World()

    def away(*, poll_s: float = 1.0) -> Iterator[None]:
        raise LedgerUnavailable("the ledger does not answer")

    world.ledger.watch = away  # type: ignore[method-assign]
    with served(world) as (url, _):
        reply = httpx.get(f"{url}/v1/stream", headers=bearer("viewer-token"))
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ledger-unavailable")
        assert world.gateway.streams.listener_count == 0


def test_a_watch_that_is_lost_ends_the_stream_with_its_reason() -> None:
    world = World()
    lose = threading.Event()

    def losing(*, poll_s: float = 1.0) -> Iterator[None]:
        def states() -> Iterator[None]:
            while not lose.wait(0.01):
                yield None
            raise LedgerUnavailable("the connection was lost")

        return states()

    world.ledger.watch = losing  # type: ignore[method-assign]
    with served(world) as (url, _), stream(url) as lines:
        lose.set()
        assert next_event(lines) == ("end", "the connection was lost")
