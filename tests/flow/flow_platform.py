"""A whole Marea on real servers in one process and on a clock of its own.

The processes are the real ones without their mains: the gateway's intake, the worker's runner
fed by a kombu consumer, the reconciler's ticks. So each can be killed at any of its calls
(`fuse.py`), and leases, pauses and sweeps cost no time. What clients upload is written into a
history, by which the stand-alone checker judges the buckets at the end.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import wait_until

from loadtest.check import check_store
from loadtest.collect import StoreAddress, open_client
from loadtest.evidence import Verdict
from loadtest.history import Expected, HistoryWriter, Operation, Oracle, load_history
from loadtest.recorded_put import put_recorded
from marea.clock import FakeClock
from marea.errors import TransientError
from marea.gateway.lifecycle_intake import LifecycleIntake
from marea.lifecycle.state import OPEN_PHASES, JobState, WorkerBeat
from marea.lifecycle.sweep import SweepContext
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.notify.memory import MemoryNotifier
from marea.perform import Performer
from marea.pipelines.pipeline import Source
from marea.reconciler.loop import Reconciler
from marea.reconciler.sweeper import Sweeper
from marea.routing.route import UploadFacts
from marea.settings import Settings
from marea.storage.naming import intents_prefix, parse_record_key, records_prefix
from marea.telemetry.liveness import SignsOfLife
from marea.wiring import (
    build_broker,
    build_declarations,
    build_place,
    build_policy,
    build_ports,
)
from marea.worker.runner import Runner
from tests.flow.consumer import Consumer, job_text
from tests.flow.fuse import Fuse, ProcessKilled, fused, fused_broker, fused_notifier

CALM_TURNS = 400
"""Seconds of the platform's own clock in which all must end; the slowest thing on the way is
a job's pause after several republishes, a minute or two."""

CONTENT_TYPE = "image/jpeg"
"""Of every upload. Events here do not say it, as those of some stores do not."""


