"""Each limiter's sentence, with the figures that it was decided by."""

from __future__ import annotations

from marea.scaling.backlog import Backlog, PoolTarget
from marea.scaling.decision import Decision

LIMITERS = {
    "drain": "the queue is cleared in time with so many",
    "queue-bound": "more slots than jobs help nobody",
    "queued": "what is there works off the queue first",
    "stuck": "jobs wait for long, so busy slots are not counted on",
    "offered-load": "what arrives keeps so many busy",
    "keep-alive": "nothing is queued just now, but work keeps arriving",
    "clears-soon": "the queue is cleared before another replica would be up",
    "busy": "the busy ones are kept",
    "dead-band": "one less would hardly do, and be added again",
    "idle": "out of work for less than idle_after_s",
    "parked": "out of work for longer than idle_after_s",
    "adopted": "changed by hand, and kept for idle_after_s",
    "min": "min_replicas",
    "max": "max_replicas",
    "budget": "the share of the budget that pools have together",
    "hold": "the reading was not good enough to act upon",
}
"""Every code that `Decision.limiter` can have. A code never changes its meaning."""


def explain(pool: PoolTarget, backlog: Backlog, decision: Decision, now: float) -> str:
    """Why `decision`, as a person would say it."""
    offered, work = decision.bounds["offered"], decision.bounds["work"]
    load = f"{backlog.arrivals_per_s:.2f} arrivals/s of {backlog.service_s:.2f} s each"
    queue = f"{backlog.ready} ready jobs ({backlog.work_s:.0f} work-seconds)"
    terms = f"{offered:.1f} for arrivals + {work:.1f} for the queue"
    fleet = backlog.fleet
    details = {
        "drain": f"{queue} in {decision.bounds['horizon_s']:.0f} s beside {load}: {terms}",
        "queue-bound": f"{backlog.jobs} jobs on {pool.slots} slots each",
        "queued": f"{queue}, {fleet.capacity} replicas; {terms}",
        "stuck": f"{queue}, the oldest for {backlog.oldest_s:.0f} s; {backlog.busy} busy slots",
        "offered-load": f"{load} at {pool.utilisation:.0%} of the slots",
        "keep-alive": f"{load}",
        "clears-soon": f"{queue}, {fleet.capacity} replicas, {pool.startup_s:.0f} s to start",
        "busy": f"{backlog.busy} busy slots on {pool.slots} each",
        "dead-band": terms,
        "idle": f"{max(0.0, now - backlog.last_work_at):.0f} s of {pool.idle_after_s:.0f} s",
        "parked": f"more than {pool.idle_after_s:.0f} s",
        "min": f"{terms}, and never fewer than {pool.min_replicas}",
        "max": f"{terms}, {backlog.jobs} jobs; more than {pool.max_replicas} need a higher max",
    }
    kept = decision.adopted
    if kept is not None:
        details["adopted"] = f"from {kept.before} to {kept.replicas}"
    sentence = f"{decision.replicas}: {LIMITERS[decision.limiter]} ({details[decision.limiter]})"
    if (
        kept is not None
        and decision.limiter != "adopted"
        and decision.at + pool.idle_after_s == (kept.until)
    ):
        sentence += f"; the scale was changed by hand from {kept.before} to {kept.replicas}"
    return sentence
