"""Workers of the tutorial's Celery application, as processes that know nothing of us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from celery import Celery
from waiting import wait_until

from marea.up.servers import inherited_environment

EXAMPLE = Path(__file__).parents[1] / "k8s" / "examples" / "celery-app"
END_S = 30.0


def client_of(broker_url: str, backend_url: str) -> Celery:
    """What their web process has: names of tasks, and where to send them."""
    return Celery("tutorial", broker=broker_url, backend=backend_url)


@dataclass
class AppWorkers:
    """Worker processes by name, all gone after `kill`."""

    broker_url: str
    backend_url: str
    folder: Path
    concurrency: int = 2
    queues: str = "celery"
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def launch(self, name: str) -> None:
        """A worker that is on its way up. It gets the arguments that the chart gives it."""
        log = self.log_file(name).open("wb")
        self.running[name] = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "--app", "tutorial", "worker"),
                *("--hostname", name, "--queues", self.queues),
                *("--concurrency", str(self.concurrency), "--task-events", "--loglevel", "INFO"),
            ],
            cwd=EXAMPLE,
            env=inherited_environment()
            | {"CELERY_BROKER_URL": self.broker_url, "CELERY_RESULT_BACKEND": self.backend_url},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def start(self, name: str) -> None:
        """A worker that is up."""
        self.launch(name)
        wait_until(lambda: f"{name} ready." in self.log(name), f"{name} is up", timeout_s=30)

    def terminate(self, name: str) -> None:
        """A warm shutdown begins, as an orchestrator's SIGTERM to the main process does."""
        self.running[name].terminate()

    def stop(self, name: str) -> int:
        """A warm shutdown; the exit status."""
        self.terminate(name)
        return self.running.pop(name).wait(END_S)

    def freeze(self, name: str) -> None:
        """The main process hangs: its children work on, and nobody hears of it."""
        pid = self.running[name].pid
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it hangs")

    def thaw(self, name: str) -> None:
        os.kill(self.running[name].pid, signal.SIGCONT)

    def kill_one(self, name: str) -> None:
        process = self.running.pop(name)
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill(self) -> None:
        for name in list(self.running):
            self.kill_one(name)

    def log(self, name: str) -> str:
        return self.log_file(name).read_text(encoding="utf-8", errors="replace")

    def log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"
