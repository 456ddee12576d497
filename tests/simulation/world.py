"""A whole Marea in one thread: fakes for the world, the real procedures, a seeded scheduler.

Every procedure of `marea.lifecycle` runs here as in production, except that the scheduler
decides at each of its effects who goes next and what goes wrong: a call that fails before or
*after* it was carried out, a worker that dies, a broker or ledger that loses everything, an
event that is lost, doubled or late, an upload in between. Same seed, same run.

Judged by the stand-alone checker from the client's history and the final listings alone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loadtest.evidence import RecordClaim, ResultVersion, SourceVersion, Verdict
from loadtest.history import Expected, Operation
from loadtest.judge import judge
from marea.clock import FakeClock
from marea.errors import (
    BrokerUnavailable,
    LedgerUnavailable,
    MareaError,
    PermanentError,
    StoreUnavailable,
)
from marea.lifecycle import duties
from marea.lifecycle import effects as fx
from marea.lifecycle.accept import accept_jobs
from marea.lifecycle.claim import owner_name
from marea.lifecycle.duties import Reading
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.lifecycle.process import WorkContext, process_job
from marea.lifecycle.state import WorkerBeat
from marea.lifecycle.sweep import Sweep, SweepContext, sweep_pages
from marea.messages.job import PRIORITIES, Job
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.perform import Performer, Ports
from marea.pipelines.pipeline import Artifact, Produced, Source
from marea.queues.memory import Delivery, MemoryBroker
from marea.queues.names import QUARANTINE_POOL, pool_queues
from marea.results.memory import MemoryLedger
from marea.routing.route import Plan, UploadFacts
from marea.storage.memory import MemoryObjectStore
from marea.storage.merge import RecordMerge

SOURCE, RESULTS, RESERVED = "uploads", "results", ".marea/"
POOL = "images"
LEDGER_EFFECTS = (
    fx.LoadState, fx.LoadStates, fx.LoadWithTenants, fx.SaveState, fx.SaveStates,
    fx.TenantLoads, fx.ReadWorker, fx.DueRows, fx.VerdictRows, fx.AcceptedRows, fx.QueuedRows,
    fx.RunningRows, fx.WaitingTenants, fx.WaitingRows,
)  # fmt: skip
STORE_EFFECTS = (
    fx.FetchSource, fx.HeadObject, fx.HeadVersion, fx.ReadTags, fx.ReadObject, fx.PutObject,
    fx.DeleteObject, fx.ListVersions, fx.ListObjects,
)  # fmt: skip


PACES = (1.0, 1.0, 0.3, 0.03)

CALM_TURNS = 60_000
"""Turns of the scheduler after the storm by which all must have ended; usually some 300."""


@dataclass(frozen=True)
class Stamp:
    """A pipeline without decoding: it marks the bytes, and refuses those that say bad."""

    name: str
    roles: tuple[str, ...] = ("",)
    digest: str = "0123456789abcdef"
    pool: str = POOL
    max_bytes: int = 1000

    def result_keys(self, key: str) -> tuple[str, ...]:
        return tuple(f"{key}_{self.name}{role}" for role in self.roles)

    def output(self, data: bytes, role: str) -> bytes:
        return f"{self.name}{role}:".encode() + data

    def run(self, source: Source) -> Produced:
        if source.data.startswith(b"bad"):
            raise PermanentError("the bytes say that they are bad", code="image-corrupt")
        return Produced(
            tuple(
                Artifact(key, self.output(source.data, role), "text/plain", role=role)
                for key, role in zip(self.result_keys(source.key), self.roles, strict=True)
            )
        )


@dataclass(frozen=True)
class Weather:
    """How bad it gets. Probabilities per occasion."""

    fault: float = 0.03
    """Per effect: half of the faults strike before it is carried out, half after."""
    lose_event: float = 0.2
    double_event: float = 0.2
    worker_crash: float = 0.01
    gateway_crash: float = 0.01
    broker_wipe: float = 0.002
    ledger_wipe: float = 0.002
    drop_message: float = 0.004
    operations: int = 25
    keys: int = 4
    bodies: int = 3
    """Few different contents, so that old ones come back (A→B→A)."""
    hurry: float = 0.5
    """How often a client may act at all: low, and uploads fall into the midst of work."""
    delete: float = 0.08
    versioned: bool = True


@dataclass
class Actor:
    """One procedure under way."""

    name: str
    steps: fx.Steps[Any]
    worker: str = ""
    """The worker whose death ends it; "" for gateways and the reconciler."""
    delivery: Delivery | None = None
    on_end: Callable[[Any], None] = lambda _value: None
    next_effect: fx.Effect[Any] | None = None
    is_patient: bool = False
    """Retries the ledger in place, as a worker's child does."""
    pace: float = 1.0
    """How often it gets its turn, beside others; a slow one is overtaken by whole jobs."""


