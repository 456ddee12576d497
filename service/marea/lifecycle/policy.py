"""The numbers that lifecycle decisions depend on, gathered from the settings by `wiring`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """All durations in seconds. Defaults and reasons: `marea.settings`."""

    max_attempts: int = 3
    heartbeat_s: float = 5.0
    lease_s: float = 15.0
    hard_time_limit_s: float = 150.0
    retry_backoff_s: float = 1.0
    retry_backoff_max_s: float = 60.0
    republish_backoff_s: float = 10.0
    tenant_quota: int = 10_000

    @property
    def claim_grace_s(self) -> float:
        """A claim this young need not be in its owner's beat yet: two beats may miss it."""
        return 2 * self.heartbeat_s

    def backoff_s(self, deferrals: int) -> float:
        """Pause before the try after `deferrals` (>= 1) uncharged ones in a row.

        Exponential, capped, without jitter: the deferrals of different jobs are spread by
        the delayed set's release rate, and the simulation stays deterministic.
        """
        return min(self.retry_backoff_max_s, self.retry_backoff_s * 2.0 ** min(deferrals - 1, 30))

    def republish_pause_s(self, publishes: int) -> float:
        """How long a job published `publishes` (>= 1) times is left alone by rule 6."""
        return self.republish_backoff_s * 2.0 ** min(max(publishes, 1) - 1, 10)
