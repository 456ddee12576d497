"""What every `CeleryApp` does, in memory and with real workers on real brokers.

A subclass gives a fixture `world`. Its worker has two slots and fetches eight tasks
beside those that run.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

import pytest
from waiting import wait_until

from marea.apps.app import Answer, AppView, AppWorker, CeleryApp, Took
from marea.errors import BacklogUnavailable, BrokerUnavailable

WORKER = "shop@one"
NOBODY = "shop@nobody"
WAIT_S = 20.0


class World(Protocol):
    app: CeleryApp
    unreachable: CeleryApp
    """The same, by a broker that is not there."""

    def start(self) -> None:
        """The worker is up, and has nothing to do."""
        ...

    def end(self) -> None:
        """It was told to end, and has."""
        ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def send(self, count: int, seconds: float) -> None: ...

    def send_for_later(self) -> None:
        """A task with an ETA that is far away, which the worker fetches."""
        ...

    def pass_time(self) -> None:
        """Tasks get on."""
        ...

    def purge(self) -> None:
        """Nothing is left that waits."""
        ...


def look(world: World, *workers: str) -> AppView:
    return look_at(world.app, *workers)


def look_at(app: CeleryApp, *workers: str) -> AppView:
    """Its first look may come before it listens."""

    def looked() -> AppView | None:
        try:
            return app.look(workers)
        except BacklogUnavailable as exc:
            if "just begun to listen" not in str(exc):
                raise
            return None

    return wait_until(looked, "it listens", timeout_s=WAIT_S)


def see(world: World, condition: Callable[[AppWorker, int], bool], what: str) -> AppWorker:
    """The worker, once its condition, with the number of ready tasks, is this."""

    def seen() -> AppWorker | None:
        view = look(world, WORKER)
        worker = view.workers[WORKER]
        if condition(worker, view.ready["celery"]):
            return worker
        world.pass_time()
        return None

    return wait_until(seen, what, timeout_s=WAIT_S, poll_s=0.05)


def answer_of(worker: AppWorker) -> Answer:
    assert worker.answer is not None
    return worker.answer


def is_idle(worker: AppWorker, ready: int) -> bool:
    answer = worker.answer
    return not ready and answer is not None and not answer.active and not answer.waiting


def has_nothing(worker: AppWorker, _ready: int) -> bool:
    return is_idle(worker, 0)


def keeps_one(worker: AppWorker, ready: int) -> bool:
    return not ready and worker.answer is not None and worker.answer.scheduled == 1


def counted(world: World) -> AppView:
    """When all is done, and a heartbeat has told of it."""
    idle = see(world, is_idle, "all is done").heard_at or 0.0
    see(world, lambda each, _: (each.heard_at or 0.0) > idle, "it has beaten since")
    return look(world)


def consumes(worker: AppWorker) -> bool:
    return worker.answer is not None and bool(worker.answer.queues)


class AppSuite:
    def test_what_is_not_there_yet_has_nothing(self, world: World) -> None:
        view = look(world, NOBODY)
        assert view.ready == {"celery": 0}
        assert view.workers == {NOBODY: AppWorker(None, None)}

    def test_tasks_that_nobody_fetches_are_ready(self, world: World) -> None:
        world.send(3, 0.0)
        wait_until(lambda: look(world).ready == {"celery": 3}, "three are ready")
        world.purge()

    def test_a_worker_tells_what_it_consumes_runs_and_has_fetched(self, world: World) -> None:
        world.start()
        world.send(12, 0.4)
        worker = see(
            world,
            lambda each, ready: ready == 2 and each.answer is not None and each.answer.waiting == 8,
            "two run, eight are fetched, two wait",
        )
        answer = answer_of(worker)
        assert answer.queues == {"celery"}
        assert [run.task for run in answer.active.values()] == ["tutorial.slow"] * 2
        assert worker.heard_at is not None
        assert all(abs(run.started_at - worker.heard_at) < WAIT_S for run in answer.active.values())
        see(world, is_idle, "all is done")

    def test_tasks_are_counted_and_timed(self, world: World) -> None:
        world.start()
        before = counted(world)
        world.send(5, 0.1)
        after = counted(world)
        assert after.started == before.started + 5
        took, earlier = after.took["tutorial.slow"], before.took.get("tutorial.slow", Took(0, 0.0))
        tasks, seconds = took.tasks - earlier.tasks, took.seconds - earlier.seconds
        assert tasks == 5
        assert 0.5 <= seconds < 5.0

    def test_a_worker_that_is_paused_does_what_it_has_and_fetches_no_more(
        self, world: World
    ) -> None:
        world.start()
        world.send(4, 0.3)
        see(world, lambda each, ready: not ready and not has_nothing(each, 0), "it has all of them")
        world.app.pause([WORKER])
        paused = see(world, lambda each, _: not consumes(each), "it consumes nothing")
        assert answer_of(paused).active, "what it runs goes on"
        see(world, has_nothing, "what it had is done")
        world.send(3, 0.0)
        for _ in range(5):
            world.pass_time()
            view = look(world, WORKER)
            assert answer_of(view.workers[WORKER]).active == {}
        assert view.ready == {"celery": 3}
        world.app.resume([WORKER])
        see(world, lambda each, ready: consumes(each) and is_idle(each, ready), "it does the rest")

    def test_one_that_is_told_twice_has_been_told(self, world: World) -> None:
        world.start()
        for order, consuming in ((world.app.pause, False), (world.app.resume, True)):
            order([WORKER])
            order([WORKER])
            see(world, lambda each, _, wanted=consuming: consumes(each) == wanted, "it obeys")
        world.send(2, 0.0)
        see(world, is_idle, "it works")

    def test_nobody_is_told_nothing(self, world: World) -> None:
        world.start()
        world.app.pause([])
        world.app.pause([NOBODY])
        world.app.resume([NOBODY])
        assert consumes(look(world, WORKER).workers[WORKER])

    def test_a_worker_that_hangs_does_not_answer_and_costs_no_time(self, world: World) -> None:
        world.start()
        heard_at = see(world, is_idle, "it is heard").heard_at
        world.freeze()
        look(world, WORKER)
        begun = monotonic()
        worker = look(world, WORKER).workers[WORKER]
        assert monotonic() - begun < 0.5
        assert worker.answer is None
        assert worker.heard_at is not None
        assert heard_at is not None
        assert worker.heard_at >= heard_at
        world.thaw()
        see(world, lambda each, _: consumes(each), "it answers again")

    def test_one_that_ends_gives_back_tasks_with_an_eta(self, world: World) -> None:
        world.start()
        world.send_for_later()
        see(world, keeps_one, "it keeps it")
        world.end()
        assert look(world).ready == {"celery": 1}
        see(world, lambda each, _: each == AppWorker(None, None), "nobody is there")
        world.purge()

    def test_a_broker_that_does_not_answer_is_told(self, world: World) -> None:
        with pytest.raises(BacklogUnavailable):
            world.unreachable.look([WORKER])
        for order in (world.unreachable.pause, world.unreachable.resume):
            with pytest.raises(BrokerUnavailable):
                order([WORKER])