class FlowPlatform:
    """Servers are shared; buckets and ledger prefix must be new. Close it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        # From the present on: the store tells the age of uploads by the machine's clock.
        self.clock = FakeClock(time.time())
        self.declarations = build_declarations(settings)
        self.policy, self.place = build_policy(settings), build_place(settings)
        self.ports = build_ports(settings, self.declarations.pipelines, self.clock)
        self.broker = build_broker(settings)
        self.notifier = MemoryNotifier()
        store = settings.store
        self.address = StoreAddress(
            store.endpoint_url, store.access_key, store.secret_key.get_secret_value()
        )
        self.client = open_client(self.address)
        self.source, self.results = store.source_buckets[0], store.results_bucket
        for bucket in (self.source, self.results):
            self.client.create_bucket(Bucket=bucket)
            self.client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        self.history_file = folder / "history.jsonl"
        self.history = HistoryWriter(self.history_file)
        self.uploaded: list[Job] = []
        """What every upload must lead to, in order."""
        self.workers: list[Worker] = []
        self.broker.declare(self.declarations.pools)

    def close(self) -> None:
        self.history.__exit__(None, None, None)
        for worker in self.workers:
            worker.consumer.close()

    # clients

    def upload(
        self,
        key: str,
        body: bytes,
        oracle: Oracle = "good",
        *,
        pipelines: tuple[str, ...] | None = None,
    ) -> ObjectRef:
        """A client's PUT; what must become of it is worked out by running its pipelines,
        those that the rules name unless others are to be asked for by API."""
        if pipelines is None:
            pipelines = tuple(job.pipeline for job in self.plan(ObjectRef(self.source, key)))
        expected = tuple(
            Expected(artifact.key, name, f"sha256:{hashlib.sha256(artifact.data).hexdigest()}")
            for name in pipelines
            if oracle == "good"
            for artifact in self.ports.pipelines[name].run(Source(body, key)).artifacts
        )
        put = put_recorded(
            self.client, self.history, self.source, key, body, content_type=CONTENT_TYPE,
            oracle=oracle, pipelines=pipelines, expected=expected,
        )  # fmt: skip
        assert put.outcome == "ok"
        ref = ObjectRef(self.source, key, put.version_id, put.etag, len(body))
        self.uploaded += [Job(ref, name, self.ports.pipelines[name].pool) for name in pipelines]
        return ref

    def plan(self, ref: ObjectRef) -> tuple[Job, ...]:
        """What the rules make of an upload once everything about it is known."""
        return self.declarations.rules.plan(UploadFacts(ref, 0.0, CONTENT_TYPE, {}, {})).jobs

    def job(self, ref: ObjectRef) -> Job:
        """The only one that `ref` leads to."""
        (job,) = self.plan(ref)
        return job

    # processes

    def gateway(self, fuse: Fuse | None = None) -> LifecycleIntake:
        performer = Performer(fused(self.ports, fuse or Fuse()))
        return LifecycleIntake(performer, self.declarations.rules, self.place, self.policy)

    def announce(self, *refs: ObjectRef, fuse: Fuse | None = None) -> Mapping[str, bool]:
        """The uploads' event arrives at a gateway; by job id, whether the broker confirmed."""
        gateway = self.gateway(fuse)
        plans = [gateway.plan(UploadFacts(ref, self.clock.now())) for ref in refs]
        return gateway.accept([job for plan in plans for job in plan.jobs])

    def worker(self, pool: str = "images") -> Worker:
        """A worker that has just started; it is heard of until it dies."""
        worker = Worker(self, pool)
        self.workers.append(worker)
        return worker

    def reconciler(self, fuse: Fuse | None = None) -> Reconciler:
        """A reconciler that has just started, as `reconciler.compose` builds it."""
        fuse = fuse or Fuse()
        performer = Performer(fused(self.ports, fuse))
        reconciler = self.settings.reconciler
        context = SweepContext(
            plan=self.declarations.rules.plan, place=self.place, policy=self.policy,
            pipelines=self.declarations.pipelines, grace_s=reconciler.sweep_grace_s,
            page_size=reconciler.page_size,
        )  # fmt: skip
        return Reconciler(
            performer=performer, broker=fused_broker(self.broker, fuse),
            notifier=fused_notifier(self.notifier, fuse), settings=self.settings,
            policy=self.policy, place=self.place, pools=self.declarations.pools,
            sweeper=Sweeper(performer, self.settings, context),
            life=SignsOfLife(performer.ports.clock),
        )  # fmt: skip

    # what happens next

    def recover(self) -> None:
        """New processes take over: a reconciler, a worker per pool. Returns when every upload
        has its record and nothing is open or queued; fails when that does not come."""
        reconciler = self.reconciler()
        workers = [self.worker(pool) for pool in self.declarations.pools]
        for _ in range(CALM_TURNS):
            self.pass_time(1.0)
            reconciler.tick()
            for worker in workers:
                worker.work_off()
            if not self.open_jobs() and not self.unrecorded() and not self.messages():
                break
        assert not self.open_jobs(), f"still open: {self.open_jobs()}"
        assert not self.unrecorded(), f"without a record: {self.unrecorded()}"
        assert not self.messages(), f"still queued: {self.messages()}"

    def pass_time(self, seconds: float) -> None:
        """Let the clock run, and the living be heard of."""
        self.clock.sleep(seconds)
        for worker in self.workers:
            worker.beat()

    def take_from_dead_workers(self, messages: int) -> None:
        """Let a reconciler work until no row is running and so many messages, or copies of
        them, are ready."""
        reconciler = self.reconciler()

        def is_taken() -> bool:
            self.pass_time(5.0)
            reconciler.tick()
            return "running" not in self.open_jobs() and self.messages() >= messages

        wait_until(is_taken, f"{messages} messages are ready again")

    # what can be seen

    def open_jobs(self) -> dict[str, int]:
        counts = self.ports.ledger.phase_counts()
        return {phase: counts[phase] for phase in OPEN_PHASES if counts.get(phase)}

    def messages(self) -> int:
        return sum(depth.ready for depth in self.broker.depths(self.declarations.pools).values())

    def row(self, job: Job) -> JobState | None:
        return self.ports.ledger.load(job.id)

    def unrecorded(self) -> list[str]:
        recorded = {parsed[1] for name in self.record_names() if (parsed := parse_record_key(name))}
        return [job.ref.key for job in self.uploaded if job.id not in recorded]

    def record_names(self) -> list[str]:
        prefix = records_prefix(self.place.reserved_prefix, self.source)
        page = self.ports.store.list_objects(self.results, prefix=prefix)
        assert page.next_after is None
        return [row.key for row in page.rows]

    def intents(self) -> list[str]:
        prefix = intents_prefix(self.place.reserved_prefix)
        return [row.key for row in self.ports.store.list_objects(self.results, prefix=prefix).rows]

    def record(self, job: Job) -> Record:
        head = self.ports.store.head(self.results, self.place.record_key(job))
        assert head is not None, f"{job.ref.key} has no record"
        return Record.from_json(self.ports.store.get(head.ref).data)

    def stored_results(self) -> list[str]:
        """The key of every stored version outside the reserved prefix, as often as stored."""
        page = self.ports.store.list_versions(self.results)
        assert page.next is None
        keys = [row.ref.key for row in page.rows]
        return [key for key in keys if not key.startswith(self.place.reserved_prefix)]

    def judge(self) -> Verdict:
        """The stand-alone checker's verdict; fails unless it is clean."""
        verdict = check_store(
            load_history(self.history_file), self.address,
            source_buckets=[self.source], results_bucket=self.results,
        )  # fmt: skip
        assert verdict.is_valid, verdict.summary()
        assert not verdict.findings, verdict.findings
        return verdict

    def operations(self) -> list[Operation]:
        return load_history(self.history_file)


