"""`Fleets` in memory keeps to the suite; so does a real API server (tests/cluster)."""

from __future__ import annotations

import pytest
from fleets_suite import FleetsSuite

from marea.clock import FakeClock
from marea.kube.memory import MemoryFleets


class MemoryWorld:
    """Pods that are ready at the next look, unless their pool cannot start."""

    def __init__(self) -> None:
        self.fleets = StartingFleets(FakeClock())

    def make(self, pool: str, replicas: int) -> None:
        self.fleets.wanted[pool] = 0
        self.fleets.scale(pool, replicas)

    def make_unstartable(self, pool: str, replicas: int) -> None:
        self.fleets.starts = False
        self.make(pool, replicas)

    def take_away(self) -> None:
        self.fleets.away = "nobody is there"


class StartingFleets(MemoryFleets):
    starts = True

    def scale(self, pool: str, replicas: int, remove: object = ()) -> None:
        super().scale(pool, replicas)
        if self.starts:
            self.become("ready")

    def replace(self, pool: str, replica: str) -> None:
        super().replace(pool, replica)
        self.become("ready")


class TestMemoryFleets(FleetsSuite):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()
