"""Replicas as child processes: who is listed, who is told to end, and that nobody waits for it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from marea.clock import FakeClock
from marea.errors import FleetUnavailable
from marea.kube.fleets import FleetView
from marea.up.fleets import ProcessFleets
from marea.up.processes import Child

POOL = "images"
LONG_S = 60.0
WORKS_TO_THE_END = """
import signal, sys
told = open(sys.argv[1], "w")
signals = {signal.SIGTERM, signal.SIGRTMIN}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("up", file=told, flush=True)
while signal.sigwait(signals) == signal.SIGTERM:
    print("told", file=told, flush=True)
"""
"""A worker that is told to end by SIGTERM, and whose job is over with SIGRTMIN: of two signals that
are pending, Linux gives the lower one first, which is SIGTERM."""


class Platform:
    """Fleets in a folder, and what their children have heard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.said: list[str] = []
        self.children: dict[str, Child] = {}
        self.program: tuple[str, ...] = (sys.executable, "-S", "-c", WORKS_TO_THE_END)
        self.grace_s = LONG_S
        self.fleets = ProcessFleets(self.clock, self._make, self.said.append)

    def _make(self, _pool: str, name: str) -> Child:
        child = self.children[name] = Child(
            name,
            (str(self.folder / name),),
            {},
            self.folder / "log",
            self.grace_s,
            program=self.program,
        )
        return child

    def open(self, replicas: int) -> None:
        """So many replicas that run."""
        self.fleets.open(POOL, replicas)
        self.fleets.look()
        for name in self.children:
            wait_until(lambda name=name: self.heard(name), f"{name} is up")

    def heard(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().split() if file.exists() else []

    @property
    def view(self) -> FleetView:
        return self.fleets.views([POOL])[POOL]

    @property
    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.view.replicas}

    def looks_until(self, condition: Callable[[], bool], what: str) -> None:
        def looked() -> bool:
            self.fleets.look()
            return condition()

        wait_until(looked, what)

    def pid(self, name: str) -> int:
        pid = self.children[name].pid
        assert pid is not None
        return pid


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    it = Platform(tmp_path)
    yield it
    for child in it.children.values():
        child.kill()


def test_a_replica_that_was_asked_for_is_pending_until_it_runs(platform: Platform) -> None:
    platform.open(1)
    platform.fleets.scale(POOL, 2)
    assert platform.states == {"worker-images-1": "ready", "worker-images-2": "pending"}
    assert platform.view.wanted == 2
    platform.fleets.look()
    assert platform.states == {"worker-images-1": "ready", "worker-images-2": "ready"}


def test_a_replica_is_as_old_as_its_process(platform: Platform) -> None:
    platform.open(1)
    (replica,) = platform.view.replicas
    assert platform.clock.now() - 10.0 < replica.started_at < platform.clock.now()


def test_a_replica_outlives_the_thread_that_asked_for_it(platform: Platform) -> None:
    platform.fleets.open(POOL, 0)
    asking = threading.Thread(target=platform.fleets.scale, args=(POOL, 1))
    asking.start()
    platform.looks_until(lambda: platform.heard("worker-images-1") == ["up"], "it runs")
    asking.join()
    os.kill(platform.pid("worker-images-1"), signal.SIGRTMIN)
    platform.looks_until(
        lambda: any("ended with status 0" in line for line in platform.said), "it has ended"
    )
    assert platform.heard("worker-images-1")[0] == "up"
    assert "told" not in platform.heard("worker-images-1")


def test_the_named_one_finishes_its_job_while_nobody_waits_for_it(platform: Platform) -> None:
    platform.open(3)
    platform.fleets.scale(POOL, 2, ["worker-images-2"])
    wait_until(lambda: "told" in platform.heard("worker-images-2"), "the signal arrived")
    platform.fleets.look()
    assert set(platform.states) == {"worker-images-1", "worker-images-3"}
    assert (platform.view.wanted, platform.view.ending) == (2, 1)
    assert platform.heard("worker-images-1") == platform.heard("worker-images-3") == ["up"]
    os.kill(platform.pid("worker-images-2"), signal.SIGRTMIN)
    platform.looks_until(lambda: platform.view.ending == 0, "it is gone")
    assert platform.children["worker-images-2"].pid is None
    assert set(platform.states) == {"worker-images-1", "worker-images-3"}


def test_one_that_takes_longer_than_its_grace_is_killed_and_that_is_said(
    platform: Platform,
) -> None:
    platform.grace_s = 0.0
    platform.open(1)
    platform.fleets.scale(POOL, 0, ["worker-images-1"])
    platform.looks_until(lambda: platform.view.ending == 0, "it is gone")
    assert platform.children["worker-images-1"].pid is None
    assert "worker-images-1 did not stop in 0 s: killed" in platform.said


def test_a_child_is_told_to_end_only_once(platform: Platform) -> None:
    platform.open(1)
    platform.fleets.scale(POOL, 0)
    wait_until(lambda: "told" in platform.heard("worker-images-1"), "the signal arrived")
    for child in platform.fleets.close():
        child.terminate()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGRTMIN)
        assert child.wait_stopped()
    assert platform.heard("worker-images-1") == ["up", "told"]


def test_a_child_that_was_stopped_and_started_again_can_be_told_again(platform: Platform) -> None:
    platform.open(1)
    child = platform.children["worker-images-1"]
    child.terminate()
    os.kill(platform.pid(child.name), signal.SIGRTMIN)
    assert child.wait_stopped()
    (platform.folder / child.name).unlink()
    child.spawn()
    wait_until(lambda: platform.heard(child.name) == ["up"], "it is up again")
    child.terminate()
    wait_until(lambda: platform.heard(child.name) == ["up", "told"], "the signal arrived")


