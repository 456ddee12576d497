"""From a wanted number to one safe step of a fleet: whom to drain, how far to lower the scale.

A scale-in takes two ticks at least. First the chosen replicas get a *drain lease*: they take no
more jobs until it lapses, so a dead autoscaler strands nobody. Idle ones are chosen first, then
those with the fewest jobs: where jobs go to whoever is free, a load that falls leaves every
replica a little busy and none idle. Once one is seen idle, holding nothing and no longer
consuming, its deletion cost is written (once) and the scale lowered by exactly the number of
such replicas. No job is ever interrupted for it.

What a ReplicaSet removes first is not ours to choose (Kubernetes, `controller_utils.go`):
unassigned, Pending, NotReady, and only then the lowest deletion cost. So

- replicas that are not up yet are withdrawn first, without a drain: they hold no job;
- while one is up and not Ready, none is removed by cost: it would be taken in place of the
  chosen, and it may be busy;
- during a rollout none is removed at all: replicas of the older version outrank the cost;
- a cost that somebody else left on another replica is cleared first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from marea.scaling.decision import Decision

LEASE_S = 30.0
"""How long a drained replica takes no jobs unless told again. Derived: a beat (5 s) and some
ticks (2 s) to see it idle, twice over; also what a dead autoscaler can cost."""

LEASE_MARGIN_S = 10.0
"""A lease must last this much longer for its replica to be removed: from the reading to the
signal that ends it. Arbitrary; ten times what a lab cluster took."""

DRAINED_COST = -1000
"""The deletion cost of a chosen replica; the others have none, which is 0."""

ReplicaState = Literal["pending", "unready", "ready"]


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as listed. Those that are ending already are not listed."""

    name: str
    state: ReplicaState
    """`pending`: its process does not run yet; `unready`: it runs and is not Ready."""
    busy: int | None = None
    """Jobs it runs or holds; None without a heartbeat, which is not idle."""
    consuming: bool = True
    """False only if its heartbeat says that it obeys the drain that began last. One that obeyed
    an earlier drain may since have taken a job, and not yet said so."""
    drain_until: float | None = None
    """The end of its drain lease."""
    deletion_cost: int = 0

    @property
    def is_idle(self) -> bool:
        """Known to run and hold nothing."""
        return self.state == "ready" and self.busy == 0


@dataclass(frozen=True, slots=True)
class Step:
    """What to do in this order: lift, drain, write costs, set the scale."""

    lift: tuple[str, ...] = ()
    """Replicas that may take jobs again."""
    drain: tuple[str, ...] = ()
    """Replicas to give a drain lease, or a longer one, also to those that are removed now: they
    shall not take jobs again however long their end takes. Without a lease until now, a new drain
    begins, under a name that no heartbeat has obeyed before."""
    drain_until: float = 0.0
    costs: dict[str, int] = field(default_factory=dict)
    """Deletion costs to write."""
    scale_to: int | None = None
    """The new scale; None leaves it."""
    remove: tuple[str, ...] = ()
    """The drained replicas that the lower scale is to remove (for a fleet of local processes,
    which are ended by name)."""
    waiting: str = ""
    """Why the fleet is not yet at the wanted number, if it is not."""

    @property
    def is_nothing(self) -> bool:
        return not (self.lift or self.drain or self.costs) and self.scale_to is None


def next_step(
    decision: Decision,
    replicas: Sequence[Replica],
    *,
    wanted: int,
    rolling: bool,
    now: float,
    lease_s: float = LEASE_S,
) -> Step:
    """One step towards `decision`, of the scale `wanted` and the `replicas` as listed."""
    need = decision.replicas
    if decision.is_hold or need is None:
        return Step(waiting=decision.reason)
    drained = [each for each in replicas if (each.drain_until or 0.0) > now]
    if len(replicas) > wanted:
        return _ending(need, len(replicas), drained, wanted, now, lease_s)
    if need > wanted - len(drained):
        return _more(need, wanted, drained)
    if rolling and need < wanted:
        return Step(waiting="a rollout is on, in which Kubernetes removes older replicas first")
    if need == wanted:
        return Step()
    return _fewer(need, replicas, wanted, now, lease_s)


