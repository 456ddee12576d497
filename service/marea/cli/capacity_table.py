"""The answer of `marea capacity`, for people and as JSON: every figure with why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from marea.cli.render import columns, plain
from marea.scaling.capacity_plan import ENDED_BYTES, GIB, QUEUED_BYTES, cost_a_day

if TYPE_CHECKING:
    from marea.cli.capacity_options import Sources
    from marea.scaling.capacity_peak import Absorbed, Peak
    from marea.scaling.capacity_plan import PeakPlan, Plan, Question, Size

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Prices:
    """Of an hour, in any currency; None = not told."""

    core_hour: float | None
    gib_hour: float | None

    def a_day(self, question: Question, replica_hours: float, redis_bytes: float) -> float | None:
        return cost_a_day(question, replica_hours, redis_bytes, self.core_hour, self.gib_hour)


def lines(question: Question, plan: Plan, sources: Sources, prices: Prices) -> str:
    """Sections of aligned rows: figure, value, why."""
    sections: list[tuple[str, list[Row]]] = [
        ("asked", list(_asked(question, sources))),
        ("a fixed pool for the usual load", list(_usual(question, plan, sources))),
        ("the autoscaler at the usual load", list(_scaled(question, plan))),
    ]
    if question.peak is not None and plan.peak is not None:
        title = f"a peak of {question.peak.factor:g} times that, for {_time(question.peak.lasts_s)}"
        sections.append((title, list(_peak(question, question.peak, plan, plan.peak))))
    sections.append(("Redis", list(_redis(question, plan, sources))))
    if prices.core_hour is not None or prices.gib_hour is not None:
        sections.append(("cost of a day", list(_costs(question, plan, prices))))
    # One table, so that all sections share their columns.
    every = [row for _, rows in sections for row in rows]
    aligned = iter(
        columns([(f"  {name}", value, plain(why)) for name, value, why in every]).split("\n")
    )
    return "\n\n".join(
        "\n".join([f"[bold]{title}[/]", *(next(aligned) for _ in rows)]) for title, rows in sections
    )


def _asked(question: Question, sources: Sources) -> Iterator[Row]:
    load, basis = question.load, sources.basis
    yield "uploads", f"{_count(load.per_s * 3600.0)}/h", f"{load.per_s:.3g} a second"
    yield "wait", _time(question.most_s), "95 of 100 are to start within it"
    between = "" if basis.between_s is None else f", and {_time(basis.between_s)} to the next job"
    yield (
        "a job takes",
        _time(load.service_s),
        f"{_time(basis.mean_s)}, CV {basis.cv:.2f}{between}: {sources.service}",
    )
    yield "a replica has", _slots(question.slots), sources.slots


def _usual(question: Question, plan: Plan, sources: Sources) -> Iterator[Row]:
    size, load = plan.usual, question.load
    reserve = (
        f"; for a tenth of reserve take {_count(plan.reserved)}"
        if plan.reserved > size.replicas
        else ""
    )
    yield "replicas", _count(size.replicas), f"the fewest; 95 % wait {_at_most(size.p95_wait_s)}"
    yield (
        "busy",
        f"{_percent(size.utilisation)}",
        f"{load.offered:.3g} of {_slots(size.slots)}, on average",
    )
    yield (
        "enough for",
        f"{_count(plan.most_per_s * 3600.0)}/h",
        f"{_more(plan.most_per_s / load.per_s)}; beyond it 95 % wait longer{reserve}",
    )
    yield "CPU", _cores(size.cores), f"{_time(question.cpu_s)} a job: {sources.cpu}"
    yield (
        "memory",
        _bytes(size.memory_bytes),
        f"{_bytes(question.replica_bytes)} a replica: {sources.memory}",
    )


def _scaled(question: Question, plan: Plan) -> Iterator[Row]:
    size = plan.scaled
    wait = f"95 % wait {_at_most(size.p95_wait_s)}"
    if size.p95_wait_s > question.most_s:
        wait += ", longer than asked: "
        wait += (
            "raise max_replicas"
            if size.replicas == question.max_replicas
            else "lower MAREA_AUTOSCALER__UTILISATION, or set min_replicas"
        )
    yield (
        "replicas",
        _count(size.replicas),
        f"{_percent(size.utilisation)} busy, to stay below {_percent(question.utilisation)};"
        f" {wait}",
    )
    yield (
        "a day",
        f"{_figure(plan.scaled_hours)} replica-hours",
        f"{_figure(question.work_a_day_s / 3600.0)} slot-hours of work over"
        f" {_slots(question.slots)} and {_percent(question.utilisation)}, without starts and idle"
        " times;"
        f" a fixed pool has {_count(24 * plan.usual.replicas)}",
    )


def _peak(question: Question, peak: Peak, plan: Plan, found: PeakPlan) -> Iterator[Row]:
    ready = found.ready
    yield "needs", _replicas(ready.replicas), f"ready when it begins: {_lived(found.on_ready)}"
    yield "", _cores(ready.cores), "of these replicas"
    yield "", _bytes(ready.memory_bytes), "of these replicas"
    yield "fixed", _replicas(plan.usual.replicas), _lived(found.on_usual)
    start = f"from {_count(plan.scaled.replicas)}, the rest {_time(question.startup_s)} later"
    yield "autoscaled", _replicas(found.max_replicas), f"{start}: {_lived(found.on_scaled)}"
    if peak.lasts_s < 5.0 * question.load.service_s:
        yield "doubt", "", "the peak is hardly longer than its jobs; the model is not made for that"


def _lived(absorbed: Absorbed) -> str:
    drained = (
        "and it never gets shorter"
        if math.isinf(absorbed.drain_s)
        else f"gone {_time(absorbed.drain_s)} after the peak"
    )
    return (
        f"95 % of its jobs wait {_at_most(absorbed.p95_wait_s)}; at most"
        f" {_count(absorbed.backlog)} queued, {drained}"
    )


def _redis(question: Question, plan: Plan, sources: Sources) -> Iterator[Row]:
    key = f"{question.key_bytes} of the key"
    most = "on average" if plan.peak is None else "when most"
    yield (
        "open jobs",
        _bytes(plan.open_bytes),
        f"{_count(plan.open_jobs)} {most}, of {QUEUED_BYTES:,} bytes (docs/benchmarks.md) and"
        f" {key}",
    )
    yield (
        "ended jobs",
        _bytes(plan.kept_bytes),
        f"{_count(plan.kept_jobs)} in {_time(question.retention_s)} ({sources.retention}), of"
        f" {ENDED_BYTES} bytes (docs/capacity.md) and {key}",
    )
    yield (
        "together",
        _bytes(plan.redis_bytes),
        "without what Redis itself takes, and what a snapshot copies",
    )


def _costs(question: Question, plan: Plan, prices: Prices) -> Iterator[Row]:
    parts = [
        f"{price:g} a {unit} and hour"
        for price, unit in ((prices.core_hour, "core"), (prices.gib_hour, "GiB"))
        if price is not None
    ]
    redis = "" if prices.gib_hour is None else " and Redis"
    missing = "cores" if prices.core_hour is None else "memory"
    left_out = "" if len(parts) == 2 else f"; {missing} left out, since no price was told"
    for name, hours, why in _pools(plan):
        cost = prices.a_day(question, hours, plan.redis_bytes)
        if cost is not None:
            yield (
                name,
                f"{cost:,.2f}",
                f"{why}{redis}, at {' and '.join(parts)}{left_out};"
                f" {cost / question.jobs_a_day * 1e6:,.2f} a million jobs",
            )


def _pools(plan: Plan) -> Iterator[tuple[str, float, str]]:
    usual = plan.usual.replicas
    yield "fixed", 24.0 * usual, f"{_count(usual)} replicas all day"
    if plan.peak is not None:
        ready = plan.peak.ready.replicas
        yield "fixed, peak", 24.0 * ready, f"{_count(ready)} replicas all day"
    yield "autoscaled", plan.scaled_hours, f"{_figure(plan.scaled_hours)} replica-hours"


def as_document(question: Question, plan: Plan, sources: Sources, prices: Prices) -> dict[str, Any]:
    """For scripts. What is unknown or endless is null."""
    load = question.load
    peak = plan.peak
    costs = {
        name: prices.a_day(question, hours, plan.redis_bytes) for name, hours, _ in _pools(plan)
    }
    return {
        "uploads_per_hour": load.per_s * 3600.0,
        "p95_wait_s": question.most_s,
        "service": _service_json(sources),
        "replica": _replica_json(question, sources),
        "fixed": {
            **_size_json(plan.usual),
            "enough_per_hour": plan.most_per_s * 3600.0,
            "replicas_with_reserve": plan.reserved,
        },
        "autoscaled": {
            **_size_json(plan.scaled),
            "target_utilisation": question.utilisation,
            "replica_hours_a_day": plan.scaled_hours,
        },
        "peak": None
        if peak is None or question.peak is None
        else {
            **asdict(question.peak),
            "ready": {**_size_json(peak.ready), **_absorbed_json(peak.on_ready)},
            "fixed": {"replicas": plan.usual.replicas, **_absorbed_json(peak.on_usual)},
            "autoscaled": {"replicas": peak.max_replicas, **_absorbed_json(peak.on_scaled)},
        },
        "redis": {
            "open_jobs": plan.open_jobs,
            "open_bytes": plan.open_bytes,
            "ended_jobs": plan.kept_jobs,
            "ended_bytes": plan.kept_bytes,
            "retention_s": question.retention_s,
            "bytes": plan.redis_bytes,
        },
        "cost_a_day": None if None in costs.values() else costs,
    }


def _service_json(sources: Sources) -> dict[str, Any]:
    basis = sources.basis
    return {
        "mean_s": basis.mean_s,
        "cv": basis.cv,
        "between_s": basis.between_s,
        "jobs": basis.jobs,
        "from": sources.service,
        "warnings": list(basis.warnings),
    }


def _replica_json(question: Question, sources: Sources) -> dict[str, Any]:
    return {
        "slots": question.slots,
        "slots_from": sources.slots,
        "cores": question.cores,
        "cpu_per_job_s": question.cpu_s,
        "cpu_from": sources.cpu,
        "memory_bytes": question.replica_bytes,
        "memory_from": sources.memory,
    }


def _size_json(size: Size) -> dict[str, Any]:
    return {name: _known(value) for name, value in asdict(size).items()}


def _absorbed_json(absorbed: Absorbed) -> dict[str, Any]:
    return {
        {"p95_wait_s": "p95_wait_in_peak_s"}.get(name, name): _known(value)
        for name, value in asdict(absorbed).items()
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _more(factor: float) -> str:
    if factor >= 2.0:
        return f"{_figure(factor)} times what was asked"
    return f"{_figure(100.0 * (factor - 1.0))} % more than asked"


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"


def _at_most(seconds: float) -> str:
    if math.isinf(seconds):
        return "ever longer"
    return "not at all" if seconds <= 0.0 else f"at most {_time(seconds)}"


def _time(seconds: float) -> str:
    """With the unit in which it is read best, to three digits."""
    for unit, length_s in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 3.0 * length_s:
            return f"{_figure(seconds / length_s)} {unit}"
    return f"{_figure(seconds * 1000.0)} ms" if 0.0 < seconds < 1.0 else f"{_figure(seconds)} s"


def _figure(value: float) -> str:
    """Three digits, and never as a power of ten."""
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def _count(value: float) -> str:
    """Whole things, to three digits where they are not counted one by one."""
    return f"{value:,.0f}" if value >= 10.0 or value == int(value) else f"{value:.2g}"


def _slots(count: int) -> str:
    return f"{count:,} slot{'' if count == 1 else 's'}"


def _replicas(count: int) -> str:
    return f"{count:,} replica{'' if count == 1 else 's'}"


def _cores(cores: float) -> str:
    return f"{_figure(cores)} core{'' if cores == 1.0 else 's'}"


def _bytes(count: float) -> str:
    for unit, size in (("TiB", GIB * 1024), ("GiB", GIB), ("MiB", 2.0**20), ("KiB", 1024.0)):
        if count >= size:
            return f"{_figure(count / size)} {unit}"
    return f"{_figure(count)} bytes"
