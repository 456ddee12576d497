"""The signal: what every pool has to do and has to do it with.

Of our own pools the broker counts messages, the ledger knows of which kinds they are and how long
such jobs took, heartbeats say which slots are busy; of an app pool its broker and its workers tell
(`sources.py`). Where two disagree the larger is believed. A source that does not answer makes its
pools' readings `Unreadable`: unknown is not zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from marea.autoscaler.sources import Source, Told
from marea.clock import Clock
from marea.errors import TransientError
from marea.kube.fleets import FleetView, Listed
from marea.lifecycle.state import WorkerBeat
from marea.results.demand import PoolDemand, Served
from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Reading, Unreadable
from marea.scaling.service_times import Arrivals, Kind, ServiceTimes
from marea.scaling.step import Replica

BOOT_S = 30.0
"""A replica younger than this, of which no heartbeat was heard, is starting; an older one is
taken to be busy with all its slots. Ten times what a worker needs from its start to its first
beat (measured: 2 to 3 s on an idle core)."""


@dataclass(frozen=True, slots=True)
class PoolReading:
    """The reading of one pool, and its replicas, each with what its heartbeat says."""

    reading: Reading
    replicas: tuple[Replica, ...] = ()
    view: FleetView | None = None
    workers: Mapping[str, str] = field(default_factory=dict)
    """Replica -> the worker that runs in it; only those that beat."""


@dataclass(frozen=True, slots=True)
class _Drain:
    """A drain as it was asked for: the end that its first lease had, and the present end."""

    first_until: float
    until: float


@dataclass(slots=True)
class _Known:
    """What is remembered of a pool from one reading to the next."""

    arrivals: Arrivals
    times: ServiceTimes = field(default_factory=ServiceTimes)
    served: Mapping[Kind, Served] | None = None
    last_work_at: float = 0.0


class SignalReader:
    """Reads all pools together, each by its source, and all sources at once: a broker that keeps
    silent would else make the readings before it old."""

    def __init__(
        self, sources: Sequence[Source], clock: Clock, targets: Mapping[str, PoolTarget]
    ) -> None:
        """Each of the targets is a pool of one of the sources."""
        self._sources, self._clock, self._targets = tuple(sources), clock, targets
        self._source_of = {pool: source for source in sources for pool in source.pools}
        self._known: dict[str, _Known] = {}
        self._drains: dict[str, _Drain] = {}
        """By replica."""
        # A process waits for such threads when it ends, so there are none where none are needed.
        is_several = len(self._sources) > 1
        self._threads = ThreadPoolExecutor(len(sources), "source") if is_several else None

    def read(self, views: Mapping[str, FleetView]) -> dict[str, PoolReading]:
        """By pool, also of those that `views` lacks: these are `Unreadable`."""
        listed = {each.name for view in views.values() for each in view.replicas}
        self._drains = {name: drain for name, drain in self._drains.items() if name in listed}
        now = self._clock.now()
        at_once = map if self._threads is None else self._threads.map
        answers = at_once(lambda source: _answer_of(source, views, now), self._sources)
        readings = {}
        for source, told in zip(self._sources, answers, strict=True):
            for pool in source.pools:
                view = views.get(pool)
                if isinstance(told, TransientError):
                    readings[pool] = _unreadable(pool, now, str(told), view)
                else:
                    readings[pool] = self._pool(pool, told[pool], view, now)
        return readings

    def lease(self, pool: str, until: Mapping[str, float], workers: Mapping[str, str]) -> None:
        """Set drain leases: replica → end, 0.0 = lifted. `workers` are those of the replicas, as
        they were read. Raises `TransientError`."""
        self._source_of[pool].lease(
            {workers[name]: end for name, end in until.items() if name in workers}
        )
        self.drained(until)

    def drained(self, until: Mapping[str, float]) -> None:
        """Remember the drain leases that were set: replica -> end; 0.0 = lifted."""
        now = self._clock.now()
        for name, end in until.items():
            drain = self._drains.pop(name, None)
            if end:
                is_renewed = drain is not None and drain.until > now
                first = drain.first_until if drain is not None and is_renewed else end
                self._drains[name] = _Drain(first, end)

    def silent(self, pool: str, view: FleetView) -> str:
        """A replica that is to be replaced since it says nothing any more, or ""."""
        return self._source_of[pool].silent(view, self._clock.now())

    def close(self) -> None:
        for source in self._sources:
            source.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _pool(self, pool: str, told: Told, view: FleetView | None, now: float) -> PoolReading:
        known = self._known.setdefault(pool, _Known(Arrivals(now), last_work_at=now))
        _learn(known, told.demand, now)
        if view is None:
            why = "its replicas are not to be found where the pools run"
            return _unreadable(pool, now, why, None)
        replicas = tuple(self._replica(each, told.beats, now) for each in view.replicas)
        target = self._targets[pool]
        fleet = _fleet(view, replicas, told.beats, now)
        busy = _busy(view, told.beats, target.slots, now)
        return PoolReading(
            reading=_backlog(target, known, told, fleet, busy, now),
            replicas=replicas,
            view=view,
            workers={replica: beat.worker for replica, beat in told.beats.items()},
        )

    def _replica(self, listed: Listed, beats: Mapping[str, WorkerBeat], now: float) -> Replica:
        beat = beats.get(listed.name)
        state = listed.state
        if state == "ready" and beat is None and now - listed.started_at < BOOT_S:
            state = "unready"  # its container runs; the worker in it has yet to say so
        drain = self._drains.get(listed.name)
        # A beat that obeyed an earlier lease, lifted since, says nothing of the present one.
        obeys = beat is not None and beat.obeys_until >= (drain.first_until if drain else 1.0)
        return Replica(
            name=listed.name,
            state=state,
            busy=None if beat is None else max(len(beat.active), beat.held),
            consuming=not obeys,
            drain_until=drain.until if drain else None,
            deletion_cost=listed.deletion_cost,
        )


def _answer_of(
    source: Source, views: Mapping[str, FleetView], now: float
) -> Mapping[str, Told] | TransientError:
    try:
        return source.read(views, now)
    except TransientError as exc:
        return exc


def _unreadable(pool: str, now: float, reason: str, view: FleetView | None) -> PoolReading:
    wanted = None if view is None else view.wanted
    return PoolReading(Unreadable(pool, now, reason, wanted=wanted), view=view)


def _learn(known: _Known, wants: PoolDemand, now: float) -> None:
    """Arrivals and service times from the counters' growth since the last reading."""
    arrivals = known.arrivals.read(wants.arrived, now)
    if arrivals.total != known.arrivals.total and known.arrivals.total is not None:
        known.last_work_at = now
    known.arrivals = arrivals
    before = known.served
    known.served = wants.served
    for kind, served in wants.served.items():
        old = (before or {}).get(kind, Served(0, 0.0))
        jobs, seconds = served.jobs - old.jobs, served.seconds - old.seconds
        if jobs <= 0 or seconds < 0.0:
            continue  # nothing new, or the ledger lost its data
        known.last_work_at = now if before is not None else known.last_work_at
        known.times = known.times.seen(kind, seconds, jobs)


