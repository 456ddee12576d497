"""Marea's own autoscaler: the real policy and the real steps, on what they could know.

That is: counts from the broker as they are, the kinds of jobs from the ledger, service times as
workers measured them on jobs that are over, and since when jobs run; busy slots from heartbeats up
to 5 s old. A drain lease reaches a worker, and what it then says reaches us, with a heartbeat. How
long a waiting job will take, nobody tells it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Reading, Unreadable
from marea.scaling.budget import within_budget
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas
from marea.scaling.service_times import Arrivals, Kind, ServiceTimes
from marea.scaling.step import Replica, ReplicaState, Step, next_step
from marea.simulator.pod import Beat, Phase, Pod, Task
from marea.simulator.scaler import Scaler

if TYPE_CHECKING:
    from marea.simulator.pool import Pool
    from marea.simulator.world import World

TICK_S = 2.0
"""The autoscaler's loop."""
BEAT_S = 5.0
"""Of the workers' heartbeats."""
UNREADY_S = 3.0
"""A pod is listed as running and not Ready for so long, and none may be removed beside it: from its
process's start to its first beat (measured: 2 to 3 s on an idle core). Before that, while its image
is fetched and its container made, it is Pending, as Kubernetes has it. A simulated start has no
parts, so these seconds are counted from its first job on, not up to it."""

STARTUP_OF_MEDIAN = 10.0 / 6.0
"""What the owner sets as `startup_s`: its default of 10 s where the median start is 6 s."""


@dataclass(slots=True)
class Known:
    """What the autoscaler knows of one pool from one look to the next."""

    target: PoolTarget
    arrivals: Arrivals
    times: ServiceTimes = field(default_factory=ServiceTimes)
    leases: dict[Pod, float] = field(default_factory=dict)
    last_work_s: float = 0.0
    previous: Decision | None = None


class BuiltinScaler(Scaler):
    """`decided` keeps every decision and step, to be looked at when a run surprises."""

    def __init__(self) -> None:
        self.decided: list[tuple[Decision, Step]] = []

    def begin(self, world: World) -> None:
        self._world = world
        first = world.trace.first_s
        self._known = {
            name: Known(_target(pool, world.cluster.start_median_s), Arrivals(first, total=0))
            for name, pool in world.pools.items()
        }
        world.every(TICK_S, first + world.random("builtin").uniform(0, TICK_S), self._tick)

    # ------------------------------------------------------------------ what it hears

    def finished(self, pool: Pool, task: Task, took_s: float) -> None:
        known = self._known[pool.spec.name]
        known.times = known.times.seen(_kind(task.job.key), took_s)
        known.last_work_s = self._world.now

    def pod_ready(self, pool: Pool, pod: Pod) -> None:
        """A worker says what it does each 5 s, and obeys its lease then."""
        known = self._known[pool.spec.name]

        def beat() -> None:
            if pod.phase is not Phase.READY:
                known.leases.pop(pod, None)
                return
            now = self._world.now
            pool.consume(pod, known.leases.get(pod, 0.0) <= now)
            pod.beat = Beat(now, pod.unacked, pod.consuming)
            self._world.at(now + BEAT_S, beat)

        pod.consuming = True
        beat()

    # ------------------------------------------------------------------ the loop

    def _tick(self) -> None:
        now, pools = self._world.now, self._world.pools
        decisions = [
            desired_replicas(known.target, self._read(known, pools[name]), now, known.previous)
            for name, known in self._known.items()
        ]
        if self._world.trace.cap is not None:
            targets = {name: known.target for name, known in self._known.items()}
            decisions = within_budget(self._world.trace.cap, targets, decisions)
        for decision in decisions:
            known, pool = self._known[decision.pool], pools[decision.pool]
            listed = [_replica(pod, known, now) for pod in pool.pods]
            step = next_step(decision, listed, wanted=pool.wanted, rolling=False, now=now)
            self._apply(step, known, pool)
            known.previous = replace(decision, applied=pool.wanted)
            self.decided.append((known.previous, step))

    def _read(self, known: Known, pool: Pool) -> Reading:
        name, now = pool.spec.name, self._world.now
        if not self._world.is_readable:
            return Unreadable(name, now, "the metrics cannot be read", wanted=pool.wanted)
        known.arrivals = known.arrivals.read(len(pool.tasks), now)
        if pool.ready_messages or pool.unacked:
            known.last_work_s = now
        times = known.times.with_running(_elapsed(pool, now))
        waiting = _kinds(Counter([task.job.key for task in pool.queue]))
        return Backlog(
            pool=name,
            at=now,
            ready=pool.ready_messages,
            unacked=pool.unacked,
            busy=sum(_busy(pod) for pod in pool.pods),
            work_s=times.work_s(waiting),
            arrivals_per_s=known.arrivals.per_s,
            service_s=times.mean_s,
            oldest_s=now - pool.queue[0].job.at_s if pool.queue else 0.0,
            longest_s=times.longest_s(waiting),
            last_work_at=known.last_work_s,
            fleet=_fleet(pool, known, now),
        )

    def _apply(self, step: Step, known: Known, pool: Pool) -> None:
        by_name = {pod.name: pod for pod in pool.pods}
        for name in step.lift:
            known.leases.pop(by_name[name], None)
        for name in step.drain:
            known.leases[by_name[name]] = step.drain_until
        for name, cost in step.costs.items():
            by_name[name].cost = cost
        if step.scale_to is not None:
            pool.scale(step.scale_to)