def test_one_that_dies_is_pending_until_it_is_started_again_under_its_name(
    platform: Platform,
) -> None:
    platform.open(1)
    first = platform.pid("worker-images-1")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: platform.states == {"worker-images-1": "pending"}, "its death is seen")
    assert platform.view.wanted == 1
    platform.looks_until(lambda: platform.states == {"worker-images-1": "ready"}, "it is back")
    assert platform.pid("worker-images-1") != first


def test_one_that_hangs_is_killed_and_started_again(platform: Platform) -> None:
    platform.open(2)
    first, other = (platform.pid(f"worker-images-{number}") for number in (1, 2))
    os.kill(first, signal.SIGSTOP)
    platform.fleets.replace(POOL, "worker-images-1")
    assert platform.states == {"worker-images-1": "pending", "worker-images-2": "ready"}
    assert "worker-images-1 hangs: killed" in platform.said
    platform.looks_until(lambda: platform.states["worker-images-1"] == "ready", "it is back")
    assert platform.pid("worker-images-1") != first
    assert platform.pid("worker-images-2") == other


def test_nobody_is_killed_in_place_of_one_that_is_not_there(platform: Platform) -> None:
    platform.open(1)
    first = platform.pid("worker-images-1")
    platform.fleets.replace(POOL, "worker-images-9")
    platform.fleets.replace("tables", "worker-images-1")
    assert platform.pid("worker-images-1") == first


def test_one_that_was_told_to_end_is_not_started_again(platform: Platform) -> None:
    platform.open(1)
    platform.fleets.scale(POOL, 0)
    os.kill(platform.pid("worker-images-1"), signal.SIGKILL)
    platform.looks_until(lambda: platform.view.ending == 0, "it is gone")
    platform.fleets.look()
    assert platform.children["worker-images-1"].pid is None


def test_a_program_that_cannot_be_started_is_told_and_tried_again(platform: Platform) -> None:
    platform.program = (str(platform.folder / "absent"),)
    platform.fleets.open(POOL, 1)
    platform.fleets.look()
    assert platform.states == {"worker-images-1": "pending"}
    assert "worker-images-1 could not be started: " in platform.said[-1]
    platform.fleets.look()
    assert len(platform.said) == 2, "it is not tried without a pause"
    platform.looks_until(lambda: len(platform.said) > 2, "the next try")


def test_without_names_those_go_that_do_not_run_then_the_youngest(platform: Platform) -> None:
    platform.open(3)
    platform.fleets.scale(POOL, 4)
    platform.fleets.scale(POOL, 3)
    assert set(platform.states) == {f"worker-images-{number}" for number in (1, 2, 3)}
    os.kill(platform.pid("worker-images-1"), signal.SIGKILL)
    wait_until(lambda: platform.states["worker-images-1"] == "pending", "its death is seen")
    platform.fleets.scale(POOL, 2)
    assert set(platform.states) == {f"worker-images-{number}" for number in (2, 3)}
    platform.fleets.scale(POOL, 1)
    assert set(platform.states) == {"worker-images-2"}


def test_a_pool_that_is_not_there_is_named_and_not_listed(platform: Platform) -> None:
    platform.fleets.open(POOL, 0)
    assert set(platform.fleets.views([POOL, "tables"])) == {POOL}
    with pytest.raises(FleetUnavailable, match="no pool tables to scale; there are: images"):
        platform.fleets.scale("tables", 1)


def test_once_closed_it_hands_over_all_that_runs_and_takes_no_orders(platform: Platform) -> None:
    platform.open(2)
    platform.fleets.scale(POOL, 1, ["worker-images-1"])
    left = platform.fleets.close()
    assert {child.name for child in left} == {"worker-images-1", "worker-images-2"}
    with pytest.raises(FleetUnavailable, match="marea up is stopping"):
        platform.fleets.scale(POOL, 5)


def test_what_changes_is_said_with_its_reason(platform: Platform) -> None:
    platform.fleets.open(POOL, 0)
    platform.fleets.scale(POOL, 1)
    platform.fleets.announce(POOL, "Scaled from 0 to 1: a job waits")
    platform.fleets.scale(POOL, 0)
    assert platform.said == [
        "starting worker-images-1",
        "pool images: Scaled from 0 to 1: a job waits",
        "stopping worker-images-1",
    ]


orders = st.lists(st.tuples(st.integers(0, 8), st.sets(st.integers(1, 12))), max_size=8)


@given(orders)
def test_there_are_as_many_as_asked_for_and_the_named_ones_go_first(
    given_orders: list[tuple[int, set[int]]],
) -> None:
    ever: list[str] = []

    def make(_pool: str, name: str) -> Child:
        ever.append(name)
        return Child(name, (), {}, Path("unused"), 0.0)

    fleets = ProcessFleets(FakeClock(), make, lambda _: None)
    fleets.open(POOL, 2)
    for replicas, numbers in given_orders:
        remove = {f"worker-{POOL}-{number}" for number in numbers}
        before = {each.name for each in fleets.views([POOL])[POOL].replicas}
        fleets.scale(POOL, replicas, sorted(remove))
        view = fleets.views([POOL])[POOL]
        after = {each.name for each in view.replicas}
        assert len(after) == len(view.replicas) == view.wanted == replicas
        gone = before - after
        assert gone <= remove or remove & before <= gone, "named ones first"
    assert len(set(ever)) == len(ever), "no name is given twice"
