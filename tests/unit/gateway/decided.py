"""Decisions as the autoscaler leaves them in a ledger."""

from __future__ import annotations

from typing import Any

from gateway_world import World

from marea.results.decisions import Decisions, history_of, write_decisions
from marea.scaling.backlog import Backlog, Fleet, PoolTarget, Unreadable
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas


def burst(now: float, pool: str = "images", **changes: Any) -> Decision:
    """1,000 jobs of a second each came at once; 5 replicas of 4 slots clear them in time."""
    figures: dict[str, Any] = {
        "ready": 1000,
        "unacked": 8,
        "busy": 8,
        "work_s": 1000.0,
        "arrivals_per_s": 0.0,
        "service_s": 1.0,
        "oldest_s": 3.0,
        "fleet": Fleet(wanted=2, ready=2),
    }
    reading = Backlog(pool=pool, at=now, **{**figures, **changes})
    return desired_replicas(PoolTarget(pool, drain_s=60.0, slots=4, max_replicas=50), reading, now)


def hold(now: float, pool: str = "images") -> Decision:
    """The broker did not answer while four replicas were there."""
    reading = Unreadable(pool, now, "the broker did not answer", wanted=4)
    return desired_replicas(PoolTarget(pool, drain_s=60.0), reading, now)


def record(world: World, *decisions: Decision, mode: str = "keda") -> None:
    """The last decisions, and each in its pool's history."""
    for decision in decisions:
        world.ledger.note(history_of(decision.pool), decision.as_json())
    pools = {decision.pool: decision for decision in decisions}
    write_decisions(world.ledger, Decisions(world.clock.now(), mode, pools))
