"""Keeps child processes alive: started, restarted when they die, stopped in order.

        spawn                   exits by itself            pause over
down ─────────▶ running ─────────────────────────▶ waiting ──────────▶ running
                   └── stop: SIGTERM, wait for the grace, SIGKILL ──▶ down

Spawn from the main thread only: a child is told to end when the thread that made it does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from marea.up.servers import _follow_parent, inherited_environment

RESTART_PAUSE_S, RESTART_PAUSE_MAX_S = 0.5, 10.0
"""Before a process that died is started again; doubles while it keeps dying. Short, because
a demo is watched; capped, because whatever it waits for may come back any time."""

STEADY_S = 10.0
"""A process that ran this long before it died starts with the short pause again."""

MAREA = (sys.executable, "-m", "marea")

Say = Callable[[str], None]


@dataclass
class Child:
    """One `marea` process. Its output goes to `log_file`."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path
    grace_s: float
    """Between SIGTERM and SIGKILL; a worker finishes its job in it."""
    wanted: bool = True
    restarts: int = 0
    program: tuple[str, ...] = MAREA
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _told_at: float | None = None
    """When this process was asked to finish."""
    _due_at: float = 0.0
    _pause_s: float = field(default=RESTART_PAUSE_S)

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    @property
    def age_s(self) -> float:
        """Since its process was started; 0 if it does not run."""
        return monotonic() - self._started_at if self.pid is not None else 0.0

    @property
    def is_overdue(self) -> bool:
        """It runs on, longer after `terminate` than it was given."""
        told = self._told_at
        return self.pid is not None and told is not None and monotonic() - told > self.grace_s

    def spawn(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*self.program, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=inherited_environment() | dict(self.environment),
                start_new_session=True,  # Ctrl-C is turned into an orderly stop by the parent
                preexec_fn=_follow_parent,
            )
        self._started_at = monotonic()
        self._told_at = None

    def look(self, say: Say) -> None:
        """Start it if it should run and does not, after a pause if it died."""
        if not self.wanted or self.pid is not None:
            return
        if self._process is not None:
            status = self._process.returncode
            if monotonic() - self._started_at >= STEADY_S:
                self._pause_s = RESTART_PAUSE_S
            self._pause()
            self._process = None
            self.restarts += 1
            say(f"{self.name} ended with status {status}; starting it again ({self.log_file})")
        if monotonic() >= self._due_at:
            try:
                self.spawn()
            except OSError as exc:  # no memory, or too many processes or files
                self._pause()
                say(f"{self.name} could not be started: {exc}; trying again")

    def _pause(self) -> None:
        self._due_at = monotonic() + self._pause_s
        self._pause_s = min(RESTART_PAUSE_MAX_S, self._pause_s * 2)

    def terminate(self) -> None:
        """Ask it to finish, once: a second signal means haste to many a program.
        `wait_stopped` waits."""
        self.wanted = False
        if self._process is not None and self.pid is not None and self._told_at is None:
            self._told_at = monotonic()
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL it with all its own."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait_stopped(self) -> bool:
        """Whether it ended by itself within its grace; killed with all its own if not."""
        if self._process is None:
            return True
        try:
            self._process.wait(self.grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        finally:
            self._process = None
        return True
