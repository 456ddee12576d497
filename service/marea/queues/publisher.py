"""The port through which jobs enter the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from marea.messages.job import Job


class Publisher(Protocol):
    """Enqueues jobs; returns only when the broker has confirmed."""

    def publish(self, job: Job, *, quarantine: bool = False) -> None:
        """Enqueue one job. Raises `BrokerUnavailable` (it may be queued all the same)."""
        ...

    def publish_many(self, jobs: Sequence[Job]) -> list[bool]:
        """Enqueue a batch in as few round trips as the broker allows; which were confirmed.

        Never raises for the broker: an unreachable one confirms none.
        """
        ...

    def ping(self) -> None:
        """Raises `BrokerUnavailable` if the broker does not answer."""
        ...