def _backlog(
    target: PoolTarget, known: _Known, told: Told, fleet: Fleet, busy: int, now: float
) -> Backlog:
    wants, depths, due = told.demand, told.depths, told.due
    held = sum(beat.held for beat in told.beats.values())
    unacked = max(sum(depth.unacked or 0 for depth in depths), wants.running, held)
    queued = sum(wants.queued.values())
    in_broker = sum(depth.ready for depth in depths)
    # A message that a worker has fetched and not begun is queued to the ledger and unacknowledged
    # to the broker: the larger of the two sums counts it once.
    total = max(in_broker + unacked, queued + wants.running)
    ready = max(in_broker, total - unacked) + sum(due.values())
    if ready or unacked:
        known.last_work_at = now
    mix = dict(wants.queued)
    for kind, count in due.items():
        mix[kind] = mix.get(kind, 0) + count
    times = known.times.with_running(
        {
            kind: [max(0.0, now - started.mean_at)] * started.jobs
            for kind, started in wants.started.items()
        }
    )
    return Backlog(
        pool=target.name,
        at=now,
        ready=ready,
        unacked=unacked,
        busy=busy,
        work_s=_work_s(times, mix, ready),
        arrivals_per_s=known.arrivals.per_s,
        service_s=times.mean_s,
        oldest_s=max(0.0, now - wants.oldest_at) if wants.oldest_at and ready else 0.0,
        longest_s=times.longest_s(mix) if ready else 0.0,
        last_work_at=known.last_work_at,
        fleet=fleet,
    )


def _work_s(times: ServiceTimes, mix: Mapping[Kind, int], ready: int) -> float:
    """Work-seconds of `ready` jobs, of which `mix` tells the kinds of some or all."""
    counted = sum(mix.values())
    return times.work_s(mix) * ready / counted if counted else ready * times.mean_s


def _busy(view: FleetView, beats: Mapping[str, WorkerBeat], slots: int, now: float) -> int:
    """Slots that run a job, of the replicas that are not ending; one that is silent may be busy
    with all of its own."""
    busy = 0
    for each in view.replicas:
        beat = beats.get(each.name)
        if beat is not None:
            busy += len(beat.active)
        elif each.state == "ready" and now - each.started_at >= BOOT_S:
            busy += slots
    return busy


def _fleet(
    view: FleetView, replicas: Sequence[Replica], beats: Mapping[str, WorkerBeat], now: float
) -> Fleet:
    roles = Counter(_role(each, beats.get(each.name), now) for each in replicas)
    missing = max(0, view.wanted - len(replicas))  # asked for and not yet made
    return Fleet(
        wanted=view.wanted,
        ready=roles["idle"] + roles["working"],
        starting=roles["starting"] + missing,
        draining=roles["draining"] + view.ending,
        idle=roles["idle"],
        rolling=view.rolling,
    )


def _role(
    each: Replica, beat: WorkerBeat | None, now: float
) -> Literal["draining", "starting", "idle", "working"]:
    is_leased = (each.drain_until or 0.0) > now
    if is_leased or not each.consuming or (beat is not None and beat.draining):
        return "draining"
    if each.state != "ready":
        return "starting"
    return "idle" if each.busy == 0 else "working"
