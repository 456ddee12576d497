"""The watch over servers: what dies is started again, and nobody is waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from marea.errors import ConfigError
from marea.up.servers import ServerProcess
from marea.up.watch import RESTART_PAUSE_S, ServerWatch


class Sleeper(ServerProcess):
    """Lives until it is killed, and answers once `answer_file` is there."""

    name = "sleeper"
    ready_timeout_s = 0.3
    must_not_start = False

    @property
    def answer_file(self) -> Path:
        return self.folder / "answer"

    def is_ready(self) -> bool:
        return self.answer_file.exists()

    def _command(self) -> list[str]:
        if self.must_not_start:
            raise ConfigError(["the program is gone"])
        return ["sleep", "60"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    server = Sleeper(tmp_path)
    server.launch()
    yield server
    server.kill()


def die(server: Sleeper) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running, "the server is dead")


def test_a_dead_server_is_started_again_without_waiting_for_its_answer(sleeper: Sleeper) -> None:
    said: list[str] = []
    watch = ServerWatch(sleeper, said.append)
    die(sleeper)
    watch.look()
    assert sleeper.is_running
    assert not sleeper.is_ready()
    sleeper.answer_file.touch()
    watch.look()
    assert said == [
        "sleeper died; starting it again on the same data",
        "sleeper answers again",
    ]


def test_a_server_that_does_not_answer_in_time_is_killed_and_started_again(
    sleeper: Sleeper,
) -> None:
    watch = ServerWatch(sleeper, lambda text: None)
    die(sleeper)
    watch.look()
    first = sleeper.pid

    def is_another() -> bool:
        watch.look()
        return sleeper.pid not in (None, first)

    wait_until(is_another, "another start", timeout_s=5 * RESTART_PAUSE_S)


def test_a_server_that_cannot_be_started_is_told_once_a_pause(sleeper: Sleeper) -> None:
    said: list[str] = []
    watch = ServerWatch(sleeper, said.append)
    die(sleeper)
    sleeper.must_not_start = True
    for _ in range(3):
        watch.look()
    assert len(said) == 2
    assert "the program is gone" in said[1]
    sleeper.must_not_start = False

    def is_back() -> bool:
        watch.look()
        return sleeper.is_running

    wait_until(is_back, "the server is back", timeout_s=5 * RESTART_PAUSE_S)


def test_a_server_that_runs_is_left_alone(sleeper: Sleeper) -> None:
    said: list[str] = []
    pid = sleeper.pid
    ServerWatch(sleeper, said.append).look()
    assert (sleeper.pid, said) == (pid, [])
