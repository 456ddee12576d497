"""The worker process around Celery, with real brokers, a real ledger and real signals."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import redis
from servers import started_server
from waiting import wait_until
from worker_trial import START_S, Trial, trial

from marea.messages.job import Job
from marea.queues.redis import unacked_keys
from marea.up.redis_server import RedisServer
from marea.up.servers import free_port
from marea.worker.liveness import check_liveness, read_liveness

pytestmark = pytest.mark.timeout(90)


def test_a_job_runs_and_its_worker_is_seen_to_run_it(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        worker.started("one")
        worker.wait(lambda: (beat := worker.beat()) and job.id in beat.active, "the beat names it")
        beat = worker.beat()
        assert beat is not None
        assert (beat.pool, beat.slots, beat.held, beat.draining) == ("images", 2, 1, False)
        assert beat.worker.startswith("images@")
        worker.open("one")
        worker.wait(lambda: worker.state(job).phase == "done", "the job is done")
        worker.wait(lambda: (beat := worker.beat()) and not beat.active, "nothing is active")
        worker.wait(worker.nothing_is_held, "the message is acknowledged")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_shutdown_finishes_the_running_job_acknowledges_it_and_exits_with_0(
    broker_url: str, ledger_url: str, tmp_path: Path, stop: signal.Signals
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        worker.started("one")
        # To the whole group, as a terminal and some supervisors send it.
        os.killpg(worker.process.pid, stop)
        worker.wait(lambda: (beat := worker.beat()) and beat.draining, "it says that it drains")
        assert worker.state(job).phase == "running"
        worker.open("one")
        assert worker.exit_status() == 0, worker.log.read_text()
        assert worker.state(job).phase == "done"
        assert worker.nothing_is_held()
        assert worker.beat() is None, "a worker that has stopped is off the ledger"


def test_heartbeats_go_on_while_a_shutdown_waits_for_a_job(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        worker.started("one")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait(lambda: (beat := worker.beat()) and beat.draining, "it says that it drains")
        first = worker.beat()
        assert first is not None
        worker.wait(
            lambda: (beat := worker.beat()) and beat.expires_at > first.expires_at + 1,
            "the lease is renewed",
        )
        beat = worker.beat()
        assert beat is not None
        assert beat.active == (job.id,)
        worker.open("one")
        assert worker.exit_status() == 0


def test_a_child_killed_during_a_shutdown_is_charged_before_the_exit(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        child = worker.started("one")
        worker.process.terminate()
        worker.wait(lambda: (beat := worker.beat()) and beat.draining, "it says that it drains")
        os.kill(child, signal.SIGKILL)
        assert worker.exit_status() == 0, worker.log.read_text()
        assert worker.state(job).code == "child-killed"
        assert worker.nothing_is_held()


def test_a_shutdown_while_the_broker_is_away_finishes_the_running_job(
    ledger_url: str, tmp_path: Path
) -> None:
    with (
        started_server(RedisServer) as broker,
        trial(broker.url(), ledger_url, tmp_path) as worker,
    ):
        job = worker.submit("hold/one")
        worker.started("one")
        broker.kill()
        worker.wait(
            lambda: read_liveness(tmp_path / "alive").broker == "retrying", "it sees the outage"
        )
        worker.process.terminate()
        worker.wait(lambda: (beat := worker.beat()) and beat.draining, "it says that it drains")
        worker.open("one")
        assert worker.exit_status() == 0, worker.log.read_text()
        assert worker.state(job).phase == "done"


def test_a_worker_that_still_waits_for_the_ledger_can_be_stopped(
    redis_url: str, tmp_path: Path
) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/1"
    with trial(redis_url, nowhere, tmp_path) as worker:
        worker.wait(lambda: "waiting to start" in worker.log.read_text(), "it waits")
        assert says(tmp_path / "alive", "broker away"), "a restart would not help"
        worker.process.terminate()
        assert worker.exit_status() == 0, worker.log.read_text()


def test_a_killed_child_is_charged_with_its_cause_and_the_message_is_acknowledged(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        os.kill(worker.started("one"), signal.SIGKILL)
        worker.wait(lambda: worker.state(job).phase != "running", "the loss is charged")
        state = worker.state(job)
        assert (state.phase, state.attempts, state.code) == ("delayed", 1, "child-killed")
        assert "SIGKILL" in state.reason
        other = worker.submit("hold/two")
        worker.started("two")
        worker.open("two")
        worker.wait(lambda: worker.state(other).phase == "done", "the pool goes on")
        worker.process.terminate()
        assert worker.exit_status() == 0
        assert worker.nothing_is_held(), "nothing returns to the queue"


def test_a_job_over_the_hard_time_limit_is_killed_and_charged_once(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    limits = {"soft_time_limit_s": "0.5", "hard_time_limit_s": "1.5"}
    with trial(broker_url, ledger_url, tmp_path, **limits) as worker:
        job = worker.submit("stubborn/one")
        child = worker.started("one")
        worker.wait(lambda: worker.state(job).phase != "running", "the loss is charged")
        state = worker.state(job)
        assert (state.phase, state.attempts, state.code) == ("delayed", 1, "time-limit")
        worker.wait(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")
        worker.process.terminate()
        assert worker.exit_status() == 0
        assert worker.nothing_is_held()
        assert worker.log.read_text().count("job lost its process") == 1


def test_a_job_that_fails_by_memory_is_charged_and_its_neighbour_lives(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        neighbour = worker.submit("hold/one")
        worker.started("one")
        job = worker.submit("memory/two")
        worker.wait(lambda: worker.state(job).phase == "delayed", "the loss is charged")
        assert worker.state(job).code == "memory-limit"
        worker.open("one")
        worker.wait(lambda: worker.state(neighbour).phase == "done", "the neighbour is done")
        worker.wait(worker.nothing_is_held, "both are acknowledged")


def test_a_message_that_nothing_could_be_decided_on_comes_again(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("away/one")
        worker.wait(lambda: worker.state(job).phase == "done", "the second delivery is done")
        worker.wait(worker.nothing_is_held, "the message is acknowledged")
        assert worker.state(job).attempts == 1, "a ledger that was away is nobody's fault"


def fetch_ahead(worker: Trial) -> tuple[Job, Job, Job]:
    """Both slots at work, and a third message in the worker's hands: after some short jobs."""
    for number in range(5):
        worker.open(f"short{number}")
        worker.submit(f"hold/short{number}")
    worker.wait(worker.nothing_is_held, "the short jobs are over")
    first, second, third = (worker.submit(f"hold/{name}") for name in ("one", "two", "three"))
    worker.wait(lambda: sum(worker.broker.holders().values()) == 3, "one is fetched ahead")
    worker.started("one")
    worker.started("two")
    return first, second, third


