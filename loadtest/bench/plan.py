"""How much is measured: whole, or just enough to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of all sections. Repeats of contenders are interleaved: A B C, A B C, …"""

    repeats: int = 5
    images: int = 96
    """Images per contender and repeat."""
    small_objects: int = 600
    latency_uploads: int = 60
    """Uploads per program, one at a time."""
    loss_images: int = 200
    loss_repeats: int = 3
    """Each takes most of a minute: a dead worker's lease, and the wait for what may yet come."""
    loss_wait_s: float = 30.0
    """What is not made this long after the new start is waiting, or lost."""
    events: int = 3000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Queued jobs, and objects in a bucket."""

    @staticmethod
    def quick() -> Plan:
        return Plan(
            repeats=1,
            images=8,
            small_objects=30,
            latency_uploads=5,
            loss_images=20,
            loss_repeats=1,
            loss_wait_s=6.0,
            events=200,
            sizes=(100, 300),
        )
