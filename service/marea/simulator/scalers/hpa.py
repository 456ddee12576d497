"""The HorizontalPodAutoscaler's algorithm for one external metric, as its controller has it.

From `pkg/controller/podautoscaler/{horizontal,replica_calculator}.go` of Kubernetes. Without a
`behaviour` the controller limits a rise to max(2 × current, 4) and takes the highest of the last
five minutes' recommendations; with one, windows and policies per direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SYNC_S = 15.0
DOWN_WINDOW_S = 300.0
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction of `spec.behavior`: the largest change that a policy allows counts."""

    window_s: float
    percent: int | None = 100
    pods: int | None = None
    period_s: float = SYNC_S


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Kubernetes' defaults once a behaviour is set."""

    up: Rules = Rules(window_s=0.0, percent=100, pods=4)
    down: Rules = Rules(window_s=DOWN_WINDOW_S, percent=100)


@dataclass(frozen=True, slots=True)
class HpaSpec:
    target: float
    """Type AverageValue: the metric divided by this is the number of replicas."""
    max_replicas: int
    min_replicas: int = 1
    """0 is allowed as of Kubernetes 1.37; with 1 and more, replicas 0 switch the HPA off."""
    behaviour: Behaviour | None = None
    tolerance: float = TOLERANCE


@dataclass(slots=True)
class Hpa:
    """One HPA: what it recommended and did, as far as its rules look back."""

    spec: HpaSpec
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)
    """When the scale was changed, and by how much."""

    def sync(self, now: float, wanted: int, existing: int, metric: float | None) -> int:
        """The scale after a sync at `now`; `existing` is `status.replicas`."""
        if metric is None or (wanted == 0 and self.spec.min_replicas > 0):
            return wanted
        if wanted > self.spec.max_replicas:
            return self.spec.max_replicas
        if wanted < self.spec.min_replicas:
            return self.spec.min_replicas
        if not self._recommended:
            self._recommended.append((now, wanted))
        raw = self._raw(existing, metric)
        if self.spec.behaviour is None:
            return self._plain(now, wanted, raw)
        replicas = self._by_rules(now, wanted, raw, self.spec.behaviour)
        if replicas != wanted:
            self._changes.append((now, replicas - wanted))
        return replicas

    def _raw(self, existing: int, metric: float) -> int:
        if existing > 0:
            ratio = metric / (self.spec.target * existing)
            if 1 - self.spec.tolerance <= ratio <= 1 + self.spec.tolerance:
                return existing
        return math.ceil(metric / self.spec.target)

    def _plain(self, now: float, wanted: int, raw: int) -> int:
        """Rises at once, within max(2 × current, 4); falls to the highest of five minutes."""
        stable = max(raw, *self._within(now, DOWN_WINDOW_S))
        self._remember(now, raw, DOWN_WINDOW_S)
        highest = min(self.spec.max_replicas, max(2 * wanted, 4))
        return max(self.spec.min_replicas, min(stable, highest))

    def _by_rules(self, now: float, wanted: int, raw: int, behaviour: Behaviour) -> int:
        up = min([raw, *self._within(now, behaviour.up.window_s)])
        down = max([raw, *self._within(now, behaviour.down.window_s)])
        self._remember(now, raw, max(behaviour.up.window_s, behaviour.down.window_s))
        stable = min(max(wanted, up), down)
        if stable > wanted:
            return min(stable, self.spec.max_replicas, self._highest(now, wanted, behaviour.up))
        if stable < wanted:
            return max(stable, self.spec.min_replicas, self._lowest(now, wanted, behaviour.down))
        return wanted

    def _highest(self, now: float, wanted: int, rules: Rules) -> int:
        start = self._at_period_start(now, wanted, rules)
        limits = [start + rules.pods] if rules.pods is not None else []
        if rules.percent is not None:
            limits.append(math.ceil(start * (1 + rules.percent / 100)))
        return max([wanted, *limits])

    def _lowest(self, now: float, wanted: int, rules: Rules) -> int:
        start = self._at_period_start(now, wanted, rules)
        limits = [start - rules.pods] if rules.pods is not None else []
        if rules.percent is not None:
            limits.append(int(start * (1 - rules.percent / 100)))
        return min([wanted, *limits])

    def _at_period_start(self, now: float, wanted: int, rules: Rules) -> int:
        recent = sum(change for at, change in self._changes if at > now - rules.period_s)
        return wanted - recent

    def _within(self, now: float, window_s: float) -> list[int]:
        return [replicas for at, replicas in self._recommended if at > now - window_s]

    def _remember(self, now: float, raw: int, window_s: float) -> None:
        self._recommended = [
            (at, replicas) for at, replicas in self._recommended if at > now - window_s
        ]
        self._recommended.append((now, raw))
