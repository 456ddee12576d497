"""What a load costs: replicas, cores, memory, memory of Redis, and money, of the slots it needs.

The slots come from `capacity` and `capacity_peak`; here they become replicas, and replicas what a
cluster is asked for. The platform's own processes (gateway, reconciler, autoscaler), the store and
the broker's processor time are not in it: they do not grow with a pool's size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from marea.scaling.capacity import Load, mean_wait_s, slots_for, wait_s
from marea.scaling.capacity_peak import Absorbed, Peak, Ramp, absorb, slots_for_peak

QUEUED_BYTES = 1467
"""Of Redis for a queued job, broker and ledger together, beyond its key. Measured:
docs/benchmarks.md, 100,000 jobs."""

ENDED_BYTES = 893
"""Of Redis for the row of an ended job, beyond its key. Measured with 1,000 to 100,000 rows of keys
of 60 and 200 bytes: 864 to 893, and 816 with names a little shorter (docs/capacity.md); a contract
test weighs them again."""

WORKER_BYTES = 153 * 2**20
"""Of a worker with two slots at rest, after images: proportional set size. Measured:
docs/benchmarks.md."""

MOST_TIMES = 1e6
"""The usual load, when it is asked how much more a pool could do; arbitrary, and a number still
where next to nothing comes."""

RESERVE = 1.1
"""Times the usual load that a pool should do as well: forecasts are not better. Arbitrary."""

GIB = float(2**30)
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be served, and by what."""

    load: Load
    most_s: float
    """95 % of the jobs are to wait no longer."""
    slots: int
    """Of a replica."""
    cpu_s: float
    """Of one processor, for one job."""
    replica_bytes: int
    key_bytes: int
    retention_s: float
    utilisation: float
    """Share of the slots that the autoscaler lets a steady load keep busy."""
    startup_s: float
    """From the change of a scale to the first job of a new replica."""
    peak: Peak | None = None
    max_replicas: int | None = None
    """Of the autoscaler; None = as many as the peak needs."""

    @property
    def cores(self) -> float:
        """Of a replica whose slots are all busy."""
        return self.slots * self.cpu_s / self.load.service_s

    @property
    def jobs_a_day(self) -> float:
        """The peak comes once."""
        return self.load.per_s * self._full_day_s

    @property
    def work_a_day_s(self) -> float:
        """Slot-seconds."""
        return self.load.offered * self._full_day_s

    @property
    def _full_day_s(self) -> float:
        """A day's length if the peak's jobs came at the usual rate."""
        if self.peak is None:
            return DAY_S
        return DAY_S + (self.peak.factor - 1.0) * min(self.peak.lasts_s, DAY_S)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of replicas, and what it means."""

    replicas: int
    slots: int
    utilisation: float
    """Share of the slots that the usual load keeps busy."""
    p95_wait_s: float
    """At the usual load; infinite if the slots do not suffice for it."""
    cores: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class PeakPlan:
    """The peak, on three pools."""

    ready: Size
    """Replicas that have to be there when it begins for its jobs to wait no longer than asked."""
    on_ready: Absorbed
    on_usual: Absorbed
    """With the fixed replicas of the usual load, the queue takes the rest."""
    max_replicas: int
    on_scaled: Absorbed
    """From the autoscaler's replicas to `max_replicas` after their start."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    usual: Size
    """The fewest that keep the wait at the usual load."""
    most_per_s: float
    """Arrivals up to which these keep it."""
    reserved: int
    """Replicas that keep it with `RESERVE` times the load too."""
    scaled: Size
    """What the autoscaler holds at the usual load."""
    scaled_hours: float
    """Replica-hours a day, without those of starts and of idle replicas that are kept."""
    open_jobs: int
    """Queued or running: on average, or in the peak when they are most."""
    open_bytes: int
    kept_jobs: float
    """Ended, and within retention."""
    kept_bytes: float
    peak: PeakPlan | None = None

    @property
    def redis_bytes(self) -> float:
        return self.open_bytes + self.kept_bytes


def plan(question: Question) -> Plan:
    """Answer `question`; its load is at most `capacity.MAX_OFFERED`, peak included."""
    load, each = question.load, question.slots
    usual = _size(question, math.ceil(slots_for(load, question.most_s) / each))
    # 1e-9: 0.85 of 20 slots are 17.000000000000004.
    held = math.ceil(load.offered / (question.utilisation * each) - 1e-9)
    most = question.max_replicas or held
    scaled = _size(question, max(1, min(held, most)))
    peak = None if question.peak is None else _peak(question, question.peak, usual, scaled)
    waiting = load.per_s * mean_wait_s(load, usual.slots)
    if peak is not None:
        waiting = max(waiting, peak.on_usual.backlog, peak.on_scaled.backlog)
    busy = load.offered if peak is None else min(usual.slots, load.offered * peak_factor(question))
    opened = max(1, math.ceil(waiting + busy))
    kept = question.jobs_a_day * question.retention_s / DAY_S
    return Plan(
        usual=usual,
        most_per_s=_most_per_s(question, usual.slots),
        reserved=math.ceil(slots_for(load.times(RESERVE), question.most_s) / each),
        scaled=scaled,
        scaled_hours=min(
            question.work_a_day_s / (question.utilisation * each) / 3600.0,
            24.0 * (question.max_replicas or math.inf),
        ),
        open_jobs=opened,
        open_bytes=opened * (QUEUED_BYTES + question.key_bytes),
        kept_jobs=kept,
        kept_bytes=kept * (ENDED_BYTES + question.key_bytes),
        peak=peak,
    )


def peak_factor(question: Question) -> float:
    """How many times the usual rate comes at most."""
    return 1.0 if question.peak is None else max(1.0, question.peak.factor)


def cost_a_day(
    question: Question,
    replica_hours: float,
    redis_bytes: float,
    core_hour: float | None,
    gib_hour: float | None,
) -> float | None:
    """Of so many replica-hours and a day of Redis; of what has a price alone. None = no price."""
    if core_hour is None and gib_hour is None:
        return None
    gib_hours = replica_hours * question.replica_bytes / GIB + 24.0 * redis_bytes / GIB
    return replica_hours * question.cores * (core_hour or 0.0) + gib_hours * (gib_hour or 0.0)


def _size(question: Question, replicas: int) -> Size:
    slots = replicas * question.slots
    return Size(
        replicas=replicas,
        slots=slots,
        utilisation=question.load.offered / slots,
        p95_wait_s=wait_s(question.load, slots),
        cores=replicas * question.cores,
        memory_bytes=float(replicas * question.replica_bytes),
    )


def _peak(question: Question, peak: Peak, usual: Size, scaled: Size) -> PeakPlan:
    load, each = question.load, question.slots
    ready = slots_for_peak(load, peak, question.most_s, each)
    most = question.max_replicas or max(ready // each, scaled.replicas)
    return PeakPlan(
        ready=_size(question, ready // each),
        on_ready=absorb(load, peak, Ramp.steady(ready)),
        on_usual=absorb(load, peak, Ramp.steady(usual.slots)),
        max_replicas=most,
        on_scaled=absorb(
            load, peak, Ramp(min(scaled.replicas, most) * each, most * each, question.startup_s)
        ),
    )


def _most_per_s(question: Question, slots: int) -> float:
    """The rate, to a thousandth, up to which `slots` keep the wait."""
    load = question.load
    low, high = 1.0, min(slots / load.offered, MOST_TIMES)
    while high - low > 0.001 * low:
        middle = (low + high) / 2.0
        if wait_s(load.times(middle), slots) <= question.most_s:
            low = middle
        else:
            high = middle
    return low * load.per_s
