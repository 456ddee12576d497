"""/v1/scaling: how many replicas each pool needs, and why.

Other scalers act on `replicas` (KEDA's trigger `metrics-api` with valueLocation "replicas"), so
what is not known is an error, upon which they keep what they have; never a number.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from marea.clock import to_iso
from marea.gateway.parts import GatewayDependency
from marea.gateway.views import DecisionView, PastDecisionsView, ScalingView
from marea.results.decisions import (
    DecisionUnknown,
    known_decisions,
    needed,
    past_decisions,
    require_fresh,
)
from marea.scaling.decision import Decision

PAGE_MAX_DECISIONS = 1000
"""About a megabyte; as many as are kept by default."""

PoolName = Annotated[str, Path(max_length=40, description="Name of a pool.")]  # as rules have it


def list_scaling(gateway: GatewayDependency) -> ScalingView:
    """What every pool needs. A pool that is held has no `replicas`, and `problem` says why.

    503 if nobody has decided within 30 s.
    """
    decisions = known_decisions(gateway.ports.ledger)
    now = gateway.ports.clock.now()
    require_fresh(decisions.at, now)
    return ScalingView(
        mode=decisions.mode,
        decided_at=to_iso(decisions.at),
        age_s=_age_s(decisions.at, now),
        pools={pool: _view(decision, now) for pool, decision in decisions.pools.items()},
    )


def get_scaling(gateway: GatewayDependency, pool: PoolName) -> DecisionView:
    """What one pool needs, with the figures behind it.

    503 if that is not known: the pool is held, or nobody has decided within 30 s.
    """
    decision = known_decisions(gateway.ports.ledger).of(pool)
    now = gateway.ports.clock.now()
    needed(decision, now)
    return _view(decision, now)


def list_past_scaling(
    gateway: GatewayDependency,
    pool: PoolName,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX_DECISIONS)] = 20,
) -> PastDecisionsView:
    """A pool's decisions that differed from the one before, newest first."""
    past = past_decisions(gateway.ports.ledger, pool, limit)
    now = gateway.ports.clock.now()
    return PastDecisionsView(
        pool=pool, decisions=[_view(decision, now, made_at=decision.at) for decision in past]
    )


def _view(decision: Decision, now: float, made_at: float | None = None) -> DecisionView:
    """As it is to be understood at `now`; one of the past, as it was when it was made."""
    replicas, problem = None, None
    try:
        replicas = needed(decision, now if made_at is None else made_at)
    except DecisionUnknown as exc:
        problem = f"{exc.code}: {exc}"
    return DecisionView(
        pool=decision.pool,
        replicas=replicas,
        problem=problem,
        limiter=decision.limiter,
        reason=decision.reason,
        decided_at=to_iso(decision.at),
        age_s=_age_s(decision.at, now),
        before=decision.wanted,
        applied=decision.applied,
        inputs=dict(decision.inputs),
        bounds=dict(decision.bounds),
    )


def _age_s(at: float, now: float) -> float:
    return round(max(0.0, now - at), 3)
