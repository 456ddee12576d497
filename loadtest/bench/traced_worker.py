"""A worker that also writes down when each step of a job began and ended.

Everything is `marea worker`'s own, but somebody watches its effects. One JSON line per delivery
goes to the file named by `TRACE_FILE`, in the form of `Trace`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from loadtest.bench.spans import Span, Trace
from marea.clock import Clock, SystemClock
from marea.lifecycle import effects as fx
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.pipelines.pipeline import Produced
from marea.settings import Settings, load_settings
from marea.storage.object_store import ObjectBody, ObjectStore
from marea.telemetry.logs import configure_logging
from marea.wiring import build_declarations, build_ports
from marea.worker.app import run_worker, worker_parts
from marea.worker.runner import Runner

TRACE_FILE = "TRACE_FILE"


def spans_of(
    effect: fx.Effect[Any], reply: Any, began: float, ended: float, reserved_prefix: str
) -> list[Span]:
    """What a picture shows of an effect; a pipeline's stages in the order in which it tells them,
    the first at its begin. Reading a source is told by `TimedStore`: it may go on beside others.
    """
    match effect:
        case fx.LoadState() | fx.SaveState() | fx.ReadWorker():
            return [Span("ledger", began, ended)]
        case fx.HeadObject() | fx.HeadVersion():
            return [Span("HEAD", began, ended)]
        case fx.PutObject(key=key):
            is_record = key.startswith(reserved_prefix)
            return [Span("PUT record" if is_record else "PUT result", began, ended)]
        case fx.RunPipeline():
            stages = reply.timings_s if isinstance(reply, Produced) else {}
            return _stages(stages, began, ended)
        case _:
            return []


def _stages(timings_s: Any, began: float, ended: float) -> list[Span]:
    if not timings_s:
        return [Span("pipeline", began, ended)]
    spans: list[Span] = []
    at = began
    for name, seconds in timings_s.items():
        stage = name if name in ("decode", "encode") else "steps"
        if spans and spans[-1].name == stage:
            spans[-1] = replace(spans[-1], ended=at + seconds)
        else:
            spans.append(Span(stage, at, at + seconds))
        at += seconds
    return spans


class TimedStore:
    """An object store that tells how long each read of a body took, whichever thread reads."""

    def __init__(self, store: ObjectStore, clock: Clock, tell: Callable[[Span], None]) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, ref: ObjectRef, *, max_bytes: int | None = None) -> ObjectBody:
        began = self._clock.now()
        try:
            return self._store.get(ref, max_bytes=max_bytes)
        finally:
            self._tell(Span("GET source", began, self._clock.now()))


class TracedRunner:
    """The worker's own runner, with a trace of each delivery."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._spans: list[Span] = []
        self._reserved_prefix = settings.store.reserved_prefix
        self._clock = SystemClock()
        ports = build_ports(settings, build_declarations(settings).pipelines)
        store: Any = TimedStore(ports.store, self._clock, self._spans.append)
        ports = replace(ports, store=store)
        self._runner = Runner(ports, settings, worker, observe=self._observe)
        self._file = Path(os.environ[TRACE_FILE])

    def run(self, job_json: str) -> object:
        self._spans.clear()
        began = self._clock.now()
        outcome = self._runner.run(job_json)
        job = Job.from_json(job_json)
        trace = Trace(job.id, job.ref.key, began, self._clock.now(), tuple(self._spans))
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trace)) + "\n")
        return outcome

    def _observe(self, effect: fx.Effect[Any], reply: Any, began: float, ended: float) -> None:
        self._spans += spans_of(effect, reply, began, ended, self._reserved_prefix)


def main() -> int:
    settings = load_settings()
    configure_logging(settings.logs.level, settings.logs.format)
    parts = replace(worker_parts(settings), build_runner=TracedRunner)
    return run_worker(settings, parts)


if __name__ == "__main__":
    sys.exit(main())
