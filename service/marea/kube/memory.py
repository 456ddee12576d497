"""Fleets in memory: a ReplicaSet's order of removal, pods that start when told to, no API.

For tests and trials. It passes the same contract suite as a real API server.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from marea.clock import Clock
from marea.errors import FleetUnavailable
from marea.kube.fleets import FleetView, Listed
from marea.scaling.step import ReplicaState

_ORDER: dict[ReplicaState, int] = {"pending": 0, "unready": 1, "ready": 2}


@dataclass
class MemoryFleets:
    """One Deployment a pool."""

    clock: Clock
    wanted: dict[str, int] = field(default_factory=dict)
    leads: bool = True
    away: str = ""
    """Why nobody answers; "" = somebody does."""
    announced: list[tuple[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    _pods: dict[str, list[Listed]] = field(default_factory=dict)
    _rolling: set[str] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for pool in self.wanted:
            self._follow(pool)

    def views(self, pools: Sequence[str]) -> Mapping[str, FleetView]:
        self._answer()
        return {
            pool: FleetView(
                self.wanted[pool], tuple(self._pods[pool]), rolling=pool in self._rolling
            )
            for pool in pools
            if pool in self.wanted
        }

    def scale(self, pool: str, replicas: int, _remove: Sequence[str] = ()) -> None:
        self._answer()
        if pool not in self.wanted:
            raise FleetUnavailable(f"there is no pool {pool} to scale")
        self.wanted[pool] = replicas
        self._follow(pool)

    def write_costs(self, costs: Mapping[str, int]) -> None:
        self._answer()
        for pods in self._pods.values():
            pods[:] = [
                replace(pod, deletion_cost=costs.get(pod.name, pod.deletion_cost)) for pod in pods
            ]

    def replace(self, pool: str, replica: str) -> None:
        self._answer()
        if replica in self.names(pool):
            self._pods[pool] = [pod for pod in self._pods[pool] if pod.name != replica]
            self.ended.append(replica)
            self._follow(pool)

    def announce(self, pool: str, sentence: str) -> None:
        self._answer()
        self.announced.append((pool, sentence))

    def is_leader(self) -> bool:
        self._answer()
        return self.leads

    # what a platform does by itself

    def become(self, state: ReplicaState, *names: str) -> None:
        """The pods named, or all, are `pending`, `unready` or `ready` from now on."""
        for pods in self._pods.values():
            pods[:] = [
                replace(pod, state=state) if not names or pod.name in names else pod for pod in pods
            ]

    def roll(self, pool: str, is_rolling: bool) -> None:
        (self._rolling.add if is_rolling else self._rolling.discard)(pool)

    def delete(self, pool: str) -> None:
        """The pool's Deployment is gone."""
        del self.wanted[pool], self._pods[pool]

    def names(self, pool: str) -> list[str]:
        return [pod.name for pod in self._pods[pool]]

    def _follow(self, pool: str) -> None:
        pods = self._pods.setdefault(pool, [])
        while len(pods) < self.wanted[pool]:
            pods.append(Listed(f"{pool}-{next(self._numbers)}", "pending", self.clock.now()))
        # The order of Kubernetes' controller_utils.go, as far as it is told apart here.
        pods.sort(key=lambda pod: (_ORDER[pod.state], pod.deletion_cost, -pod.started_at))
        surplus = len(pods) - self.wanted[pool]
        self.ended += [pod.name for pod in pods[:surplus]]
        del pods[:surplus]

    def _answer(self) -> None:
        if self.away:
            raise FleetUnavailable(self.away)
