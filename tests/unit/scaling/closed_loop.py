"""A small pool to try decisions on: jobs arrive, replicas start, work, drain and end.

Time goes in ticks of the autoscaler; within one, jobs begin and end at their exact times. The
decisions see what an autoscaler would: counts, heartbeats up to 5 s old, averages.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Unreadable
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas
from marea.scaling.service_times import Arrivals, Kind, ServiceTimes
from marea.scaling.step import Replica, ReplicaState, Step, next_step

TICK_S = 2.0
BEAT_S = 5.0
KIND = Kind("any", 0)


@dataclass
class Pod:
    """One replica; `ends` holds the times at which its running jobs end."""

    name: str
    created_at: float
    up_at: float
    ends: list[float] = field(default_factory=list)
    drain_until: float = 0.0
    drained_since: float = 0.0
    """When the present drain began: it is named by that, and by a heartbeat that obeys it."""
    cost: int = 0
    beat: tuple[float, int, float] | None = None
    """When, how many jobs, the drain that is obeyed (0: none)."""

    def state(self, now: float) -> ReplicaState:
        if now >= self.up_at:
            return "ready"
        return (
            "pending" if now < self.created_at + (self.up_at - self.created_at) / 2 else "unready"
        )

    def listed(self, now: float) -> Replica:
        _, busy, obeyed = self.beat or (0.0, None, 0.0)
        until = self.drain_until if self.drain_until > now else None
        consuming = until is None or obeyed != self.drained_since
        return Replica(self.name, self.state(now), busy, consuming, until, self.cost)


@dataclass
class Pool:
    """The world around one pool's decisions."""

    target: PoolTarget
    arrivals: Sequence[tuple[float, float]]
    """(when, work-seconds), in order."""
    startup_s: float = 8.0
    unreadable: Callable[[float], bool] = lambda now: False
    by_hand: Callable[[float], int | None] = lambda now: None
    rolling: Callable[[float], bool] = lambda now: False
    now: float = 0.0
    wanted: int = 0

    def __post_init__(self) -> None:
        self.pods: list[Pod] = []
        self.queue: deque[tuple[float, float]] = deque()
        self.coming = deque(self.arrivals)
        self.decisions: list[Decision] = []
        self.steps: list[Step] = []
        self.waits: list[float] = []
        self.last_end = 0.0
        self.ended = 0
        self.interrupted = 0
        self.replica_seconds = 0.0
        self.scales: list[int] = []
        self._seen = 0
        self._births = 0
        self._rate = Arrivals(0.0)
        self._times = ServiceTimes()
        self._last_work_at = float("-inf")

    def run(self, until: float) -> Pool:
        while self.now < until:
            self.tick()
        return self

    def tick(self) -> None:
        self._work(self.now + TICK_S)
        self.replica_seconds += TICK_S * len(self.pods)
        self.now += TICK_S
        self._beats()
        hand = self.by_hand(self.now)
        if hand is not None:
            self._scale(hand)
        previous = self.decisions[-1] if self.decisions else None
        decision = desired_replicas(self.target, self.reading(), self.now, previous)
        step = next_step(
            decision,
            [pod.listed(self.now) for pod in self.pods],
            wanted=self.wanted,
            rolling=self.rolling(self.now),
            now=self.now,
        )
        self._apply(step)
        self.decisions.append(replace(decision, applied=self.wanted))
        self.steps.append(step)
        self.scales.append(self.wanted)

    def reading(self) -> Backlog | Unreadable:
        if self.unreadable(self.now):
            return Unreadable(self.target.name, self.now, "the broker did not answer", self.wanted)
        up = [pod for pod in self.pods if pod.up_at <= self.now]
        beats = [pod.beat[1] if pod.beat else self.target.slots for pod in up]
        running = sum(len(pod.ends) for pod in self.pods)
        if self.queue or running:
            self._last_work_at = self.now
        self._rate = self._rate.read(self._seen, self.now)
        draining = [pod for pod in up if pod.drain_until > self.now]
        return Backlog(
            pool=self.target.name,
            at=self.now,
            ready=len(self.queue),
            unacked=running,
            busy=max(sum(beats), running),
            work_s=len(self.queue) * self._times.expected_s(KIND),
            arrivals_per_s=self._rate.per_s,
            service_s=self._times.mean_s,
            oldest_s=self.now - self.queue[0][0] if self.queue else 0.0,
            last_work_at=self._last_work_at,
            fleet=Fleet(
                wanted=self.wanted,
                ready=len(up) - len(draining),
                starting=len(self.pods) - len(up),
                draining=len(draining),
                idle=sum(not each for each in beats),
            ),
        )

    def _work(self, until: float) -> None:
        """Jobs arrive, begin and end up to `until`, each at its own time."""
        moments = [self.coming[0][0]] if self.coming else []
        moments += [pod.up_at for pod in self.pods] + [end for pod in self.pods for end in pod.ends]
        moments += [pod.drain_until for pod in self.pods]
        heap = [each for each in moments if each <= until] + [self.now]
        heapq.heapify(heap)
        while heap:
            at = heapq.heappop(heap)
            while self.coming and self.coming[0][0] <= at:
                self.queue.append(self.coming.popleft())
                self._seen += 1
            if self.coming and self.coming[0][0] <= until:
                heapq.heappush(heap, self.coming[0][0])
            for pod in self.pods:
                ended = [end for end in pod.ends if end <= at]
                pod.ends = [end for end in pod.ends if end > at]
                self.ended += len(ended)
                self.last_end = max([self.last_end, *ended])
            for end in self._begin(at):
                if end <= until:
                    heapq.heappush(heap, end)

    def _begin(self, at: float) -> list[float]:
        """Free slots take the oldest jobs, those of the emptiest replica first."""
        began: list[float] = []
        at = max(at, self.now)
        free = [pod for pod in self.pods if pod.up_at <= at and pod.drain_until <= at]
        while self.queue:
            free = [pod for pod in free if len(pod.ends) < self.target.slots]
            if not free:
                break
            pod = min(free, key=lambda each: len(each.ends))
            arrived, work_s = self.queue.popleft()
            pod.ends.append(at + work_s)
            self._times = self._times.seen(KIND, work_s)
            self.waits.append(at - arrived)
            began.append(at + work_s)
        return began

    def _beats(self) -> None:
        for pod in self.pods:
            due = pod.beat is None or self.now - pod.beat[0] >= BEAT_S
            drained = pod.drain_until > self.now
            if pod.up_at <= self.now and due:
                pod.beat = (self.now, len(pod.ends), pod.drained_since if drained else 0.0)

    def _apply(self, step: Step) -> None:
        for pod in self.pods:
            if pod.name in step.lift:
                pod.drain_until = 0.0
            if pod.name in step.drain:
                if pod.drain_until <= self.now:
                    pod.drained_since = self.now
                pod.drain_until = step.drain_until
            pod.cost = step.costs.get(pod.name, pod.cost)
        if step.scale_to is not None:
            self._scale(step.scale_to)

    def _scale(self, wanted: int) -> None:
        """As a ReplicaSet does it; it knows nothing of busy replicas."""
        self.wanted = wanted
        while len(self.pods) < wanted:
            self._births += 1
            pod = Pod(f"r{self._births:04}", self.now, self.now + self.startup_s)
            self.pods.append(pod)
        order = {"pending": 0, "unready": 1, "ready": 2}
        while len(self.pods) > wanted:
            victim = min(
                self.pods, key=lambda pod: (order[pod.state(self.now)], pod.cost, -pod.created_at)
            )
            self.pods.remove(victim)
            self.interrupted += len(victim.ends)
