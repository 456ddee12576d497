"""The port: one Celery application, its queues and its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Run:
    """A task that a worker runs."""

    task: str
    """The task's name."""
    started_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said of itself. What it holds was asked after what it consumes, so one that
    consumes nothing and holds nothing has nothing and gets nothing."""

    queues: frozenset[str]
    """Those that it consumes."""
    active: Mapping[str, Run] = field(default_factory=dict)
    """By the task's id."""
    waiting: int = 0
    """Tasks that it has fetched and not begun."""
    scheduled: int = 0
    """Tasks with an ETA that it keeps until then. It gives them back to the broker when it ends."""


@dataclass(frozen=True, slots=True)
class AppWorker:
    """One worker process."""

    heard_at: float | None = None
    """When it last sent an event of any kind, which it does each 2 s; None = never heard of."""
    answer: Answer | None = None
    """None: it was asked and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Took:
    """Tasks of one name that ended, and the seconds that they ran in all. Both only grow."""

    tasks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class AppView:
    """The application at one moment."""

    ready: Mapping[str, int]
    """By queue, the messages that no worker has. Counted before the workers were asked: what goes
    from a queue to a worker meanwhile is seen twice, never not at all."""
    workers: Mapping[str, AppWorker]
    """Those that were asked for."""
    unacked: int = 0
    """Messages that the broker has given to somebody and would not give to anybody else before a
    worker asks for them after hours: whoever had them may be dead. Counted while none is ready; 0
    where the broker itself gives them back at once."""
    started: int = 0
    """Tasks that workers have begun since this was first looked at; only grows."""
    took: Mapping[str, Took] = field(default_factory=dict)
    """By the task's name, since this was first looked at."""


class CeleryApp(Protocol):
    """Looks at an application and tells its workers to fetch nothing for a while."""

    def look(self, workers: Sequence[str]) -> AppView:
        """At the queues, and at the workers of these names. A queue that does not exist yet has
        nothing in it. Raises `BacklogUnavailable` where the broker does not answer, and where what
        workers send does not come through: then nobody's silence means anything."""
        ...

    def pause(self, workers: Sequence[str]) -> None:
        """Let them fetch no more tasks. Nobody confirms it: see `Answer.queues`. Raises
        `BrokerUnavailable`."""
        ...

    def resume(self, workers: Sequence[str]) -> None:
        """Let them fetch tasks again. Raises `BrokerUnavailable`."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...
