"""The port: which replicas the pools have, and how many they shall have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from marea.scaling.step import ReplicaState


@dataclass(frozen=True, slots=True)
class Listed:
    """One replica as its platform knows it. What it does is told by its heartbeat."""

    name: str
    state: ReplicaState
    started_at: float
    """When it was made (seconds since the epoch)."""
    deletion_cost: int = 0


@dataclass(frozen=True, slots=True)
class FleetView:
    """The replicas of one pool at one moment."""

    wanted: int
    """How many there shall be, whoever said so."""
    replicas: tuple[Listed, ...] = ()
    """Without those that are ending."""
    ending: int = 0
    rolling: bool = False
    """Replicas of an older version are being replaced."""


class Fleets(Protocol):
    """Every pool's replicas. Each method raises `FleetUnavailable` when nobody answers."""

    def views(self, pools: Sequence[str]) -> Mapping[str, FleetView]:
        """Of those pools that exist there; one listing for all."""
        ...

    def scale(self, pool: str, replicas: int, remove: Sequence[str] = (), /) -> None:
        """Let there be `replicas`. If fewer, `remove` names those to go, where that can be said;
        a ReplicaSet goes by the deletion costs instead."""
        ...

    def write_costs(self, costs: Mapping[str, int]) -> None:
        """Replica -> deletion cost; 0 takes it off. A replica that has gone is no error."""
        ...

    def replace(self, pool: str, replica: str) -> None:
        """End this replica, so that another takes its place, for as long as the pool's number says
        so. One that has gone is no error."""
        ...

    def announce(self, pool: str, sentence: str) -> None:
        """Tell whoever looks at the pool's replicas why their number changes."""
        ...

    def is_leader(self) -> bool:
        """Whether this process is the one that may act now; renews that."""
        ...
