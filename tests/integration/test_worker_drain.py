"""A worker with a drain lease takes no more jobs, and goes on by itself when it ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from worker_trial import Trial, trial

from marea.lifecycle.state import WorkerBeat
from marea.messages.job import Job
from marea.worker.liveness import read_liveness

pytestmark = pytest.mark.timeout(90)
LONG_S = 300.0


def beat_of(worker: Trial) -> WorkerBeat:
    worker.wait(worker.beat, "the worker beats")
    beat = worker.beat()
    assert beat is not None
    return beat


def submit_quick(worker: Trial, name: str) -> Job:
    """A job that ends as soon as it starts."""
    worker.open(name)
    return worker.submit(f"hold/{name}")


def lease(worker: Trial, seconds: float) -> None:
    worker.ledger.lease_drains({beat_of(worker).worker: time.time() + seconds})


def let_it_beat(worker: Trial, seconds: float) -> None:
    """Until the worker has beaten for so long: what it would do, it has done by then."""
    alive = worker.folder / "alive"
    until = read_liveness(alive).written_at + seconds
    worker.wait(lambda: read_liveness(alive).written_at > until, "beats go on")


def wait_until_drained(worker: Trial) -> None:
    def is_drained() -> bool:
        beat = worker.beat()
        return beat is not None and not beat.consuming and not beat.held

    worker.wait(is_drained, "the beat says that it takes no jobs and holds none")


def test_takes_no_job_while_leased_and_all_when_the_lease_is_lifted(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        lease(worker, LONG_S)
        wait_until_drained(worker)
        assert not beat_of(worker).draining
        jobs = [submit_quick(worker, str(number)) for number in range(3)]
        worker.wait(lambda: worker.ready() == 3, "the broker has three jobs ready")
        # On Redis a fetch that was under way is back by now, and another would have been made.
        let_it_beat(worker, 3)
        assert worker.ready() == 3
        assert {worker.state(job).phase for job in jobs} == {"queued"}
        worker.ledger.lease_drains({beat_of(worker).worker: 0.0})
        worker.wait(lambda: all(worker.state(j).phase == "done" for j in jobs), "they are done")
        worker.wait(worker.nothing_is_held, "all messages are acknowledged")
        assert beat_of(worker).consuming


def test_finishes_what_it_runs_before_it_counts_as_drained(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        job = worker.submit("hold/one")
        worker.started("one")
        lease(worker, LONG_S)
        worker.wait(lambda: not beat_of(worker).consuming, "it takes no more")
        assert beat_of(worker).active == (job.id,)
        worker.open("one")
        wait_until_drained(worker)
        assert worker.state(job).phase == "done"


def test_a_lease_that_nobody_renews_ends_by_itself(
    broker_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(broker_url, ledger_url, tmp_path) as worker:
        lease(worker, 3.0)
        wait_until_drained(worker)
        job = submit_quick(worker, "one")
        worker.wait(lambda: worker.state(job).phase == "done", "the job is done")


def test_a_drained_worker_stays_so_when_its_broker_was_away(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        lease(worker, LONG_S)
        wait_until_drained(worker)
        broker = worker.broker._client  # type: ignore[attr-defined]
        broker.client_kill_filter(_type="normal", skipme=True)
        job = submit_quick(worker, "one")
        let_it_beat(worker, 3)
        assert worker.state(job).phase == "queued"
        assert not beat_of(worker).consuming
        worker.ledger.lease_drains({beat_of(worker).worker: 0.0})
        worker.wait(lambda: worker.state(job).phase == "done", "the job is done")


def test_a_drained_worker_is_alive_though_work_waits(
    redis_url: str, ledger_url: str, tmp_path: Path
) -> None:
    with trial(redis_url, ledger_url, tmp_path) as worker:
        lease(worker, LONG_S)
        wait_until_drained(worker)
        submit_quick(worker, "one")
        let_it_beat(worker, 2)
        assert read_liveness(tmp_path / "alive").waiting_since == 0.0
