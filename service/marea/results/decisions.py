"""The autoscaler's decisions as they stand in the ledger: for it, and for whoever shows or
follows them. The processes know nothing of each other but this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from marea.errors import PermanentError, TransientError
from marea.results.ledger import Ledger
from marea.scaling import policy
from marea.scaling.decision import Decision

LATEST = "scaling"
"""The ledger's value that holds the last decision of every pool."""
STALE_AFTER_S = policy.STALE_AFTER_S
"""Decisions older than this say nothing of now: as old as a reading may be."""
KEPT_S = 86400.0
"""How long the last decisions are shown when nobody decides any more."""


class DecisionUnknown(TransientError):
    """What a pool needs is not known at this moment. Unknown is not zero."""

    code = "no-decision"


class PoolUnknown(PermanentError):
    """Nobody sizes a pool of this name."""

    code = "no-such-pool"


@dataclass(frozen=True, slots=True)
class Decisions:
    """The last decision of every pool."""

    at: float
    """When they were written."""
    mode: str
    pools: Mapping[str, Decision]

    def of(self, pool: str) -> Decision:
        """A pool's last decision, however old. Raises `PoolUnknown`."""
        decision = self.pools.get(pool)
        if decision is None:
            known = ", ".join(sorted(self.pools)) or "none"
            raise PoolUnknown(f"there is no pool {pool!r}; there are {known}")
        return decision

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads back."""
        return {
            "at": self.at,
            "mode": self.mode,
            "pools": {pool: decision.as_json() for pool, decision in self.pools.items()},
        }

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """Raises `DecisionUnknown` for what cannot be read."""
        try:
            pools = {pool: Decision.from_json(each) for pool, each in body["pools"].items()}
            return cls(at=float(body["at"]), mode=str(body["mode"]), pools=pools)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise _unreadable(exc) from exc


def history_of(pool: str) -> str:
    """The ledger's list of a pool's decisions, those that differ from the one before."""
    return f"scaling:{pool}"


def write_decisions(ledger: Ledger, decisions: Decisions) -> None:
    ledger.set_value(LATEST, decisions.as_json(), expires_s=KEPT_S)


def read_decisions(ledger: Ledger) -> Decisions | None:
    """None if nobody has decided within `KEPT_S`. Raises `DecisionUnknown` for what cannot be
    read."""
    body = ledger.value(LATEST)
    return None if body is None else Decisions.from_json(body)


def known_decisions(ledger: Ledger) -> Decisions:
    """Raises `DecisionUnknown` if there are none."""
    decisions = read_decisions(ledger)
    if decisions is None:
        raise DecisionUnknown(
            "nobody has sized any pool yet: the autoscaler is not running, or has only just begun"
        )
    return decisions


def past_decisions(ledger: Ledger, pool: str, limit: int) -> list[Decision]:
    """Newest first; may be of a pool that is no more. Raises `PoolUnknown` for one without any,
    unless it is sized."""
    try:
        past = [Decision.from_json(each) for each in ledger.notes(history_of(pool), limit)]
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise _unreadable(exc) from exc
    if not past:
        known_decisions(ledger).of(pool)
    return past


def require_fresh(at: float, now: float) -> None:
    """Raises `DecisionUnknown` for what was decided too long ago, or by a clock far ahead."""
    age_s = now - at
    if age_s > STALE_AFTER_S:
        raise DecisionUnknown(
            f"the last decision is {age_s:.0f} s old, more than {STALE_AFTER_S:.0f} s: is the"
            " autoscaler well?",
            code="decision-stale",
        )
    if age_s < -STALE_AFTER_S:
        raise DecisionUnknown(
            f"the last decision is {-age_s:.0f} s ahead of this clock; set both by NTP",
            code="decision-stale",
        )


def needed(decision: Decision, now: float) -> int:
    """The replicas that the pool needs, fit to be acted upon at `now`. Raises
    `DecisionUnknown`."""
    require_fresh(decision.at, now)
    if decision.is_hold or decision.replicas is None:
        raise DecisionUnknown(f"pool {decision.pool!r} is {decision.reason}", code="pool-held")
    return decision.replicas


def _unreadable(exc: Exception) -> DecisionUnknown:
    return DecisionUnknown(
        f"the ledger's decisions cannot be read ({type(exc).__name__}: {exc}); another version"
        " of the autoscaler wrote them",
        code="decision-unreadable",
    )
