"""The options of `marea capacity` as a question: checked, with what was measured or is set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

from marea.cli.capacity_basis import Basis
from marea.scaling.capacity import MAX_OFFERED, Load
from marea.scaling.capacity_peak import Peak
from marea.scaling.capacity_plan import RESERVE, WORKER_BYTES, Question, peak_factor

if TYPE_CHECKING:
    from marea.settings import Settings

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """What was said on the command line; None = nothing."""

    per_s: float
    most_s: float
    arrival_cv: float
    slots: int | None
    cpu_s: float | None
    replica_bytes: int | None
    key_bytes: int
    retention_s: float | None
    utilisation: float | None
    startup_s: float | None
    peak: Peak | None
    max_replicas: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where each figure of the question is from, for people."""

    service: str
    slots: str
    cpu: str
    memory: str
    retention: str
    basis: Basis


def question(
    given: Given, basis: Basis, settings: Settings, pool: str | None
) -> tuple[Question, Sources]:
    """What was given first, then what was measured, then what is set or known."""
    from marea.wiring import build_targets

    name = pool or settings.worker.pool
    target = build_targets(settings, (name,))[name]
    slots, slots_from = _first(
        (given.slots, "as told"),
        (basis.slots, "as in the run"),
        (target.slots, f"as pool {name} is set (MAREA_AUTOSCALER__SLOTS)"),
    )
    measured = basis.cores_a_slot and basis.cores_a_slot * basis.mean_s
    cpu_s, cpu_from = _first(
        (given.cpu_s, "as told"),
        (measured, "measured in the run, with what idle workers used"),
        (basis.mean_s, "assumed: its service time, the most that a job without threads uses"),
    )
    replica_bytes, memory_from = _first(
        (given.replica_bytes, "as told"),
        (basis.replica_bytes, "measured in the run, 95 of 100 samples had less"),
        (
            WORKER_BYTES,
            "assumed: a worker with two slots at rest (docs/benchmarks.md); large files need"
            " more, tell --memory-per-replica",
        ),
    )
    retention_s, retention_from = _first(
        (given.retention_s, "as told"),
        (settings.ledger.retention_s, "MAREA_LEDGER__RETENTION_S"),
    )
    asked = Question(
        load=Load(given.per_s, basis.slot_s, basis.slot_cv, given.arrival_cv),
        most_s=given.most_s,
        slots=slots,
        cpu_s=cpu_s,
        replica_bytes=replica_bytes,
        key_bytes=given.key_bytes,
        retention_s=retention_s,
        utilisation=target.utilisation if given.utilisation is None else given.utilisation,
        startup_s=target.startup_s if given.startup_s is None else given.startup_s,
        peak=given.peak,
        max_replicas=given.max_replicas,
    )
    _refuse_too_much(asked)
    sources = Sources(basis.about, slots_from, cpu_from, memory_from, retention_from, basis)
    return asked, sources


def _refuse_too_much(asked: Question) -> None:
    busy = asked.load.offered * max(RESERVE, peak_factor(asked))
    if busy > MAX_OFFERED:
        when = "in the peak" if asked.peak else "with a tenth of reserve"
        raise typer.BadParameter(
            f"{asked.load.per_s * 3600.0:,.0f} uploads an hour, each {asked.load.service_s:g} s,"
            f" keep {busy:,.0f} slots busy {when}, and at most {MAX_OFFERED:,.0f} are reckoned"
            " with; ask for a part of the load",
            param_hint="--uploads-per-hour",
        )


def _first(*choices: tuple[T | None, str]) -> tuple[T, str]:
    for value, source in choices:
        if value is not None:
            return value, source
    raise AssertionError("the last choice is always there")


def told(read: Callable[[S, str], T], value: S | None, hint: str) -> T | None:
    """`read` it, if it was said."""
    return None if value is None else read(value, hint)


def above_zero(value: float, hint: str) -> float:
    if not 0.0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is not a number above 0", param_hint=hint)
    return value


def at_least_zero(value: float, hint: str) -> float:
    if not 0.0 <= value < math.inf:
        raise typer.BadParameter(f"{value:g} is not a number of 0 or more", param_hint=hint)
    return value


def share(value: float, hint: str) -> float:
    if not 0.0 < value <= 1.0:
        raise typer.BadParameter(f"{value:g} is not above 0 and at most 1", param_hint=hint)
    return value


def duration_s(text: str, hint: str) -> float:
    from marea.routing.units import parse_duration_s

    try:
        return parse_duration_s(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=hint) from exc


def size_bytes(text: str, hint: str) -> int:
    from marea.routing.units import parse_size_bytes

    try:
        found = parse_size_bytes(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=hint) from exc
    if found < 1:
        raise typer.BadParameter(f"{text!r} is no memory at all", param_hint=hint)
    return found


def peak(factor: float | None, lasts: str | None) -> Peak | None:
    """Both or none."""
    if factor is None and lasts is None:
        return None
    if factor is None or lasts is None:
        missing = "--peak-factor" if factor is None else "--peak-s"
        raise typer.BadParameter("a peak has both a height and a length", param_hint=missing)
    if not 1.0 <= factor < math.inf:
        raise typer.BadParameter(
            f"{factor:g} is not 1 or more, times the usual uploads", param_hint="--peak-factor"
        )
    return Peak(factor, above_zero(duration_s(lasts, "--peak-s"), "--peak-s"))
