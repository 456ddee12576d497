"""Is this worker alive? A small file that the parent writes, and the reader of it.

The probe must not import the application, ask the broker or restart a worker because the
broker is away: each of these has restarted whole fleets. So the file says what a restart can
mend, and only that:

    loop turning                                     alive
    loop standing, broker away (being retried)       alive: a restart would not bring it back
    loop standing, broker connected                  wedged
    loop turning, work waiting, free slots, none
        delivered for long                           catatonic: the consumer lost its queue
    file not written at all                          stopped, or its threads are

Before the worker begins, while it waits for the store, it writes a plain sign of life instead
(`telemetry/liveness.py`). Imports neither Celery nor redis, so that `marea worker
--check-liveness FILE` stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from marea.clock import to_iso
from marea.telemetry.liveness import is_plain_sign, judge_sign, read_report, write_report

DEFAULT_MAX_AGE_S = 60.0
"""Four of the broker's socket timeouts (15 s): the loop may stand still that long in one
blocking send, reconnect included. Older than this, nobody will come back."""


@dataclass(slots=True)
class Pulse:
    """Signs of life, in memory. Written by the thread that turns the event loop, read by the
    heartbeat thread. Without a lock: each field is one word, and a forked child must not
    inherit a lock that is held."""

    tick: float
    """When the event loop last turned."""
    broker: Literal["connected", "retrying"] = "retrying"
    broker_since: float = 0.0
    last_delivery: float = 0.0
    last_ack: float = 0.0
    waiting_since: float = 0.0
    """Since when the pool's queues have been seen non-empty without a break; 0 = they are
    empty, or could not be counted."""

    def beat(self, now: float) -> None:
        self.tick = now

    def delivered(self, now: float) -> None:
        self.last_delivery = now

    def acknowledged(self, now: float) -> None:
        self.last_ack = now

    def connected(self, now: float) -> None:
        """The consumer is about to take messages."""
        self.tick = self.broker_since = now
        self.broker = "connected"

    def retrying(self, now: float) -> None:
        """The connection to the broker is gone and is being sought."""
        if self.broker != "retrying":
            self.broker_since = now
        self.broker = "retrying"

    def is_wedged(self, now: float, max_age_s: float) -> bool:
        """Connected, and yet the loop has not turned for `max_age_s`."""
        return self.broker == "connected" and now - self.tick > max_age_s


@dataclass(frozen=True, slots=True)
class LivenessReport:
    """What the file says. Times are seconds since the epoch; 0 = never."""

    written_at: float
    tick: float
    broker: str
    broker_since: float
    last_delivery: float
    last_ack: float
    held: int
    slots: int
    draining: bool
    waiting_since: float


def write_liveness(path: Path, report: LivenessReport) -> None:
    """Replace the file in one step. Raises OSError."""
    write_report(path, asdict(report))


def read_liveness(path: Path) -> LivenessReport:
    """Raises OSError or ValueError."""
    return _report_of(read_report(path))


def check_liveness(
    path: Path, now: float, max_age_s: float = DEFAULT_MAX_AGE_S
) -> tuple[bool, str]:
    """Whether the worker that writes `path` is alive, and a sentence that says why."""
    try:
        body = read_report(path)
        if is_plain_sign(body):
            return judge_sign(body, now, max_age_s)
        report = _report_of(body)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        return False, f"no sign of life in {path} ({exc}): the worker has not started"
    return judge(report, now, max_age_s)


def _report_of(body: Mapping[str, Any]) -> LivenessReport:
    try:
        return LivenessReport(**{field.name: body[field.name] for field in fields(LivenessReport)})
    except (KeyError, TypeError) as exc:
        raise ValueError(f"not a liveness file: {exc!r}") from exc


def judge(report: LivenessReport, now: float, max_age_s: float) -> tuple[bool, str]:
    """The verdict on one report. Pure."""
    silent_s = now - report.written_at
    if silent_s > max_age_s:
        return False, f"silent for {silent_s:.0f} s: the process is stopped or its threads are"
    if report.draining:
        return True, f"draining: finishing {report.held} held jobs before it exits"
    if report.broker != "connected":
        return True, f"broker away since {to_iso(report.broker_since)}; a restart would not help"
    stale_s = now - report.tick
    if stale_s > max_age_s:
        return False, f"wedged: connected, but the event loop has not turned for {stale_s:.0f} s"
    if report.waiting_since and report.held < report.slots:
        idle_s = now - max(
            report.waiting_since, report.last_delivery, report.last_ack, report.broker_since
        )
        if idle_s > max_age_s:
            return False, (
                f"catatonic: work is waiting and {report.slots - report.held} slots are free,"
                f" but nothing was delivered for {idle_s:.0f} s"
            )
    return True, f"alive: {report.held} of {report.slots} slots held"
