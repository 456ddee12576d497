"""Performs the effects of lifecycle procedures against real ports: one method call each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from marea.clock import Clock
from marea.errors import ObjectChanged, ObjectGone, TransientError
from marea.lifecycle import effects as fx
from marea.lifecycle.drive import drive
from marea.lifecycle.state import WorkerBeat
from marea.pipelines.pipeline import Pipeline, Produced
from marea.queues.publisher import Publisher
from marea.results.ledger import Ledger
from marea.storage.object_store import ObjectStore

T = TypeVar("T")
Observer = Callable[[fx.Effect[Any], Any, float, float], None]
"""Told of each performed effect: the effect, its reply or what it raised, when it began, when it
ended (seconds)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world outside, as one process sees it."""

    clock: Clock
    store: ObjectStore
    ledger: Ledger
    publisher: Publisher
    pipelines: Mapping[str, Pipeline]


class Performer:
    """Runs procedures on `ports`. Thread-safe if the ports are."""

    def __init__(self, ports: Ports, observe: Observer | None = None) -> None:
        self.ports = ports
        self._observe = observe
        self._table = _table(ports)

    def run(self, steps: fx.Steps[T]) -> T:
        """Drive `steps` to their end; raises what they raise."""
        return drive(steps, self.perform)

    def perform(self, effect: fx.Effect[Any]) -> Any:
        """Perform one effect; raises what the port raises."""
        method = self._table[type(effect)]
        if self._observe is None:
            return method(effect)
        began = self.ports.clock.now()
        try:
            reply = method(effect)
        except BaseException as exc:
            self._observe(effect, exc, began, self.ports.clock.now())
            raise
        self._observe(effect, reply, began, self.ports.clock.now())
        return reply


def _table(ports: Ports) -> dict[type[fx.Effect[Any]], Callable[[Any], Any]]:
    clock, store, ledger, publisher = ports.clock, ports.store, ports.ledger, ports.publisher

    def publish_many(effect: fx.PublishMany) -> list[bool]:
        plain = [
            job for job, alone in zip(effect.jobs, effect.quarantine, strict=True) if not alone
        ]
        replies = iter(publisher.publish_many(plain)) if plain else iter(())
        confirmed = []
        for job, alone in zip(effect.jobs, effect.quarantine, strict=True):
            if not alone:
                confirmed.append(next(replies))
                continue
            try:
                publisher.publish(job, quarantine=True)
            except TransientError:
                confirmed.append(False)
            else:
                confirmed.append(True)
        return confirmed

    def read_worker(effect: fx.ReadWorker) -> WorkerBeat | None:
        return ledger.worker(effect.worker, clock.now())

    def read_object(effect: fx.ReadObject) -> Any:
        while (head := store.head(effect.bucket, effect.key)) is not None:
            try:
                return store.get(head.ref)
            except (ObjectGone, ObjectChanged):
                continue  # replaced between the two requests
        return None

    def run_pipeline(effect: fx.RunPipeline) -> Produced:
        return ports.pipelines[effect.pipeline].run(effect.source)

    return {
        fx.ReadClock: lambda _: clock.now(),
        fx.LoadState: lambda e: ledger.load(e.job_id),
        fx.LoadStates: lambda e: ledger.load_many(e.job_ids),
        fx.LoadWithTenants: lambda e: ledger.load_with_tenants(e.job_ids, e.tenants),
        fx.SaveState: lambda e: ledger.save(e.state, e.notifications),
        fx.SaveStates: lambda e: ledger.save_many(e.states),
        fx.TenantLoads: lambda e: ledger.tenants_in_broker(e.tenants),
        fx.ReadWorker: read_worker,
        fx.DueRows: lambda e: ledger.due(e.now, e.limit),
        fx.VerdictRows: lambda e: ledger.verdicts(e.limit),
        fx.AcceptedRows: lambda e: ledger.accepted(updated_before=e.updated_before, limit=e.limit),
        fx.QueuedRows: lambda e: ledger.queued(
            e.pool, e.priority, published_before=e.published_before, limit=e.limit
        ),
        fx.RunningRows: lambda _: ledger.running(),
        fx.WaitingTenants: lambda _: ledger.waiting_tenants(),
        fx.WaitingRows: lambda e: ledger.waiting(e.tenant, e.limit),
        fx.Publish: lambda e: publisher.publish(e.job, quarantine=e.quarantine),
        fx.PublishMany: publish_many,
        fx.FetchSource: lambda e: store.get(e.ref, max_bytes=e.max_bytes),
        fx.HeadObject: lambda e: store.head(e.bucket, e.key),
        fx.HeadVersion: lambda e: store.head_version(e.ref),
        fx.ReadTags: lambda e: store.tags(e.ref),
        fx.ReadObject: read_object,
        fx.PutObject: lambda e: store.put(
            e.bucket,
            e.key,
            e.data,
            content_type=e.content_type,
            metadata=e.metadata,
            condition=e.condition,
        ),
        fx.DeleteObject: lambda e: store.delete(e.bucket, e.key),
        fx.ListVersions: lambda e: store.list_versions(
            e.bucket, prefix=e.prefix, after=e.after, limit=e.limit
        ),
        fx.ListObjects: lambda e: store.list_objects(
            e.bucket, prefix=e.prefix, after=e.after, limit=e.limit
        ),
        fx.RunPipeline: run_pipeline,
    }
