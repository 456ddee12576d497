"""A decision about one pool: the number, what limited it, and all that is needed to explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Adopted:
    """A scale that somebody set by hand, and until when it is not lowered again."""

    replicas: int
    before: int
    until: float


@dataclass(frozen=True, slots=True)
class Decision:
    """Made once per pool and tick; kept in the ledger, so that it can be asked for later."""

    pool: str
    at: float
    replicas: int | None
    """The number wanted; None only on a hold where not even the present scale is known."""
    limiter: str
    """What the number hangs on: a stable code, listed in docs/scaling.md."""
    reason: str
    """A sentence with the figures."""
    wanted: int | None = None
    """The scale as it was read."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What was read, and the target."""
    bounds: Mapping[str, float] = field(default_factory=dict)
    """Each term of the formula, in replicas (`horizon_s` in seconds)."""
    adopted: Adopted | None = None
    applied: int | None = None
    """The scale as it was left; filled in by whoever applied the decision."""

    @property
    def is_hold(self) -> bool:
        """Nothing may be changed: the reading was not good enough to act upon."""
        return self.limiter == "hold"

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads back."""
        kept = self.adopted
        return {
            "pool": self.pool,
            "at": self.at,
            "replicas": self.replicas,
            "limiter": self.limiter,
            "reason": self.reason,
            "wanted": self.wanted,
            "inputs": dict(self.inputs),
            "bounds": dict(self.bounds),
            "adopted": kept
            and {"replicas": kept.replicas, "before": kept.before, "until": kept.until},
            "applied": self.applied,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Unknown keys, of a later version, are left out."""
        kept = body.get("adopted")
        return cls(
            pool=str(body["pool"]),
            at=float(body["at"]),
            replicas=_int_or_none(body["replicas"]),
            limiter=str(body["limiter"]),
            reason=str(body["reason"]),
            wanted=_int_or_none(body.get("wanted")),
            inputs=dict(body.get("inputs", {})),
            bounds={str(name): float(value) for name, value in body.get("bounds", {}).items()},
            adopted=kept
            and Adopted(int(kept["replicas"]), int(kept["before"]), float(kept["until"])),
            applied=_int_or_none(body.get("applied")),
        )


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)
