"""A drain lease: for a while this worker finishes what it holds and takes no more.

The autoscaler writes it before a scale-in, so that the replica to be removed is surely idle by
then. It ends by itself: an autoscaler that died strands nobody.

    taking jobs ──lease heard of with a beat──▶ queues cancelled ──lease over──▶ taking jobs

Heartbeats hear of it, in their thread; the event loop obeys, since a consumer belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from celery import bootsteps

from marea.clock import Clock, to_iso

log = structlog.get_logger("marea.worker")

LOOK_S = 0.5
"""Between two looks of the event loop at the lease; small beside a beat."""


@dataclass(slots=True)
class DrainLease:
    """Shared by two threads without a lock: each field is one word with one writer."""

    until: float = 0.0
    """When it ends; 0 = there is none. Written by the heartbeats."""
    obeys_until: float = 0.0
    """The end of the lease that the worker obeys; 0 = it takes jobs. Written by the event loop."""

    @property
    def consuming(self) -> bool:
        return not self.obeys_until


def drain_step(
    lease: DrainLease, queues: Sequence[str], clock: Clock, tell: Callable[[], None]
) -> type[Any]:
    """A step of Celery's consumer that obeys `lease`; `tell` is called after each change.

    The queues are cancelled as by Celery's own `cancel_consumer`: they stay so when the
    connection is lost and found. On Redis a BRPOP that is under way may still bring a message;
    kombu then finds no consumer for it and puts it back at the front.
    """

    class DrainStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
            hub.call_repeatedly(LOOK_S, lambda: look(consumer))

    def look(consumer: Any) -> None:
        until = lease.until if clock.now() < lease.until else 0.0
        if until == lease.obeys_until or consumer.task_consumer is None:
            return
        was_consuming, is_leased = lease.consuming, bool(until)
        if is_leased == was_consuming:
            for queue in queues:
                (consumer.cancel_task_queue if is_leased else consumer.add_task_queue)(queue)
        lease.obeys_until = until
        if is_leased:
            log.info("takes no more jobs for now", until=to_iso(until))
        else:
            log.info("takes jobs again")
        tell()

    return DrainStep
