"""A worker process with trial jobs (trial_worker.py), and hands on its ledger and its broker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger_states import make_job
from waiting import wait_until

from marea.clock import SystemClock
from marea.lifecycle.state import JobState, WorkerBeat
from marea.messages.job import Job
from marea.queues.broker import Broker
from marea.queues.celery import CeleryPublisher, create_celery_app
from marea.results.redis import RedisLedger
from marea.settings import Settings, load_settings
from marea.wiring import build_broker

TRIAL = Path(__file__).with_name("trial_worker.py")
START_S = 30.0
"""Generous: eight processes share two cores when the whole suite runs."""


class Trial:
    """A worker process, and hands on its ledger, its broker and its trial jobs."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.settings: Settings = load_settings(environment)
        self.ledger = RedisLedger(self.settings.ledger, SystemClock())
        self.broker: Broker = build_broker(self.settings)
        self.publisher = CeleryPublisher(create_celery_app(self.settings), self.settings)
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(TRIAL), str(folder)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def submit(self, key: str, **changes: str) -> Job:
        job = make_job(key, **changes)
        assert self.ledger.save(JobState(job=job, phase="queued", published_at=time.time()))
        self.publisher.publish(job)
        return job

    def started(self, name: str) -> int:
        """Waits until the job runs; the pid of its child."""
        path = self.folder / f"started-{name}"
        self.wait(path.exists, f"{name} runs")
        return int(path.read_text())

    def open(self, name: str) -> None:
        (self.folder / f"open-{name}").touch()

    def beat(self) -> WorkerBeat | None:
        beats = self.ledger.workers(time.time())
        return beats[0] if beats else None

    def state(self, job: Job) -> JobState:
        state = self.ledger.load(job.id)
        assert state is not None
        return state

    def ready(self) -> int:
        return sum(depth.ready for depth in self.broker.depths(("images",)).values())

    def wait(self, condition: Callable[[], object], what: str) -> None:
        def held() -> bool:
            assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()}"
            return bool(condition())

        try:
            wait_until(held, what, timeout_s=START_S)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.log.read_text()}") from exc

    def exit_status(self) -> int:
        try:
            return self.process.wait(START_S)
        except subprocess.TimeoutExpired as exc:
            raise AssertionError(f"still running:\n{self.log.read_text()}") from exc

    def nothing_is_held(self) -> bool:
        return self.ready() == 0 and not any(self.broker.holders().values())


@contextmanager
def trial(broker_url: str, ledger_url: str, folder: Path, **worker: str) -> Iterator[Trial]:
    settings = {
        "MAREA_BROKER__URL": broker_url,
        "MAREA_LEDGER__URL": ledger_url,
        "MAREA_WORKER__HEARTBEAT_S": "0.2",
        "MAREA_WORKER__LEASE_S": "5",
        "MAREA_WORKER__CONCURRENCY": "2",
        "MAREA_WORKER__RETRY_BACKOFF_S": "0.1",
        "MAREA_WORKER__LIVENESS_FILE": str(folder / "alive"),
        **{f"MAREA_WORKER__{name.upper()}": value for name, value in worker.items()},
    }
    started = Trial(settings, folder)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait(10)
