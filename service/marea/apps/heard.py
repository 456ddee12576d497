"""What the events of an application's workers have told so far: signs of life, tasks, times.

No connection in here: whoever listens hands the events over.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marea.apps.app import Took

MAX_TASKS = 20_000
"""Tasks remembered that have not ended; the oldest goes first, and its time is not measured.
Arbitrary: some 5 MB, and more than 1,000 workers run at a time."""
MAX_NAMES = 1_000
"""Names of tasks with a measured time, as many as kinds of jobs are kept for our own pools."""

_ENDED = ("task-succeeded", "task-failed", "task-retried")
_NEVER_RAN = ("task-revoked", "task-rejected")


@dataclass(slots=True)
class _Task:
    name: str
    started: float | None = None
    """By the worker's own clock."""


class Heard:
    """Of the workers whose name begins with `pool@`; others may share the broker."""

    def __init__(self, pool: str) -> None:
        self._prefix = f"{pool}@"
        self._at: dict[str, float] = {}
        self._processed: dict[str, int] = {}
        self._tasks: OrderedDict[str, _Task] = OrderedDict()
        self._took: dict[str, Took] = {}
        self.started = 0
        """Tasks begun, as far as heartbeats tell."""

    def event(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event that arrived at `now`. What is no event of these workers is left."""
        kind, worker = event.get("type"), event.get("hostname")
        if not (isinstance(kind, str) and isinstance(worker, str)):
            return
        if not worker.startswith(self._prefix) or kind == "task-sent":  # that is a client's
            return
        if kind == "worker-offline":
            self._forget(worker)
            return
        self._at[worker] = now
        if kind.startswith("worker-"):
            self._beat(worker, event.get("processed"))
        elif kind.startswith("task-"):
            self._task(kind, event)

    def heard_at(self, worker: str) -> float | None:
        return self._at.get(worker)

    def took(self) -> Mapping[str, Took]:
        return dict(self._took)

    def name(self, task_id: str, name: str, started: float) -> None:
        """A task that runs, as its worker answered: events from before this listened are lost."""
        task = self._tasks.get(task_id)
        if task is None:
            self._remember(task_id, _Task(name, started))

    def _beat(self, worker: str, processed: Any) -> None:
        if not isinstance(processed, int):
            return
        before = self._processed.get(worker)
        self._processed[worker] = processed
        if before is None:
            return  # how much of it is new is not known
        # A worker that started again under the same name counts from 0.
        self.started += processed - before if processed >= before else processed

    def _forget(self, worker: str) -> None:
        self._at.pop(worker, None)
        self._processed.pop(worker, None)

    def _task(self, kind: str, event: Mapping[str, Any]) -> None:
        task_id, at = str(event.get("uuid")), _number(event.get("timestamp"))
        if kind == "task-received":
            self._remember(task_id, _Task(str(event.get("name"))))
        elif kind == "task-started" and task_id in self._tasks:
            self._tasks[task_id].started = at
        elif kind in _ENDED:
            task = self._tasks.pop(task_id, None)
            if task is None:
                return
            seconds = _number(event.get("runtime"))
            if seconds is None and at is not None and task.started is not None:
                seconds = at - task.started
            if seconds is not None and seconds >= 0.0:
                self._measured(task.name, seconds)
        elif kind in _NEVER_RAN:
            self._tasks.pop(task_id, None)

    def _remember(self, task_id: str, task: _Task) -> None:
        self._tasks[task_id] = task
        self._tasks.move_to_end(task_id)
        if len(self._tasks) > MAX_TASKS:
            self._tasks.popitem(last=False)

    def _measured(self, name: str, seconds: float) -> None:
        known = self._took.get(name)
        if known is None and len(self._took) >= MAX_NAMES:
            return
        known = known or Took(0, 0.0)
        self._took[name] = Took(known.tasks + 1, known.seconds + seconds)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
