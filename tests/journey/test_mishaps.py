"""One mishap after the other on one platform with default settings, as it is deployed.

A mishap meets what the one before left behind, and each is judged over the whole history.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
import redis
from journey import Journey, journey, kept_folder, tell
from victims import kill_group, living, resume_groups, stop_groups, the_only
from waiting import wait_until

from marea.wiring import build_broker

pytestmark = pytest.mark.timeout(180)

BURST, UPLOADS_PER_S = 40, 6.0
EMPTYINGS, BETWEEN_S = 2, 3.0
AWAY_S = 8.0
"""Longer than MinIO's own 5 s timeout for an event, so that deliveries fail, not only wait."""
POOL = "images"
PROMISE_S = 30.0
"""From the death of a worker to its jobs being ready for another, as the README promises."""
JOB_S = 5.0
"""The longest job here, on a busy machine."""


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest) -> Iterator[Journey]:
    """The platform of all tests of one broker, which each test names by `on`."""
    with (
        kept_folder(request.session) as folder,
        journey(folder, request.param, environment={}) as started,
    ):
        yield started


def on(*brokers: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("run", brokers, indirect=True, scope="module")


@on("redis", "rabbitmq")
def test_every_upload_ends_right_though_redis_is_emptied(run: Journey) -> None:
    with run.uploads(seed=2, per_s=UPLOADS_PER_S):
        for _ in range(EMPTYINGS):
            run.upload(seed=20, count=BURST)
            open_before = len(run.open_uploads())
            tell(f"emptied Redis of {empty_redis(run)} keys, with {open_before} uploads open")
            time.sleep(BETWEEN_S)
    run.settle()
    run.judge()


@on("redis")
def test_uploads_made_while_the_gateway_hangs_end_right(run: Journey) -> None:
    gateway = the_only(run.platform.pid, "gateway")
    with run.uploads(seed=5, per_s=UPLOADS_PER_S):
        gateway.suspend()
        try:
            time.sleep(AWAY_S)
            tell(f"{len(run.open_uploads())} uploads open while the gateway hangs")
        finally:
            gateway.resume()
        tell("the gateway goes on")
    run.settle()
    run.judge()


@on("redis")
def test_a_dead_workers_jobs_are_ready_for_another_in_time(run: Journey) -> None:
    """The supervisor stands still, so there is no other worker until later."""
    run.upload(seed=6, count=BURST)
    os.kill(run.platform.pid, signal.SIGSTOP)
    try:
        lost_at, interrupted = kill_pool_at_work(run)
        wait_until(
            lambda: not claimed(run) and not held(run),
            "every job of the dead worker is ready again",
            timeout_s=PROMISE_S,
            poll_s=0.2,
        )
        tell(f"ready again after {time.monotonic() - lost_at:.1f} s")
    finally:
        os.kill(run.platform.pid, signal.SIGCONT)
    run.settle()
    run.judge()
    charged = {row.job.id: row.attempts for row in run.rows() if row.attempts > 1}
    assert not charged.keys() & set(interrupted), "a worker's death was charged to its jobs"


@on("rabbitmq")
def test_a_dead_workers_jobs_are_over_in_time_when_it_is_started_again(run: Journey) -> None:
    """RabbitMQ's case: its messages come back at once, while the dead worker's claims live."""
    run.upload(seed=7, count=BURST)
    lost_at, _ = kill_pool_at_work(run)
    run.settle(PROMISE_S + JOB_S)
    tell(f"all was over {time.monotonic() - lost_at:.1f} s after the kill")
    run.judge()


def empty_redis(run: Journey) -> int:
    """FLUSHALL: the ledger and, if it is the broker, the queues. How many keys there were."""
    client = redis.Redis.from_url(run.settings.ledger.full_url)
    keys = sum(int(database["keys"]) for database in client.info("keyspace").values())
    client.flushall()
    client.close()
    return keys


def kill_pool_at_work(run: Journey) -> tuple[float, list[str]]:
    """SIGKILL the pool while jobs are under way: when, and the ids of those jobs.

    A job takes some 50 ms, so the pool stands still before anybody looks; if it was caught
    between two jobs, it goes on for a moment.
    """
    workers = [w for w in living(run.platform.pid)["worker"] if POOL in w.cmdline()]

    def caught_at_work() -> bool:
        if not claimed(run):
            return False
        stop_groups(workers)
        if claimed(run):
            return True
        resume_groups(workers)
        return False

    wait_until(caught_at_work, "the pool is caught at work", timeout_s=20, poll_s=0.01)
    interrupted = claimed(run)
    for worker in workers:
        kill_group(worker)
    tell(f"killed the pool with {len(interrupted)} jobs under way")
    return time.monotonic(), interrupted


def claimed(run: Journey) -> list[str]:
    """Ids of the pool's jobs that the ledger shows as running."""
    return [row.job.id for row in run.rows() if row.phase == "running" and row.job.pool == POOL]


def held(run: Journey) -> int:
    """Messages of the pool that some worker holds, dead or alive."""
    return sum(depth.unacked or 0 for depth in build_broker(run.settings).depths((POOL,)).values())