def _ending(
    need: int, listed: int, drained: list[Replica], wanted: int, now: float, lease_s: float
) -> Step:
    """An earlier step is still being carried out: its leases and costs stay as they are, or
    others would be removed in place of the chosen."""
    step = Step(
        scale_to=need if need > wanted else None,
        waiting=f"{listed - wanted} replicas more than asked for have yet to end",
    )
    return _renewed(step, drained, now, lease_s)


def _more(need: int, wanted: int, drained: list[Replica]) -> Step:
    """Lift what can be lifted, then ask for the rest."""
    missing = need - (wanted - len(drained))
    # Those that still consume or work give the most at once.
    order = sorted(drained, key=lambda each: (not each.consuming, -(each.busy or 0), each.name))
    lifted = order[:missing]
    return Step(
        lift=tuple(each.name for each in lifted),
        costs={each.name: 0 for each in lifted if each.deletion_cost < 0},
        scale_to=need if need > wanted else None,
    )


def _fewer(
    need: int,
    replicas: Sequence[Replica],
    wanted: int,
    now: float,
    lease_s: float,
) -> Step:
    excess = wanted - need
    unborn = sorted(each.name for each in replicas if each.state == "pending")
    unlisted = wanted - len(replicas)
    withdrawn = min(excess, unlisted + len(unborn))
    if withdrawn:
        # The ReplicaSet takes these before any other, so nothing else may happen beside it.
        return Step(
            scale_to=wanted - withdrawn,
            remove=tuple(unborn[len(unborn) - max(0, withdrawn - unlisted) :]),
            waiting="" if withdrawn == excess else "more are to go after those not yet up",
        )
    chosen, lifted = _choice(replicas, excess, now)
    confirmed = [each for each in chosen if _may_be_removed(each, now)]
    stale = {each.name: 0 for each in replicas if each.deletion_cost < 0 and each not in confirmed}
    unready = [each.name for each in replicas if each.state == "unready"]
    step = _renewed(
        Step(lift=tuple(each.name for each in lifted), costs=stale), chosen, now, lease_s
    )
    if unready:
        return replace(step, waiting=f"{unready[0]} is not Ready and would be removed first")
    if stale:
        return replace(step, waiting="other replicas had a deletion cost, cleared now")
    if not confirmed:
        silent = f"; {excess - len(chosen)} have no heartbeat" if len(chosen) < excess else ""
        return replace(step, waiting=f"{len(chosen)} of {excess} are draining{silent}")
    left = excess - len(confirmed)
    return replace(
        step,
        costs={each.name: DRAINED_COST for each in confirmed if each.deletion_cost != DRAINED_COST},
        scale_to=wanted - len(confirmed),
        remove=tuple(each.name for each in confirmed),
        waiting=f"{left} more are busy or draining" if left else "",
    )


def _choice(
    replicas: Sequence[Replica], excess: int, now: float
) -> tuple[list[Replica], list[Replica]]:
    """Whom to drain, `excess` of them if that many are up and have a heartbeat: idle ones, then
    those drained already, then those with the fewest jobs. And whose lease is to be lifted."""

    def leased(each: Replica) -> bool:
        return (each.drain_until or 0.0) > now

    def rank(each: Replica) -> tuple[bool, bool, int, str]:
        return (not each.is_idle, not leased(each), each.busy or 0, each.name)

    known = [each for each in replicas if each.state == "ready" and each.busy is not None]
    chosen = sorted(known, key=rank)[:excess]
    return chosen, [each for each in replicas if leased(each) and each not in chosen]


def _may_be_removed(each: Replica, now: float) -> bool:
    return (
        each.is_idle
        and not each.consuming
        and each.drain_until is not None
        and each.drain_until - now >= LEASE_MARGIN_S
    )


def _renewed(step: Step, chosen: Sequence[Replica], now: float, lease_s: float) -> Step:
    """`step` with leases for the chosen whose lease is absent or half spent."""
    due = [each for each in chosen if (each.drain_until or 0.0) - now < max(lease_s / 2, 0.001)]
    return replace(
        step, drain=tuple(each.name for each in due), drain_until=now + lease_s if due else 0.0
    )
