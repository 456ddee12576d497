"""What `marea capacity` rests on: service times by hand, of a load run, or of the live ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from marea.errors import ConfigError

if TYPE_CHECKING:
    from marea.lifecycle.state import JobState, Phase
    from marea.results.ledger import Ledger
    from marea.scaling.capacity_sources import Looks, Ran

MAX_FILE_BYTES = 512 * 2**20
"""Of a run's file: a million jobs at 500 bytes."""
MAX_LEDGER_JOBS = 5_000
"""Read of the ledger, the newest. Arbitrary; the mean of so many is known to a few percent."""
PAGE = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Basis:
    """Service times and what else was measured with them, each with where it is from."""

    mean_s: float
    cv: float
    about: str
    """A sentence for people."""
    jobs: int | None = None
    """None = told by hand."""
    between_s: float | None = None
    """Beside it, from a job's end to the next one's start on a slot; None = not known, and left
    out."""
    cores_a_slot: float | None = None
    replica_bytes: int | None = None
    slots: int | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def slot_s(self) -> float:
        """How long a job keeps its slot from the next."""
        return self.mean_s + (self.between_s or 0.0)

    @property
    def slot_cv(self) -> float:
        return self.cv * self.mean_s / self.slot_s


def by_hand(text: str) -> Basis:
    """`0.5` or `0.5:1.2`: the mean and the coefficient of variation."""
    mean, _, cv = text.partition(":")
    try:
        mean_s, spread = float(mean), float(cv) if cv else 1.0
    except ValueError as exc:
        raise typer.BadParameter(
            f"{text!r} is not MEAN or MEAN:CV; write 0.5 or 0.5:1.2", param_hint="--service-s"
        ) from exc
    if not 0.0 < mean_s < math.inf or not 0.0 <= spread <= 100.0:
        raise typer.BadParameter(
            f"{text!r} needs a mean above 0 s and a CV from 0 to 100; write 0.5 or 0.5:1.2",
            param_hint="--service-s",
        )
    about = "as told" if cv else "as told; CV 1 is assumed, write MEAN:CV if you know it"
    return Basis(mean_s, spread, about)


def of_run(path: Path, pool: str | None, pipelines: Sequence[str]) -> Basis:
    """Of a run's folder, or its `jobs.jsonl`; `samples.jsonl` beside it, if there."""
    from marea.scaling.capacity_sources import Looks, chosen, read_jobs, read_samples

    jobs_file = path / "jobs.jsonl" if path.is_dir() else path
    samples_file = jobs_file.with_name("samples.jsonl")
    jobs = _read(jobs_file, lambda lines: read_jobs(str(jobs_file), lines))
    looks = Looks()
    if samples_file.exists():
        # All that the pool's workers did counts for what they used, whatever is asked for.
        worked = chosen(jobs, pool, ())
        looks = _read(
            samples_file, lambda lines: read_samples(str(samples_file), lines, worked, pool)
        )
    wanted = chosen(jobs, pool, pipelines)
    return _basis(wanted, f"in {path}", _filtered(pool, pipelines), looks)


def of_ledger(ledger: Ledger, pool: str | None, pipelines: Sequence[str]) -> Basis:
    """Of the newest jobs that workers ended, within the ledger's retention."""
    from marea.scaling.capacity_sources import Looks, Ran, chosen

    jobs = (
        Ran(state.started_at, state.finished_at, state.job.pipeline, state.job.pool)
        for state in _ended(ledger)
        if state.started_at > 0.0 and state.finished_at >= state.started_at
    )
    wanted = chosen(jobs, pool, pipelines)
    return _basis(wanted, "among the ledger's newest", _filtered(pool, pipelines), Looks())


def _basis(jobs: Sequence[Ran], source: str, which: str, looks: Looks) -> Basis:
    from marea.scaling.capacity_sources import FEW, spread

    found = spread(jobs)
    if found is None:
        raise ConfigError(
            [
                f"no job{which} {source} was started and ended by a worker; tell what one takes"
                " with --service-s MEAN:CV, or name another load run with --from"
            ]
        )
    warnings = []
    if found.jobs < FEW:
        warnings.append(
            f"the service time rests on {found.jobs} jobs, and fewer than {FEW} are a guess;"
            " measure more, or tell it with --service-s MEAN:CV"
        )
    about = f"{found.jobs:,} jobs{which} {source}"
    if looks.between_s is None:
        about += "; the time from one to the next is not known"
    if found.cv is None:
        about += "; CV 1 is assumed, since one job has none"
    return Basis(
        mean_s=found.mean_s,
        cv=1.0 if found.cv is None else found.cv,
        about=about,
        jobs=found.jobs,
        between_s=looks.between_s,
        cores_a_slot=looks.cores_a_slot,
        replica_bytes=looks.replica_bytes,
        slots=looks.slots,
        warnings=tuple(warnings),
    )


def _filtered(pool: str | None, pipelines: Sequence[str]) -> str:
    parts = [f"pool {pool}"] if pool else []
    parts += [f"pipeline {' or '.join(pipelines)}"] if pipelines else []
    return f" of {', '.join(parts)}" if parts else ""


def _read(path: Path, parse: Callable[[Iterable[str]], T]) -> T:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ConfigError(
                [f"{path} has {size:,} bytes, and at most {MAX_FILE_BYTES:,} are read; take a part"]
            )
        with path.open(encoding="utf-8") as lines:
            return parse(lines)
    except FileNotFoundError as exc:
        raise typer.BadParameter(
            f"there is no {path}; name a load run's folder, or its jobs.jsonl", param_hint="--from"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path} cannot be read: {exc}"]) from exc


def _ended(ledger: Ledger) -> Iterator[JobState]:
    """The newest that workers ended, the ends of all kinds in one order."""
    import heapq
    from itertools import islice

    kinds: tuple[Phase, ...] = ("done", "rejected", "superseded")
    newest = heapq.merge(
        *(_pages(ledger, kind) for kind in kinds),
        key=lambda state: state.finished_at,
        reverse=True,
    )
    return islice(newest, MAX_LEDGER_JOBS)


def _pages(ledger: Ledger, phase: Phase) -> Iterator[JobState]:
    cursor = None
    while True:
        page = ledger.page(phase=phase, cursor=cursor, limit=PAGE)
        yield from page.states
        cursor = page.cursor
        if cursor is None:
            return
