"""Signs of life: a small file that a process writes, and its probe reads.

For processes without a port. The probe must not import the application nor ask a server: a
store or a broker that is away is no reason to restart anybody. `worker/liveness.py` puts more
into its file, and judges it; the plain sign here is the reconciler's, and that of
whoever waits for the store before it begins.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marea.clock import Clock

TOUCH_EVERY_S = 1.0
"""A file is not written more often: a probe looks each few seconds."""
WAITING_TOUCH_EVERY_S = 5.0
SIGN_MAX_AGE_S = 180.0
"""Between two signs lies at most one request of a server: with all its tries and timeouts one to
the store takes 102 s (derived from the defaults). Older than this, nobody will come back."""


def write_report(path: Path, body: Mapping[str, Any]) -> None:
    """Replace the file in one step: a reader never sees half of it. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(body), encoding="utf-8")
    partial.replace(path)


def read_report(path: Path) -> dict[str, Any]:
    """Raises OSError or ValueError."""
    body = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(body, dict):
        raise ValueError("not a liveness file")
    return body


@dataclass(slots=True)
class SignsOfLife:
    """Writes that the process lives and what it does. Without a `path` it writes nothing."""

    clock: Clock
    path: Path | None = None
    _doing: str = "starting"
    _written_at: float = float("-inf")
    trouble: str = ""
    """Why the file could not be written the last time; empty if it could."""

    def touch(self, doing: str = "") -> None:
        """The process lives; `doing` is kept until another is given."""
        self._doing = doing or self._doing
        now = self.clock.now()
        if self.path is None or 0.0 <= now - self._written_at < TOUCH_EVERY_S:
            return
        self._written_at = now
        try:
            write_report(self.path, {"written_at": now, "doing": self._doing})
            self.trouble = ""
        except OSError as exc:
            self.trouble = str(exc)


@contextmanager
def signs_while(doing: str, path: Path | None, clock: Clock) -> Iterator[None]:
    """Signs of life from a thread of its own, for a wait whose every try has its own limit.

    The thread has ended when the block has: what is forked later does not inherit it.
    """
    if path is None:
        yield
        return
    life, over = SignsOfLife(clock, path), threading.Event()

    def keep_touching() -> None:
        while True:
            life.touch(doing)
            if over.wait(WAITING_TOUCH_EVERY_S):
                return

    thread = threading.Thread(target=keep_touching, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def check_sign(path: Path, now: float, max_age_s: float = SIGN_MAX_AGE_S) -> tuple[bool, str]:
    """Whether the process that touches `path` is alive, and a sentence that says why."""
    try:
        return judge_sign(read_report(path), now, max_age_s)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        return False, f"no sign of life in {path} ({exc}): the process has not started"


def is_plain_sign(body: Mapping[str, Any]) -> bool:
    return "doing" in body


def judge_sign(body: Mapping[str, Any], now: float, max_age_s: float) -> tuple[bool, str]:
    """The verdict on one plain sign. Pure. Raises KeyError or TypeError for another file."""
    silent_s, doing = now - body["written_at"], body["doing"]
    if silent_s > max_age_s:
        return False, f"silent for {silent_s:.0f} s, in the middle of: {doing}"
    return True, f"alive: {doing}"