@dataclass
class Worker:
    """A worker process of one pool, and what its children run."""

    platform: FlowPlatform
    pool: str
    name: str = ""
    active: list[str] = field(default_factory=list)
    """Ids of the jobs that are under way, or that it died with."""
    is_dead: bool = False

    def __post_init__(self) -> None:
        self.name = f"{self.pool}@flow-{secrets.token_hex(3)}"
        settings = self.platform.settings
        mine = settings.worker.model_copy(update={"pool": self.pool})
        self.settings = settings.model_copy(update={"worker": mine})
        self.beat()
        self.consumer = Consumer(self.settings, self.name, (self.pool,))

    def beat(self) -> None:
        if not self.is_dead:
            until = self.platform.clock.now() + self.settings.worker.lease_s
            self.platform.ports.ledger.beat(
                WorkerBeat(self.name, self.pool, 2, until, tuple(self.active), len(self.active))
            )

    def work_off(self) -> int:
        """Run every message that is ready; how many there were."""
        done = 0
        while (message := self.consumer.take()) is not None:
            self.run(message)
            done += 1
        return done

    def run(self, message: Any, fuse: Fuse | None = None, *, acknowledge: bool = True) -> None:
        """One delivery, as `worker.tasks` does it. If the fuse kills, or the acknowledgement
        is never sent, the message is still held and the job `active`: `die` ends the rest."""
        job_json = job_text(message)
        job_id = Job.from_json(job_json).id
        self.active.append(job_id)
        ports = fused(self.platform.ports, fuse or Fuse())
        try:
            Runner(ports, self.settings, self.name).run(job_json)
        except TransientError:
            self.active.remove(job_id)
            message.requeue()
        else:
            if not acknowledge:
                raise ProcessKilled("before its acknowledgement")
            self.active.remove(job_id)
            message.ack()

    def die(self) -> None:
        """The whole process is gone, with everything that it holds, and before a beat of its
        own has named what it was at, if its last was sent before."""
        self.is_dead = True
        self.consumer.die()
        self.platform.workers.remove(self)