@dataclass
class World:
    """The run of one seed."""

    seed: int
    weather: Weather = field(default_factory=Weather)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock = FakeClock()
        self.store = MemoryObjectStore(self.clock)
        self.store.create_bucket(SOURCE, versioned=self.weather.versioned)
        self.store.create_bucket(RESULTS, versioned=True)
        self.ledger = MemoryLedger(self.clock)
        self.broker = MemoryBroker(redelivers=self.random.random() < 0.5)
        self.pipelines = {"gray": Stamp("gray"), "web": Stamp("web", ("-s", "-l"))}
        self.policy = Policy(hard_time_limit_s=60.0, tenant_quota=self.random.choice([3, 100]))
        self.place = Place(RESULTS, RESERVED)
        self.performer = Performer(
            Ports(self.clock, self.store, self.ledger, self.broker, self.pipelines)
        )
        self.sweep_context = SweepContext(
            plan=self.plan,
            place=self.place,
            policy=self.policy,
            pipelines=self.pipelines,
            grace_s=5.0,
            page_size=self.random.choice([1, 2, 3, 1000]),
        )
        self.history: list[Operation] = []
        self.actors: list[Actor] = []
        self.events: list[UploadFacts] = []
        self.workers: dict[str, float] = {}
        """Live worker -> when it last beat."""
        self.silent: dict[str, float] = {}
        self.readings: dict[str, Reading] = {}
        self.next_reading_at = 0.0
        self.sweep: Sweep | None = None
        self.is_calm = False
        self.worker_count = 0
        self.operations_left = self.weather.operations
        self.trace: list[str] = []

    # the scheduler

    def run(self) -> Verdict:
        """Storm, then calm, until nothing is open; the checker's verdict."""
        while self.operations_left or self.events:
            self._turn()
        self.is_calm = True
        for _ in range(CALM_TURNS):
            self._turn()
            if self._is_quiet():
                return self.verdict()
        raise AssertionError(
            f"seed {self.seed}: still open after the storm:"
            f" {dict(self.ledger.phase_counts())}, {len(self.actors)} under way"
        )

    def _turn(self) -> None:
        self.clock.sleep(self.random.choice([0.0, 0.001, 0.02, 0.3]))
        self._beat()
        choices: list[Callable[[], None]] = [self._step] * (8 if self.actors else 0)
        choices += [self._take_message, self._take_message, self._duty]
        if self.operations_left and not self.is_calm and self.random.random() < self.weather.hurry:
            choices.append(self._operate)
        if self.events:
            choices.append(self._deliver_event)
        if not self.actors:
            choices.append(lambda: self.clock.sleep(self.random.uniform(0.5, 8.0)))
        self.random.choice(choices)()
        if not self.is_calm:
            self._misfortune()

    def _step(self) -> None:
        (actor,) = self.random.choices(self.actors, [actor.pace for actor in self.actors])
        try:
            if actor.next_effect is None:
                actor.next_effect = next(actor.steps)
                return
            effect = actor.next_effect
            try:
                reply = self._perform(effect, actor)
            except MareaError as exc:
                actor.next_effect = actor.steps.throw(exc)
            else:
                actor.next_effect = actor.steps.send(reply)
        except StopIteration as stop:
            self.actors.remove(actor)
            self._log(f"{actor.name} ends: {stop.value}")
            if actor.delivery is not None:
                self.broker.ack(actor.worker, actor.delivery)
            actor.on_end(stop.value)
        except MareaError as exc:
            self.actors.remove(actor)
            self._log(f"{actor.name} fails: {exc.code}")
            actor.on_end(None)

    def _perform(self, effect: fx.Effect[Any], actor: Actor) -> Any:
        is_ledger = isinstance(effect, LEDGER_EFFECTS)
        if self.is_calm or self.random.random() >= self.weather.fault:
            return self.performer.perform(effect)
        strikes_after = self.random.random() < 0.5
        if strikes_after:
            self.performer.perform(effect)  # carried out, but the reply is lost
        self._log(
            f"{actor.name}: {type(effect).__name__} fails"
            f" {'after' if strikes_after else 'before'} the fact"
        )
        if is_ledger:
            if actor.is_patient:
                return self.performer.perform(effect)
            raise LedgerUnavailable("the ledger did not answer")
        if isinstance(effect, STORE_EFFECTS):
            raise StoreUnavailable("the store did not answer")
        if isinstance(effect, fx.PublishMany):
            return [False] * len(effect.jobs)
        if isinstance(effect, fx.Publish):
            raise BrokerUnavailable("the broker did not confirm")
        return self.performer.perform(effect)

    def _spawn(self, actor: Actor) -> None:
        self._log(f"{actor.name} begins")
        actor.pace = self.random.choice(PACES)
        self.actors.append(actor)

    def _is_quiet(self) -> bool:
        if self.actors or self.events:
            return False
        counts = self.ledger.phase_counts()
        if any(
            counts.get(phase)
            for phase in ("accepted", "waiting", "delayed", "queued", "running", "verdict")
        ):
            return False
        return self._all_recorded()

    def _all_recorded(self) -> bool:
        page = self.store.list_versions(SOURCE)
        assert page.next is None
        for row in page.rows:
            if row.is_delete_marker:
                continue
            for job in self.plan(UploadFacts(row.ref, 0.0)).jobs:
                if self.store.head(RESULTS, self.place.record_key(job)) is None:
                    return False
                if not self.weather.versioned and row.is_latest and not self._shows(job):
                    return False
        return True

    def _shows(self, job: Job) -> bool:
        """Without versions nothing but the friendly result says that old content is back."""
        head = self.store.head(SOURCE, job.ref.key)
        assert head is not None
        if self.store.get(head.ref).data.startswith(b"bad"):
            record = self.store.head(RESULTS, self.place.record_key(job))
            assert record is not None
            return Record.from_json(self.store.get(record.ref).data).state == "rejected"
        shown = [
            self.store.head(RESULTS, key)
            for key in self.pipelines[job.pipeline].result_keys(job.ref.key)
        ]
        return all(head is not None and head.metadata["marea-job"] == job.id for head in shown)

    # clients and events

    def plan(self, facts: UploadFacts) -> Plan:
        pipelines = ("gray", "web") if facts.ref.key.endswith("0") else ("gray",)
        return Plan(
            "routed",
            "test",
            tuple(
                Job(
                    facts.ref,
                    pipeline,
                    POOL,
                    "high" if facts.ref.key.endswith("1") else "normal",
                    tenant="t",
                    origin="event",
                )
                for pipeline in pipelines
            ),
        )

    def _operate(self) -> None:
        self.operations_left -= 1
        key = f"photo{self.random.randrange(self.weather.keys)}"
        now = self.clock.now()
        if self.random.random() < self.weather.delete:
            if self.store.head(SOURCE, key) is not None:
                self.store.delete(SOURCE, key)
                self.history.append(Operation("delete", SOURCE, key, now, "ok", now))
                self._log(f"client deletes {key}")
            return
        number = self.random.randrange(self.weather.bodies + 1)
        body = b"bad" if number == self.weather.bodies else f"body{number}".encode()
        ref = self.store.upload(SOURCE, key, body)
        self._log(f"client uploads {key} {ref.version_id[:6]} {body!r}")
        expected = (
            ()
            if body == b"bad"
            else tuple(
                Expected(result, name, "sha256:" + _sha(self.pipelines[name].output(body, role)))
                for name in self._pipelines_of(ref)
                for result, role in zip(
                    self.pipelines[name].result_keys(key), self.pipelines[name].roles, strict=True
                )
            )
        )
        self.history.append(
            Operation(
                "put",
                SOURCE,
                key,
                now,
                "ok",
                now,
                ref.etag,
                ref.version_id,
                _sha(body),
                len(body),
                "bad" if body == b"bad" else "good",
                self._pipelines_of(ref),
                expected,
            )
        )
        if self.random.random() >= self.weather.lose_event:
            copies = 2 if self.random.random() < self.weather.double_event else 1
            self.events.extend([UploadFacts(ref, now)] * copies)

    def _pipelines_of(self, ref: ObjectRef) -> tuple[str, ...]:
        return tuple(job.pipeline for job in self.plan(UploadFacts(ref, 0.0)).jobs)

    def _deliver_event(self) -> None:
        # Several requests may share one round of ledger and broker; each has its own answer.
        together = [
            self.events.pop(self.random.randrange(len(self.events)))
            for _ in range(min(len(self.events), self.random.choice((1, 1, 2, 3))))
        ]
        jobs = {facts: self.plan(facts).jobs for facts in together}

        def answered(confirmed: Any) -> None:
            for facts in together:
                # Not a 2xx: the store sends the event again.
                if not confirmed or not all(confirmed[job.id] for job in jobs[facts]):
                    self.events.append(facts)

        every = [job for facts in together for job in jobs[facts]]
        self._spawn(Actor("gateway", accept_jobs(every, self.policy), on_end=answered))

    # workers

    def _beat(self) -> None:
        now = self.clock.now()
        while len(self.workers) < 3:
            self.worker_count += 1
            # The third is the quarantine's.
            pool = (
                QUARANTINE_POOL
                if not any(name.startswith(QUARANTINE_POOL) for name in self.workers)
                else POOL
            )
            self.workers[f"{pool}@w{self.worker_count}"] = 0.0
        for worker, beaten_at in self.workers.items():
            if now - beaten_at >= self.policy.heartbeat_s:
                self.workers[worker] = now
                deliveries = [a.delivery for a in self.actors if a.worker == worker]
                active = tuple(d.job.id for d in deliveries if d is not None)
                self.ledger.beat(
                    WorkerBeat(
                        worker,
                        worker.split("@")[0],
                        2,
                        now + self.policy.lease_s,
                        active,
                        len(active),
                    )
                )

    def _take_message(self) -> None:
        worker = self.random.choice(list(self.workers))
        if sum(actor.worker == worker for actor in self.actors) >= 2:
            return
        in_quarantine = worker.startswith(QUARANTINE_POOL)
        delivery = self.broker.take(worker, [QUARANTINE_POOL if in_quarantine else POOL])
        if delivery is None:
            return
        token = self.random.randbytes(4).hex()
        context = WorkContext(
            owner_name(worker, token), in_quarantine, self.policy, self.place, self.pipelines
        )
        job = delivery.job
        self._spawn(
            Actor(
                f"{worker} {job.ref.key} {job.ref.version_id[:6]} {job.pipeline}",
                process_job(job, context),
                worker,
                delivery,
                is_patient=True,
            )
        )

    # the reconciler

    def _duty(self) -> None:
        if any(actor.name.startswith("reconciler") for actor in self.actors):
            return
        name, steps = self.random.choice(
            [
                (
                    "recover",
                    duties.recover_running(self.policy, broker_redelivers=self.broker.redelivers),
                ),
                ("due", duties.release_due(10)),
                ("waiting", duties.release_waiting(self.policy, 10)),
                ("accepted", duties.publish_accepted(10.0, 10)),
                ("verdicts", duties.settle_verdicts(self.place, 10)),
                ("evidence", None),
                ("requeue", None),
                ("sweep", None),
                ("epoch", None),
            ]
        )
        if steps is not None:
            self._spawn(Actor(f"reconciler {name}", steps))
        elif name == "sweep":
            if self.sweep is None or self.sweep.ended:
                self.sweep = Sweep(SOURCE, RecordMerge(RESERVED, SOURCE))
            self._spawn(
                Actor(
                    "reconciler sweep",
                    sweep_pages(self.sweep, self.sweep_context, self.random.choice([1, 3])),
                    on_end=self._after_sweep,
                )
            )
        else:
            getattr(self, f"_{name}")()

    def _after_sweep(self, value: object) -> None:
        if value is None and self.sweep is not None:
            self.sweep = self.sweep.again()  # it failed half-way

    def _requeue(self) -> None:
        now = self.clock.now()
        live = {beat.worker for beat in self.ledger.workers(now)}
        self.silent = {
            worker: self.silent.get(worker, now)
            for worker in self.broker.holders()
            if worker not in live
        }
        for worker, since in self.silent.items():
            if now - since >= self.policy.claim_grace_s:
                self._log(f"reconciler requeues {self.broker.requeue(worker)} of {worker}")

    def _evidence(self) -> None:
        now = self.clock.now()
        if now < self.next_reading_at:
            return
        self.next_reading_at = now + 5.0
        counts = self.ledger.open_counts()
        for pool in (POOL, QUARANTINE_POOL):
            ours = [counts[pool, p] for p in PRIORITIES if (pool, p) in counts]
            depths = self.broker.depths([pool])
            theirs = [depths[name] for name in pool_queues(pool)]
            reading = Reading(
                now,
                sum(c.queued for c in ours),
                sum(c.running for c in ours),
                sum(d.ready for d in theirs),
                sum(d.unacked or 0 for d in theirs),
            )
            before, self.readings[pool] = self.readings.get(pool), reading
            self._spawn(
                Actor(
                    "reconciler evidence",
                    duties.republish_lost(pool, before, reading, self.policy, 100),
                )
            )

    def _epoch(self) -> None:
        theirs, ours = self.broker.epoch(), self.ledger.value("epoch")
        if theirs is None or theirs != ours:
            self.broker.set_epoch(mark := self.random.randbytes(4).hex())
            self.ledger.set_value("epoch", mark)
            self.sweep = None

    # misfortunes

    def _misfortune(self) -> None:
        chance, weather = self.random.random, self.weather
        if chance() < weather.worker_crash:
            worker = self.random.choice(list(self.workers))
            del self.workers[worker]
            self._kill([actor for actor in self.actors if actor.worker == worker])
            self.broker.crash(worker)
            self._log(f"{worker} dies")
        if chance() < weather.gateway_crash:
            doomed = [actor for actor in self.actors if not actor.worker]
            if doomed:
                victim = self.random.choice(doomed)
                self._kill([victim])
                victim.on_end(None)
        if chance() < weather.drop_message:
            self._log("a message is lost")
            self.broker.drop(1)
        if chance() < weather.broker_wipe:
            self._log("the broker is wiped")
            self.broker.wipe()
        if chance() < weather.ledger_wipe:
            self._log("the ledger is wiped")
            self._wipe_ledger()

    def _wipe_ledger(self) -> None:
        self.ledger.__init__(self.clock)  # type: ignore[misc]  # everybody keeps the object

    def _kill(self, actors: list[Actor]) -> None:
        for actor in actors:
            self.actors.remove(actor)
            actor.steps.close()

    # the end

    def verdict(self) -> Verdict:
        """What the stand-alone checker says of the final listings."""
        sources = [
            SourceVersion(
                SOURCE,
                row.ref.key,
                row.ref.version_id,
                row.ref.etag,
                row.ref.size_bytes,
                row.is_latest,
                row.is_delete_marker,
            )
            for row in self.store.list_versions(SOURCE).rows
        ]
        results, records, writes = [], [], dict[str, int]()
        rows = self.store.list_versions(RESULTS).rows
        for row in rows:
            writes[row.ref.key] = writes.get(row.ref.key, 0) + 1
        for row in rows:
            body = self.store.get(row.ref)
            if row.ref.key.startswith(RESERVED):
                if row.is_latest and "/records/" in row.ref.key:
                    import json

                    records.append(
                        RecordClaim(row.ref.key, json.loads(body.data), writes[row.ref.key])
                    )
            else:
                results.append(
                    ResultVersion(
                        row.ref.key,
                        row.ref.version_id,
                        row.ref.etag,
                        row.ref.size_bytes,
                        row.is_latest,
                        row.is_delete_marker,
                        dict(body.head.metadata),
                        _sha(body.data),
                    )
                )
        return judge(self.history, sources, results, records)

    def _log(self, line: str) -> None:
        self.trace.append(f"{self.clock.now() - 1_700_000_000:9.3f} {line}")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
