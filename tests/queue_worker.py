"""A real Celery worker for the broker contract, run as a program of its own.

    python queue_worker.py NAME POOL FOLDER          (settings from MAREA_ variables)

Notes each job that starts in FOLDER/started, one line: worker, key, redelivered. A key that
begins with `block/` runs until FOLDER/release exists, one with `refuse/` gives its message
back each time, anything else returns at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from celery.exceptions import Reject

from marea.messages.job import Job
from marea.queues.celery import TASK_NAME, create_celery_app
from marea.queues.redis import RedisBroker
from marea.settings import load_settings

JOB_S = 0.05
"""Shorter than any real job, longer than RabbitMQ's way from an ack to the next delivery."""


def main(name: str, pool: str, folder: Path) -> None:
    settings = load_settings()
    app = create_celery_app(settings, worker=name, pools=(pool,))
    if settings.broker.kind == "redis":
        RedisBroker(settings).register_holder(name)

    @app.task(name=TASK_NAME, bind=True)
    def process_job(self, job_json: str) -> None:
        key = Job.from_json(job_json).ref.key
        redelivered = bool(self.request.delivery_info["redelivered"])
        with (folder / "started").open("a") as started:
            started.write(f"{name} {key} {redelivered}\n")
        if key.startswith("refuse/"):
            raise Reject(requeue=True)
        time.sleep(JOB_S)
        while key.startswith("block/") and not (folder / "release").exists():
            time.sleep(0.02)

    app.Worker(
        hostname=name,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
