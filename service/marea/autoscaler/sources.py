"""Where the figures about a pool come from: one source for our own pools, one per app pool.

A source that does not answer says nothing of its own pools, and the others do not hear of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marea.kube.fleets import FleetView
from marea.lifecycle.state import WorkerBeat, replica_of
from marea.queues.broker import Broker, QueueDepth
from marea.queues.names import pool_queues
from marea.results.demand import PoolDemand, kind_of
from marea.results.index import lane
from marea.results.ledger import Ledger
from marea.scaling.backlog import PoolTarget
from marea.scaling.service_times import Kind

DUE_LIMIT = 1000
"""Delayed jobs looked at: those due before a new replica would be up."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a source tells of one pool."""

    depths: Sequence[QueueDepth]
    demand: PoolDemand
    beats: Mapping[str, WorkerBeat]
    """By replica."""
    due: Mapping[Kind, int] = field(default_factory=dict)
    """Delayed jobs that come before a replica asked for now would be up."""


class Source(Protocol):
    """Tells of some pools."""

    @property
    def pools(self) -> Sequence[str]: ...

    def read(self, views: Mapping[str, FleetView], now: float) -> Mapping[str, Told]:
        """Of each of its pools. Raises `TransientError`: then nothing is known of any of them."""
        ...

    def lease(self, until: Mapping[str, float]) -> None:
        """Let workers take no jobs until then; 0.0 = they may again. Raises `TransientError`."""
        ...

    def silent(self, view: FleetView, now: float) -> str:
        """A replica that is to be replaced since it says nothing any more, as last read; ""
        where there is none."""
        ...

    def close(self) -> None: ...


class OwnSource:
    """Our own pools: one question to the broker, two or three to the ledger."""

    def __init__(self, broker: Broker, ledger: Ledger, targets: Mapping[str, PoolTarget]) -> None:
        self._broker, self._ledger = broker, ledger
        self._targets = targets
        self._is_declared = False

    @property
    def pools(self) -> Sequence[str]:
        return tuple(self._targets)

    def read(self, views: Mapping[str, FleetView], now: float) -> Mapping[str, Told]:  # noqa: ARG002
        if not self._is_declared:
            # A pool at zero may never have had a worker, which declares its own queues.
            self._broker.declare(self.pools)
            self._is_declared = True
        depths = self._broker.depths(self.pools)
        demand = self._ledger.demand()
        beats = self._ledger.workers(now)
        due = self._due(now)
        return {
            pool: Told(
                [depths[name] for name in pool_queues(pool)],
                demand.get(pool, PoolDemand()),
                {replica_of(beat.worker): beat for beat in beats if beat.pool == pool},
                due.get(pool, {}),
            )
            for pool in self._targets
        }

    def lease(self, until: Mapping[str, float]) -> None:
        self._ledger.lease_drains(until)

    def silent(self, view: FleetView, now: float) -> str:  # noqa: ARG002
        """Never one: their own probes end them."""
        return ""

    def close(self) -> None:
        """Nothing: the ledger and the broker are others' too."""

    def _due(self, now: float) -> Mapping[str, Mapping[Kind, int]]:
        """By pool and kind."""
        horizon_s = max((target.startup_s for target in self._targets.values()), default=0.0)
        ids = self._ledger.due(now + horizon_s, DUE_LIMIT)
        counts: dict[str, dict[Kind, int]] = {}
        for state in self._ledger.load_many(ids).values() if ids else ():
            pool, _priority = lane(state)
            kinds = counts.setdefault(pool, {})
            kinds[kind_of(state)] = kinds.get(kind_of(state), 0) + 1
        return counts