def _target(pool: Pool, start_median_s: float) -> PoolTarget:
    spec = pool.spec
    return PoolTarget(
        spec.name,
        spec.drain_s,
        spec.slots,
        max_replicas=spec.max_replicas,
        startup_s=start_median_s * STARTUP_OF_MEDIAN,
    )


def _kind(key: str) -> Kind:
    return Kind(key, 0)


def _kinds(counts: Counter[str]) -> dict[Kind, int]:
    return {_kind(key): count for key, count in counts.items()}


def _busy(pod: Pod) -> int:
    """Slots at work as the last heartbeat said; all of a worker's that has not yet spoken."""
    if pod.phase is not Phase.READY:
        return 0
    return pod.slots if pod.beat is None else min(pod.beat.busy, pod.slots)


def _elapsed(pool: Pool, now: float) -> dict[Kind, list[float]]:
    """How long the running jobs of each kind have run so far; the ledger knows when they began."""
    elapsed: dict[Kind, list[float]] = {}
    for pod in (*pool.pods, *pool.leaving):
        for task, started_s in pod.running.items():
            elapsed.setdefault(_kind(task.job.key), []).append(now - started_s)
    return elapsed


def _state(pod: Pod, now: float) -> ReplicaState:
    if pod.ready_s is None:
        return "pending"
    return "unready" if now - pod.ready_s < UNREADY_S else "ready"


def _replica(pod: Pod, known: Known, now: float) -> Replica:
    beat = pod.beat
    return Replica(
        name=pod.name,
        state=_state(pod, now),
        busy=None if beat is None else beat.busy,
        consuming=beat is None or beat.consuming,
        drain_until=known.leases.get(pod),
        deletion_cost=pod.cost,
    )


def _fleet(pool: Pool, known: Known, now: float) -> Fleet:
    up = [pod for pod in pool.pods if pod.phase is Phase.READY]
    draining = [pod for pod in up if known.leases.get(pod, 0.0) > now]
    taking = [pod for pod in up if known.leases.get(pod, 0.0) <= now]
    return Fleet(
        wanted=pool.wanted,
        ready=len(taking),
        starting=len(pool.pods) - len(up) + max(0, pool.wanted - len(pool.pods)),
        draining=len(draining),
        idle=sum(pod.beat is not None and pod.beat.busy == 0 for pod in taking),
    )
