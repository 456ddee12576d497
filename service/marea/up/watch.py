"""Starts servers again when they die, without standing still for one of them.

RabbitMQ takes up to half a minute to come back; a store or a worker that dies meanwhile is
started again all the same.

             dies                    answers
running ───────────▶ down ──pause──▶ starting ───────────▶ running
                       ▲                │ late
                       └───── SIGKILL ──┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from marea.errors import MareaError
from marea.up.servers import ServerProcess

RESTART_PAUSE_S = 1.0
"""Between two starts of a server that keeps dying; arbitrary, what keeps it from starting (a
full disk, a taken port) is told once a pause."""


@dataclass
class ServerWatch:
    """Watches one server that has been started. `look` is called again and again."""

    server: ServerProcess
    say: Callable[[str], None]
    _due_at: float = 0.0
    _late_at: float | None = None
    """Until when it must answer; None unless it is starting."""

    def look(self) -> None:
        """Start it if it is down; see whether it answers if it is starting. Never waits longer
        than one probe."""
        if not self.server.is_running:
            self._start_again()
        elif self._late_at is not None:
            if self.server.is_ready():
                self.say(f"{self.server.name} answers again")
                self._late_at = None
            elif monotonic() > self._late_at:
                limit_s = self.server.ready_timeout_s
                self.say(f"{self.server.name} did not answer within {limit_s:.0f} s: killed")
                self.server.kill()

    def _start_again(self) -> None:
        if monotonic() < self._due_at:
            return
        self.say(f"{self.server.name} died; starting it again on the same data")
        try:
            self.server.launch()
        except MareaError as exc:
            self.say(str(exc))
        self._due_at = monotonic() + RESTART_PAUSE_S
        self._late_at = monotonic() + self.server.ready_timeout_s
