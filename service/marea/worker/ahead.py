"""One message fetched ahead of a free slot, as long as jobs are short.

Without it a slot stands idle after each job for two round trips that Redis syncs to disk
(acknowledge, fetch), some 3 ms; with it, always, a message could wait here behind long jobs
while another worker is free. So the mean of the last jobs decides, and a message that all the
same has waited is given back to the front of its queue.

RabbitMQ pushes messages and needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

from celery import bootsteps
from celery.worker import state

from marea.clock import Clock

SHORT_JOB_S = 0.5
"""Mean time of a job up to which the next one is fetched before a slot is free. At 3 ms saved a
job, longer ones would gain less than a percent."""

WAITED_S = 2.0
"""A message that waited here for this long is given back; a few short jobs, so that it only
happens where a long one has come among them."""

RECENT = 0.1
"""Weight of the last job in the mean: some twenty jobs count."""

LOOK_S = 1.0


class Ahead:
    """How many messages a worker of `slots` slots may hold."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._mean_s: float | None = None

    def ended(self, seconds: float) -> None:
        """A job took `seconds`."""
        mean_s = self._mean_s
        self._mean_s = seconds if mean_s is None else mean_s + RECENT * (seconds - mean_s)

    def limit(self, longest_running_s: float) -> int:
        """Slots, and one more while jobs are short and none that runs has become long."""
        is_short = self._mean_s is not None and self._mean_s <= SHORT_JOB_S
        return self._slots + (is_short and longest_running_s <= SHORT_JOB_S)


def ahead_step(ahead: Ahead, clock: Clock) -> type[Any]:
    """A step of Celery's consumer that holds it to `ahead`."""

    class AheadStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            qos = consumer.task_consumer.channel.qos

            def can_consume(_qos: Any) -> bool:
                longest_s = longest_running(state.active_requests, clock.now())
                return len(state.reserved_requests) < ahead.limit(longest_s)

            # In place of the one that `worker_disable_prefetch` has put there.
            qos.can_consume = MethodType(can_consume, qos)

        def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
            waiting = consumer.controller.semaphore._waiting
            hub.call_repeatedly(LOOK_S, lambda: give_back_waited(waiting, clock.now()))

    return AheadStep


def longest_running(requests: Iterable[Any], now: float) -> float:
    """Seconds for which the oldest of the running requests has run; 0 if none does."""
    return max((now - request.time_start for request in requests if request.time_start), default=0)


def give_back_waited(
    waiting: Any, now: float, forget: Callable[[Any], None] = state.task_ready
) -> None:
    """Return to the broker what has waited for a slot for `WAITED_S`.

    `waiting` is the semaphore's deque of (callback, (request, …), keywords).
    """
    for waiter in list(waiting):
        request = waiter[1][0]
        if now - request.received_at >= WAITED_S:
            waiting.remove(waiter)
            forget(request)
            request.reject(requeue=True)
