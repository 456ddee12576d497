"""The replicas of one machine: worker processes below `marea up`.

Two threads meet here. The autoscaler's says how many there shall be; the main thread, by
`look`, starts them and restarts what dies, since a child lives as long as the thread that made it.

          scale                look                  scale, by name          exits
    ──────────────▶ pending ─────────▶ ready ──────────────────────▶ ending ───────▶ gone
                       ▲                 │ dies                        │ late: SIGKILL
                       └─────────────────┘
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from marea.clock import Clock
from marea.errors import FleetUnavailable
from marea.kube.fleets import FleetView, Listed
from marea.scaling.step import ReplicaState
from marea.up.processes import Child

Say = Callable[[str], None]
MakeChild = Callable[[str, str], Child]
"""(pool, name of the replica) → its process, not started."""


@dataclass
class _Pool:
    """The children of one pool, oldest first."""

    wanted: list[Child] = field(default_factory=list)
    ending: list[Child] = field(default_factory=list)
    made: int = 0


class ProcessFleets:
    """`Fleets` (marea.kube) of child processes. One `marea up` has a folder, so it always leads."""

    def __init__(self, clock: Clock, make: MakeChild, say: Say) -> None:
        self._clock, self._make, self._say = clock, make, say
        self._pools: dict[str, _Pool] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self, pool: str, replicas: int) -> None:
        """Let there be a pool, of so many replicas; the next `look` starts them."""
        with self._lock:
            self._grow(pool, self._pools.setdefault(pool, _Pool()), replicas)

    def look(self) -> None:
        """Start what is wanted and does not run, let go of what has ended. In the main thread."""
        with self._lock:
            for pool in self._pools.values():
                for child in pool.wanted:
                    child.look(self._say)
                for child in pool.ending:
                    if child.is_overdue:
                        self._say(f"{child.name} did not stop in {child.grace_s:.0f} s: killed")
                        child.kill()
                pool.ending = [child for child in pool.ending if child.pid is not None]

    def close(self) -> tuple[Child, ...]:
        """From now on nothing is started or ended here; the processes that are left."""
        with self._lock:
            self._is_closed = True
            return tuple(
                child for pool in self._pools.values() for child in (*pool.wanted, *pool.ending)
            )

    # what the autoscaler asks, in a thread of its own

    def views(self, pools: Sequence[str]) -> Mapping[str, FleetView]:
        """A process that runs is ready; whether its worker is, its heartbeat tells."""
        with self._lock:
            now = self._clock.now()
            return {
                name: FleetView(
                    wanted=len(self._pools[name].wanted),
                    replicas=tuple(_listed(child, now) for child in self._pools[name].wanted),
                    ending=sum(child.pid is not None for child in self._pools[name].ending),
                )
                for name in pools
                if name in self._pools
            }

    def scale(self, pool: str, replicas: int, remove: Sequence[str] = (), /) -> None:
        """Fewer: those named go first, then those that do not run, then the youngest. They are
        told to finish and nobody waits for it. Raises `FleetUnavailable`."""
        with self._lock:
            if self._is_closed:
                raise FleetUnavailable(f"marea up is stopping: pool {pool} is not scaled any more")
            if pool not in self._pools:
                known = ", ".join(self._pools) or "none"
                raise FleetUnavailable(f"there is no pool {pool} to scale; there are: {known}")
            fleet = self._pools[pool]
            self._grow(pool, fleet, replicas)
            surplus = max(0, len(fleet.wanted) - replicas)
            for child in _in_order_of_removal(fleet.wanted, remove)[:surplus]:
                self._say(f"stopping {child.name}")
                fleet.wanted.remove(child)
                child.terminate()
                fleet.ending.append(child)

    def write_costs(self, costs: Mapping[str, int]) -> None:
        """Nothing: here replicas are ended by name."""

    def replace(self, pool: str, replica: str) -> None:
        """Kill it; the next `look` starts it again, under its name."""
        with self._lock:
            for child in self._pools[pool].wanted if pool in self._pools else ():
                if child.name == replica:
                    self._say(f"{replica} hangs: killed")
                    child.kill()

    def announce(self, pool: str, sentence: str) -> None:
        self._say(f"pool {pool}: {sentence}")

    def is_leader(self) -> bool:
        return True

    def _grow(self, pool: str, fleet: _Pool, replicas: int) -> None:
        while len(fleet.wanted) < replicas:
            # A number is not given twice: drain leases and heartbeats are told apart by name.
            fleet.made += 1
            name = f"worker-{pool}-{fleet.made}"
            self._say(f"starting {name}")
            fleet.wanted.append(self._make(pool, name))


def _listed(child: Child, now: float) -> Listed:
    state: ReplicaState = "ready" if child.pid is not None else "pending"
    return Listed(child.name, state, now - child.age_s)


def _in_order_of_removal(children: Sequence[Child], named: Sequence[str]) -> list[Child]:
    youngest_first = children[::-1]
    return sorted(
        youngest_first, key=lambda child: (child.name not in named, child.pid is not None)
    )
