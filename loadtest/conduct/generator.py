"""Locust as a child process: it alone sends the load, and can be watched by what it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtest.target import Target, environment_for
from loadtest.users.notebook import HISTORY_FILE, LOAD_FILE, SENDS_FILE

LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
LOG_FILE = "locust.log"
STOP_S = 30.0
"""Uploads under way may end; then it is killed."""


class GeneratorFailed(Exception):
    """Locust ended by itself with something to say."""


@dataclass(frozen=True, slots=True)
class Options:
    """How Locust is run. `workers` 0 = one process for all."""

    scenario: str
    prefix: str
    workers: int = 0
    ui_port: int = 0
    """0 = without its web page."""


class Generator:
    """One run of Locust, with its files in `folder`."""

    def __init__(self, target: Target, options: Options, folder: Path) -> None:
        self._target, self._options, self._folder = target, options, folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, factor: float) -> None:
        """`factor`: what the shape's rates are multiplied by."""
        rates = ("--marea-factor", repr(factor))
        if not self._options.workers:
            self._spawn(*rates, *self._mode())
            return
        count = self._options.workers
        self._spawn(*rates, *self._mode(), "--master", "--expect-workers", str(count))
        for _ in range(count):
            self._spawn(*rates, "--worker")

    def _mode(self) -> tuple[str, ...]:
        if self._options.ui_port:
            return ("--autostart", "--autoquit", "3", "--web-port", str(self._options.ui_port))
        return ("--headless", "--only-summary")

    def _spawn(self, *more: str) -> None:
        command = [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)),
            *("--scenario", self._options.scenario, "--marea-out", str(self._folder)),
            *("--marea-prefix", self._options.prefix),
            *more,
        ]
        with (self._folder / LOG_FILE).open("ab") as log:
            # Its own process group: Ctrl-C reaches the run, which then ends it in order.
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    env=environment_for(self._target),
                    start_new_session=True,
                )
            )

    def poll(self) -> bool:
        """Whether it still sends. Raises `GeneratorFailed` with the end of its log if it ended
        without having begun, or by a fault."""
        status = self._processes[0].poll()
        if status is None:
            return True
        # 1 = it was told of failed requests, which are this run's business and not a fault.
        if status not in (0, 1) or not (self._folder / LOAD_FILE).exists():
            lines = (self._folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
            raise GeneratorFailed(
                "\n".join([f"Locust ended with status {status} and said:", *lines[-8:]])
            )
        return False

    def stop(self) -> None:
        """One after the other: a master first, which ends its workers and writes down what they
        hand over last."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def began_at(self) -> float | None:
        """Seconds since the epoch; None before all senders are there."""
        try:
            body = json.loads((self._folder / LOAD_FILE).read_text(encoding="utf-8"))
            return float(body["began_at"])
        except (OSError, ValueError, KeyError):
            return None

    def sent(self) -> int:
        """Uploads answered so far."""
        try:
            with (self._folder / SENDS_FILE).open("rb") as file:
                return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        except OSError:
            return 0

    def clean(self) -> None:
        """Away with what an earlier run left in the folder."""
        for name in (HISTORY_FILE, SENDS_FILE, LOAD_FILE, LOG_FILE):
            (self._folder / name).unlink(missing_ok=True)
