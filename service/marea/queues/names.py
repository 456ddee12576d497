"""How queues are called. Two per pool, the same on every broker.

Two queues instead of message priorities: RabbitMQ's quorum queues have none before 4.0 and
two levels before 4.3, and Redis spells them the other way round.
"""

from __future__ import annotations

from marea.messages.job import PRIORITIES, Priority

QUARANTINE_POOL = "quarantine"
"""Jobs that twice took a whole worker with them run here, one at a time."""


def queue_name(pool: str, priority: Priority) -> str:
    """`images.high`, `images.normal`."""
    return f"{pool}.{priority}"


def pool_queues(pool: str) -> tuple[str, ...]:
    """A pool's queues in the order in which they are served."""
    return tuple(queue_name(pool, priority) for priority in PRIORITIES)


def dead_letter_queue(pool: str) -> str:
    """Where RabbitMQ puts what a pool's queues refuse to deliver again."""
    return f"{pool}.dead-letter"
