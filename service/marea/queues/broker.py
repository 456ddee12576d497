"""The port through which the broker is looked at and repaired (reconciler, autoscaler)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What the broker itself counts for one queue."""

    ready: int
    unacked: int | None
    """Delivered, not acknowledged; None where this broker cannot say (no management API)."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that the broker gave up on. `body` is the job's JSON."""

    body: str
    reason: str
    queue: str


class Broker(Protocol):
    """Counts queues and returns what dead workers held."""

    @property
    def redelivers(self) -> bool:
        """Whether the broker itself delivers a dead worker's messages again, and at once."""
        ...

    def depths(self, pools: Sequence[str]) -> Mapping[str, QueueDepth]:
        """Per queue name, for all pools in one round trip. Raises `BacklogUnavailable`."""
        ...

    def holders(self) -> Mapping[str, int]:
        """Worker -> messages it holds unacknowledged, 0 too; {} where the broker redelivers
        itself. A worker leaves with `requeue`."""
        ...

    def requeue(self, worker: str, but: Collection[str] = ()) -> int:
        """Put back, at the front, all that `worker` holds; how many. For dead workers, as the
        caller knows from the ledger, and for a worker itself whose connection was lost: it names
        the jobs that it runs, which stay. 0 where the broker redelivers itself."""
        ...

    def drain_dead_letters(
        self, pools: Sequence[str], handle: Callable[[DeadLetter], None], limit: int
    ) -> int:
        """Give each dead letter to `handle`, and acknowledge it once that returns."""
        ...

    def epoch(self) -> str | None:
        """The mark that `set_epoch` left; None = the broker lost its data (or never had any)."""
        ...

    def set_epoch(self, epoch: str) -> None: ...

    def declare(self, pools: Sequence[str]) -> None:
        """Make the pools' queues exist. Idempotent. Raises `BrokerUnavailable`."""
        ...