def test_a_message_fetched_ahead_goes_back_when_the_jobs_before_it_take_long(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        *_, third = fetch_ahead(worker)
        worker.wait(lambda: worker.ready() == 1, "it is back in its queue")
        assert worker.state(third).attempts == 0
        for name in ("one", "two", "three"):
            worker.open(name)
        worker.wait(lambda: worker.state(third).phase == "done", "it runs when a slot is free")
        worker.wait(worker.nothing_is_held, "all is acknowledged")


def test_a_lost_connection_gives_back_what_was_fetched_and_not_begun(
    ledger_url: str, tmp_path: Path
) -> None:
    """Redis has a message noted as held by a live worker, which Celery forgot with its connection:
    nobody else can know of it before the visibility timeout, six minutes."""
    alive = tmp_path / "alive"
    with (
        started_server(RedisServer) as broker,
        trial(broker.url(), ledger_url, tmp_path) as worker,
    ):
        worker.wait(worker.beat, "the worker beats")
        beat = worker.beat()
        assert beat is not None
        # Its first beat goes out before it connects, and before that there is nothing to lose.
        worker.wait(lambda: read_liveness(alive).broker == "connected", "Celery is connected")
        worker.open("one")
        job = worker.submit("hold/one", pool="elsewhere")
        client = redis.Redis.from_url(broker.url())
        message = client.rpop("elsewhere.normal")
        keys = unacked_keys(beat.worker)
        client.hset(keys.messages, "a-tag", json.dumps([json.loads(message), "", "images.normal"]))
        client.zadd(keys.index, {"a-tag": time.time()})
        broker.kill()
        # Not before: a connection that redis-py mends by itself costs Celery nothing.
        worker.wait(lambda: read_liveness(alive).broker == "retrying", "Celery has given it up")
        broker.start()
        worker.wait(lambda: worker.state(job).phase == "done", "the job is done")
        worker.wait(worker.nothing_is_held, "it is acknowledged")
        worker.wait(worker.broker.holders, "its messages can be returned again")


def test_a_shutdown_gives_back_what_was_fetched_ahead(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        first, second, third = fetch_ahead(worker)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait(lambda: (beat := worker.beat()) and beat.draining, "it says that it drains")
        worker.open("one")
        worker.open("two")
        assert worker.exit_status() == 0, worker.log.read_text()
        assert {worker.state(job).phase for job in (first, second)} == {"done"}
        assert worker.state(third).phase == "queued"
        assert worker.ready() == 1


def test_a_quick_stop_gives_the_job_back_uncharged(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        child = worker.started("one")
        worker.process.send_signal(signal.SIGQUIT)
        assert worker.exit_status() == 1, worker.log.read_text()
        assert not Path(f"/proc/{child}").exists()
        wait_until(lambda: worker.ready() == 1, "the message is back", timeout_s=START_S)
        assert "job lost its process" not in worker.log.read_text()
        assert worker.state(job).phase == "running", "its dead owner is the reconciler's to find"


def test_children_die_with_their_parent(redis_url: str, ledger_url: str, tmp_path: Path) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        worker.submit("hold/one")
        child = worker.started("one")
        worker.process.kill()
        wait_until(lambda: not is_running(child), "the child is gone", timeout_s=START_S)


def test_children_forked_while_the_parents_threads_are_busy_work(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    # A child that inherited a held lock would hang in its first use of it.
    busy = {"heartbeat_s": "0.001", "max_jobs_per_child": "1"}
    with trial(redis_url, ledger_url, tmp_path, **busy) as worker:
        names = [f"job-{number}" for number in range(30)]
        for name in names:
            worker.open(name)
        jobs = [worker.submit(f"hold/{name}") for name in names]
        worker.wait(lambda: all(worker.state(job).phase == "done" for job in jobs), "all are done")
        pids = {worker.started(name) for name in names}
        assert len(pids) == 30, "each ran in a child of its own"
        worker.wait(worker.nothing_is_held, "all are acknowledged")
        assert "job lost its process" not in worker.log.read_text()


def test_quarantine_runs_one_job_at_a_time(redis_url: str, ledger_url: str, tmp_path: Path) -> None:
    with trial(redis_url, ledger_url, tmp_path, pool="quarantine", concurrency="4") as worker:
        worker.wait(lambda: worker.beat() is not None, "it beats")
        beat = worker.beat()
        assert beat is not None
        assert (beat.pool, beat.slots) == ("quarantine", 1)


def test_a_worker_without_its_broker_works_on_is_alive_and_comes_back(
    ledger_url: str, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    with (
        started_server(RedisServer) as broker,
        trial(broker.url(), ledger_url, tmp_path) as worker,
    ):
        job = worker.submit("hold/one")
        worker.started("one")
        worker.wait(lambda: says(alive, "1 of 2 slots held"), "it says that it is alive")
        broker.kill()
        worker.wait(
            lambda: (report := read_liveness(alive)).written_at - report.tick > 1.5,
            "the event loop stands still",
        )
        assert says(alive, "broker away since", max_age_s=1.0)
        beat = worker.beat()
        assert beat is not None
        assert beat.active == (job.id,), "the child works on while the broker is away"
        broker.start()
        worker.wait(lambda: says(alive, "1 of 2 slots held", max_age_s=3.0), "it is back")
        worker.open("one")
        worker.wait(lambda: worker.state(job).phase == "done", "the job is done")
        late = worker.submit("hold/two")
        worker.started("two")
        worker.open("two")
        worker.wait(lambda: worker.state(late).phase == "done", "so is the next")
        worker.wait(lambda: worker.broker.holders(), "its messages can be returned again")


def test_a_stopped_worker_is_not_alive(redis_url: str, ledger_url: str, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    with trial(redis_url, ledger_url, tmp_path) as worker:
        worker.wait(lambda: says(alive, "alive"), "it says that it is alive")
        worker.process.send_signal(signal.SIGSTOP)
        wait_until(
            lambda: not check_liveness(alive, time.time(), max_age_s=1.0)[0],
            "the check sees a stopped process",
        )


def says(path: Path, words: str, *, max_age_s: float = 60.0) -> bool:
    ok, sentence = check_liveness(path, time.time(), max_age_s)
    return ok and words in sentence


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
