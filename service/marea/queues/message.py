"""A job as Celery's worker expects it on the wire, and nothing more.

Task message protocol 2 lets a worker live without most of what `send_task` adds (argsrepr,
kwargsrepr, origin, stamps, …): all of it is read with a default. Left out it saves about
half of each queued message, and a million of them wait in memory during a peak.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from marea.messages.job import Job
from marea.queues.names import QUARANTINE_POOL, queue_name

TASK_NAME = "marea.process_job"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. `id` becomes Celery's task id."""

    id: str
    pool: str
    queue: str
    job_json: str

    @staticmethod
    def of(job: Job, *, quarantine: bool = False) -> Outgoing:
        pool = QUARANTINE_POOL if quarantine else job.pool
        return Outgoing(job.id, pool, queue_name(pool, job.priority), job.to_json())

    def headers(self) -> dict[str, Any]:
        return {"task": TASK_NAME, "id": self.id}

    def body(self) -> list[Any]:
        """[positional arguments, keyword arguments, embedded signatures]."""
        return [[self.job_json], {}, {}]

    def body_json(self) -> str:
        return json.dumps(self.body(), separators=(",", ":"))
