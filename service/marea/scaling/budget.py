"""What several pools may have together: weighted max-min fairness, with floors.

`share` fills progressively: every pool first keeps what cannot be taken, then gets its floor, then
whoever has least for its weight gets the next replica until all have what they asked for or the
budget is spent. No pool gets more than it asked for, so what one does not need the others have.
(Progressive filling: Bertsekas and Gallager, Data Networks, 6.5.2; with weights as in Dominant
Resource Fairness for a single resource.)

`within_budget` applies it to decisions. A pool grows only into replicas that are free by now: one
that has to give some away drains them, and they end when their jobs have.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marea.scaling.backlog import PoolTarget
from marea.scaling.decision import Decision


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pool would have of the budget."""

    pool: str
    wants: int
    keeps: int = 0
    """Never less than this: what it has, where it cannot be taken away at once."""
    floor: int = 0
    weight: float = 1.0


def share(budget: int, asks: Sequence[Ask]) -> dict[str, int]:
    """Replicas per pool. They sum up to at most `budget`, unless the kept ones alone are more."""
    granted = {ask.pool: ask.keeps for ask in asks}
    left = budget - sum(granted.values())
    left = _fill(granted, left, asks, {ask.pool: min(ask.floor, ask.wants) for ask in asks})
    _fill(granted, left, asks, {ask.pool: ask.wants for ask in asks})
    return granted


def _fill(granted: dict[str, int], left: int, asks: Sequence[Ask], until: Mapping[str, int]) -> int:
    """Give out `left` one by one, the least for its weight first; what remains of it."""
    weights = {ask.pool: ask.weight for ask in asks}
    heap = [
        (granted[ask.pool] / ask.weight, ask.pool)
        for ask in asks
        if granted[ask.pool] < until[ask.pool]
    ]
    heapq.heapify(heap)
    while heap and left > 0:
        _, pool = heap[0]
        granted[pool] += 1
        left -= 1
        if granted[pool] < until[pool]:
            heapq.heapreplace(heap, (granted[pool] / weights[pool], pool))
        else:
            heapq.heappop(heap)
    return left


def within_budget(
    budget: int, pools: Mapping[str, PoolTarget], decisions: Sequence[Decision]
) -> list[Decision]:
    """`decisions`, cut to what the pools may have together; in the same order.

    A pool on hold keeps what it has, and where that is not known, its max is set aside for it.
    """
    fair = share(budget, [_goal(pools[each.pool], each) for each in decisions])
    # Whoever has more than its share still has it until the replicas have ended.
    now = share(budget, [_present(pools[each.pool], each, fair[each.pool]) for each in decisions])
    return [
        each if each.is_hold else _cut(each, fair[each.pool], now[each.pool], budget)
        for each in decisions
    ]


def _goal(pool: PoolTarget, decision: Decision) -> Ask:
    """What the pool would have if replicas could change hands at once."""
    if decision.is_hold:
        return _held(pool, decision)
    return Ask(pool.name, decision.replicas or 0, floor=pool.floor, weight=pool.weight)


def _present(pool: PoolTarget, decision: Decision, fair: int) -> Ask:
    """The same, beside what each has by now."""
    if decision.is_hold:
        return _held(pool, decision)
    has = decision.wanted or 0
    return Ask(pool.name, max(has, fair), keeps=has, floor=pool.floor, weight=pool.weight)


def _held(pool: PoolTarget, decision: Decision) -> Ask:
    held = pool.max_replicas if decision.replicas is None else decision.replicas
    return Ask(pool.name, held, keeps=held)


def _cut(decision: Decision, fair: int, now: int, budget: int) -> Decision:
    """`decision` with what it is granted now."""
    wants = decision.replicas or 0
    granted = min(fair, now)
    if granted >= wants:
        return decision
    reason = f"{granted}: of {wants} wanted, "
    if fair < wants:
        reason += f"its share of the budget of {budget} replicas"
    else:
        reason += f"since other pools have yet to give back what is above their share of {budget}"
    return replace(decision, replicas=granted, limiter="budget", reason=reason)
