"""A whole platform on memory adapters, for tests of the reconciler's process."""

from __future__ import annotations

from dataclasses import dataclass, field

from marea.clock import FakeClock
from marea.lifecycle.accept import accept_jobs
from marea.lifecycle.claim import owner_name
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.lifecycle.process import Outcome, WorkContext, process_job
from marea.lifecycle.state import WorkerBeat
from marea.lifecycle.sweep import SweepContext
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.notify.memory import MemoryNotifier
from marea.perform import Performer, Ports
from marea.queues.memory import MemoryBroker
from marea.queues.names import QUARANTINE_POOL
from marea.reconciler.loop import Reconciler
from marea.reconciler.sweeper import Sweeper
from marea.results.memory import MemoryLedger
from marea.routing.route import Plan, UploadFacts
from marea.settings import Settings
from marea.storage.memory import MemoryObjectStore
from marea.telemetry.liveness import SignsOfLife
from tests.simulation.world import POOL, RESERVED, RESULTS, SOURCE, Stamp


@dataclass
class Bench:
    """Everything but processes. `reconciler` is made anew by `restart_reconciler`."""

    settings: Settings = field(default_factory=Settings)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    redelivers: bool = False
    """Whether the broker has RabbitMQ's manners, not those of Redis."""

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryObjectStore(self.clock)
        self.store.create_bucket(SOURCE, versioned=True)
        self.store.create_bucket(RESULTS, versioned=True)
        self.ledger = MemoryLedger(self.clock)
        self.broker = MemoryBroker(redelivers=self.redelivers)
        self.pipelines = {"gray": Stamp("gray")}
        self.policy = Policy()
        self.place = Place(RESULTS, RESERVED, self.settings.notify.url)
        self.performer = Performer(
            Ports(self.clock, self.store, self.ledger, self.broker, self.pipelines)
        )
        self.reconciler = self.restart_reconciler()

    def restart_reconciler(self) -> Reconciler:
        context = SweepContext(
            plan=self.plan, place=self.place, policy=self.policy, pipelines=self.pipelines,
            grace_s=self.settings.reconciler.sweep_grace_s,
            page_size=self.settings.reconciler.page_size,
        )  # fmt: skip
        self.reconciler = Reconciler(
            performer=self.performer, broker=self.broker, notifier=self.notifier,
            settings=self.settings, policy=self.policy, place=self.place,
            pools=(POOL, QUARANTINE_POOL),
            sweeper=Sweeper(self.performer, self.settings, context),
            life=SignsOfLife(self.clock),
        )  # fmt: skip
        return self.reconciler

    def plan(self, facts: UploadFacts) -> Plan:
        return Plan("routed", "test", (Job(facts.ref, "gray", POOL),))

    def upload(self, key: str, body: bytes = b"x") -> ObjectRef:
        return self.store.upload(SOURCE, key, body)

    def job(self, ref: ObjectRef) -> Job:
        return Job(ref, "gray", POOL)

    def hear_of(self, ref: ObjectRef) -> Job:
        """The event arrives and the job is queued."""
        self.performer.run(accept_jobs([self.job(ref)], self.policy))
        return self.job(ref)

    def beat(self, worker: str = "images@w1") -> None:
        self.ledger.beat(WorkerBeat(worker, POOL, 2, self.clock.now() + 15.0))

    def work_off(self, worker: str = "images@w1", pool: str = POOL) -> list[Outcome]:
        """Run every message that is ready."""
        outcomes = []
        self.beat(worker)
        while (delivery := self.broker.take(worker, [pool])) is not None:
            context = WorkContext(
                owner_name(worker, str(delivery.tag)), pool == QUARANTINE_POOL, self.policy,
                self.place, self.pipelines,
            )  # fmt: skip
            outcomes.append(self.performer.run(process_job(delivery.job, context)))
            self.broker.ack(worker, delivery)
        return outcomes

    def phase(self, job: Job) -> str | None:
        row = self.ledger.load(job.id)
        return row.phase if row else None

    def tick(self, times: int = 1, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.clock.sleep(seconds)
            self.reconciler.tick()
