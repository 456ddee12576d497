"""A real worker process around a trial runner, started by tests as `python trial_worker.py`.

The runner claims in the ledger as the real one does and then does what the job's key says:

    hold/NAME      writes `started-NAME`, waits until `open-NAME` exists, ends the job as done
    stubborn/NAME  the same, and ignores the soft time limit
    away/NAME      meets a ledger that is away, the first time
    memory/NAME    runs out of memory outside every net
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded

from marea.clock import SystemClock
from marea.errors import LedgerUnavailable
from marea.lifecycle.claim import owner_name
from marea.lifecycle.state import JobState
from marea.messages.job import Job
from marea.queues.redis import RedisBroker
from marea.results.redis import RedisLedger
from marea.settings import Settings, load_settings
from marea.wiring import build_broker, build_policy
from marea.worker.app import WorkerParts, run_worker

POLL_S = 0.02


class TrialRunner:
    def __init__(self, settings: Settings, worker: str, folder: Path) -> None:
        self._ledger = RedisLedger(settings.ledger, SystemClock())
        self._worker = worker
        self._folder = folder

    def run(self, job_json: str) -> None:
        job = Job.from_json(job_json)
        behaviour, name = job.ref.key.split("/")
        if behaviour == "away" and self._mark(f"away-{name}"):
            raise LedgerUnavailable("away for a moment")
        state = self._claim(job)
        if behaviour == "memory":
            raise MemoryError
        self._mark(f"started-{name}", str(os.getpid()))
        while behaviour != "away" and not (self._folder / f"open-{name}").exists():
            try:
                time.sleep(POLL_S)
            except SoftTimeLimitExceeded:
                if behaviour != "stubborn":
                    raise
        assert self._ledger.save(state.but(phase="done", owner="", finished_at=time.time()))

    def _claim(self, job: Job) -> JobState:
        state = self._ledger.load(job.id)
        assert state is not None
        claimed = self._ledger.save(
            state.but(
                phase="running",
                owner=owner_name(self._worker, "trial"),
                attempts=state.attempts + 1,
                started_at=time.time(),
            )
        )
        assert claimed is not None
        return claimed

    def _mark(self, name: str, text: str = "") -> bool:
        """Write a file into the trial's folder; False if it was there."""
        path = self._folder / name
        if path.exists():
            return False
        partial = path.with_suffix(".part")
        partial.write_text(text)
        partial.replace(path)
        return True


def main(folder: Path) -> int:
    settings = load_settings()
    broker = build_broker(settings)
    return run_worker(
        settings,
        WorkerParts(
            build_runner=lambda child_settings, worker: TrialRunner(child_settings, worker, folder),
            ledger=RedisLedger(settings.ledger, SystemClock()),
            announce=broker.register_holder
            if isinstance(broker, RedisBroker)
            else lambda worker: None,
            count_waiting=lambda: sum(
                depth.ready for depth in broker.depths((settings.worker.pool,)).values()
            ),
            policy=build_policy(settings),
            clock=SystemClock(),
            give_back=broker.requeue,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
