"""Time series of a run, for pictures. Pure. A value that nobody knows is None, never 0."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from loadtest.runs.data import Decision, Job, Run, Sample

BINS = 240
"""Arbitrary: about one for each four pixels of a picture on a desktop."""
STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600)
"""Widths of a bin. Not below 1 s, since some stores tell times in whole seconds."""
GAP = 3.0
"""Arbitrary: looks further apart than three times the usual are a gap, not a line."""
AFTERMATH = 0.25
"""Arbitrary: of the time until the last result, what the axis shows of the time after it."""

Interval = tuple[float, float]
Pick = Callable[[Sample], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """Values at rising times; None where the value is not known."""

    at: tuple[float, ...] = ()
    values: tuple[float | None, ...] = ()

    @property
    def is_known(self) -> bool:
        return any(value is not None for value in self.values)

    @property
    def highest(self) -> float | None:
        return max((value for value in self.values if value is not None), default=None)


@dataclass(frozen=True, slots=True)
class Grid:
    """The time axis that all series of a run (or of two compared) share."""

    begin: float
    end: float
    width: float

    @property
    def starts(self) -> tuple[float, ...]:
        count = max(1, -int(-(self.end - self.begin) // self.width))
        return tuple(self.begin + number * self.width for number in range(count))


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many of something there were at a time, from intervals."""

    series: Series
    peak: int | None
    peak_at: float | None
    left_out: int
    """Jobs whose interval is not known: the true number may be higher by so many."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A decision with the number by which picture and table name it."""

    number: int
    decision: Decision
    before: int | None
    """What was wanted of this pool before; None if that was not seen."""


def grid_of(*runs: Run) -> Grid:
    """One axis for all of them."""
    end = max(1.0, *(_end_of(run) for run in runs))
    return Grid(0.0, end, next((w for w in STEPS_S if end / w <= BINS), end / BINS))


def _end_of(run: Run) -> float:
    """Looks go on while results are read and judged; of that the axis has `AFTERMATH`, in which
    replicas begin to go."""
    last = max(run.ended_s, run.load_ended_s)
    if run.settled_s is None:
        return last
    over = max(run.load_ended_s, run.settled_s)
    return max(over, min(last, over * (1.0 + AFTERMATH)))


def loaded_jobs(run: Run) -> list[Job]:
    """The jobs of the load itself."""
    return [job for job in run.jobs if not job.is_calibration]


def rate(times: Iterable[float], grid: Grid) -> Series:
    """Events per second in each bin; what falls outside the axis is not counted."""
    starts = grid.starts
    counts = [0] * len(starts)
    for at in times:
        if grid.begin <= at <= grid.end:
            counts[min(len(starts) - 1, int((at - grid.begin) / grid.width))] += 1
    widths = [min(grid.width, grid.end - start) or grid.width for start in starts]
    return _bars([n / width for n, width in zip(counts, widths, strict=True)], grid)


def scheduled(run: Run, grid: Grid) -> Series:
    return rate((send.due_s for send in run.sends), grid) if run.sends else Series()


def sent(run: Run, grid: Grid) -> Series:
    return rate((send.sent_s for send in run.sends), grid) if run.sends else Series()


def finished(run: Run, grid: Grid) -> Series:
    """Jobs that ended per second, whatever way. Not known if no job was seen at all."""
    ends = [
        job.finished_s if job.finished_s is not None else job.recorded_s for job in loaded_jobs(run)
    ]
    known = [end for end in ends if end is not None]
    return rate(known, grid) if known else Series()


def waiting(run: Run, grid: Grid) -> Occupancy:
    """Jobs accepted and not yet started, by their records."""
    spans: list[Interval | None] = []
    for job in loaded_jobs(run):
        end = _first_known(job.started_s, job.finished_s, job.recorded_s)
        spans.append(None if job.accepted_s is None or end is None else (job.accepted_s, end))
    found = occupancy(spans, grid)
    if (until := complete_until(run)) is None:
        return found
    # Whoever still waits has no record yet: from there on the records say too little.
    values = [
        v if at < until else None
        for at, v in zip(found.series.at, found.series.values, strict=True)
    ]
    return replace(found, series=replace(found.series, values=tuple(values)))


def complete_until(run: Run) -> float | None:
    """When the first of the uploads came that have no record, in a run that did not settle;
    None if there is no such upload. Of a kind that never has a record, none is expected."""
    if run.settled_s is not None:
        return None
    keys = {job.key for job in run.jobs}
    taken = [send for send in run.sends if send.outcome == "ok"]
    kinds = {send.kind for send in taken if send.key in keys}
    missing = [send.done_s for send in taken if send.kind in kinds and send.key not in keys]
    return min(missing, default=None)


def busy(run: Run, grid: Grid) -> Occupancy:
    """Slots that held a job: started and not yet finished. Jobs that never started need none."""
    spans: list[Interval | None] = []
    for job in loaded_jobs(run):
        end = _first_known(job.finished_s, job.recorded_s)
        if job.started_s is not None and end is not None:
            spans.append((job.started_s, end))
        elif job.state == "done":
            spans.append(None)
    return occupancy(spans, grid)


def occupancy(spans: Sequence[Interval | None], grid: Grid) -> Occupancy:
    """The mean number in each bin, and the exact peak. No known interval = not known."""
    known = [(begin, max(begin, end)) for span in spans if span for begin, end in (span,)]
    if not known:
        return Occupancy(Series(), None, None, len(spans))
    starts = grid.starts
    held = [0.0] * len(starts)
    whole = [0] * (len(starts) + 1)
    for begin, end in known:
        begin, end = max(begin, grid.begin), min(end, grid.end)
        if end <= begin:
            continue
        first = min(len(starts) - 1, int((begin - grid.begin) / grid.width))
        last = min(len(starts) - 1, int((end - grid.begin) / grid.width))
        if first == last:
            held[first] += end - begin
            continue
        held[first] += starts[first] + grid.width - begin
        held[last] += end - starts[last]
        whole[first + 1] += 1
        whole[last] -= 1
    values: list[float | None] = []
    running = 0
    for number, start in enumerate(starts):
        running += whole[number]
        width = min(grid.width, grid.end - start) or grid.width
        values.append(running + held[number] / width)
    peak, peak_at = _peak(known)
    return Occupancy(_bars(values, grid), peak, peak_at, len(spans) - len(known))


def pools(run: Run) -> list[str]:
    """Every pool that was seen, in the order of names."""
    seen: set[str] = {job.pool for job in loaded_jobs(run) if job.pool}
    for sample in run.samples:
        seen.update(*(sample.ready, sample.unacked, sample.wanted, sample.replicas))
    return sorted(seen | {decision.pool for decision in run.decisions if decision.pool})


def sampled(run: Run, pick: Pick, name: str) -> Series:
    """One pool's value at every look; a look that did not see it is a gap."""
    return _with_gaps([(s.at_s, pick(s).get(name)) for s in _looks(run)])


def total(run: Run, *picks: Pick) -> Series:
    """The sum over all pools; not known at a look that missed one of them."""
    names = [{name for sample in run.samples for name in pick(sample)} for pick in picks]
    if not all(names):
        return Series()
    rows: list[tuple[float, float | None]] = []
    for sample in _looks(run):
        parts = [pick(sample).get(n) for pick, seen in zip(picks, names, strict=True) for n in seen]
        known = [part for part in parts if part is not None]
        rows.append((sample.at_s, sum(known) if len(known) == len(parts) else None))
    return _with_gaps(rows)


def by_role(run: Run, pick: Pick) -> dict[str, Series]:
    """Each role's share at the looks that told any, thinned (memory is not read at every look).
    Between a role's first and its last sight a look without it leaves the whole sum unknown;
    before and after, it is not there."""
    looks = [sample for sample in _looks(run) if pick(sample)]
    roles = sorted({role for sample in looks for role in pick(sample)})
    seen = {r: [number for number, s in enumerate(looks) if r in pick(s)] for r in roles}
    columns: dict[str, list[tuple[float, float | None]]] = {role: [] for role in roles}
    for number, sample in enumerate(looks):
        values = pick(sample)
        is_whole = not any(
            role not in values and seen[role][0] < number < seen[role][-1] for role in roles
        )
        for role in roles:
            absent = 0.0 if is_whole else None
            value = values.get(role, absent) if is_whole else None
            columns[role].append((sample.at_s, value))
    return {role: thin(_with_gaps(rows)) for role, rows in columns.items()}


def thin(series: Series, limit: int = 2 * BINS) -> Series:
    """At most `limit` points, each the mean of what is known among those that it stands for."""
    every = -(-len(series.at) // limit)
    if every <= 1:
        return series
    at: list[float] = []
    values: list[float | None] = []
    for first in range(0, len(series.at), every):
        part = series.values[first : first + every]
        known = [value for value in part if value is not None]
        at.append(series.at[first])
        values.append(sum(known) / len(known) if known else None)
    return Series(tuple(at), tuple(values))


def only_changes(series: Series) -> Series:
    """The same steps with fewer points: those that differ from a neighbour, and the ends."""
    keep = [
        number
        for number, value in enumerate(series.values)
        if number in (0, len(series.values) - 1)
        or value != series.values[number - 1]
        or value != series.values[number + 1]
    ]
    return Series(tuple(series.at[n] for n in keep), tuple(series.values[n] for n in keep))


def marks(run: Run) -> list[Mark]:
    """All decisions by time, numbered from 1."""
    wanted: dict[str, int | None] = {}
    numbered: list[Mark] = []
    seen = {pool: sampled(run, lambda sample: sample.wanted, pool) for pool in pools(run)}
    for number, decision in enumerate(sorted(run.decisions, key=lambda d: d.at_s), start=1):
        if decision.pool not in wanted and decision.pool in seen:
            last = before(seen[decision.pool], decision.at_s)
            wanted[decision.pool] = None if last is None else int(last)
        numbered.append(Mark(number, decision, wanted.get(decision.pool)))
        wanted[decision.pool] = decision.wanted
    return numbered


def shown_marks(all_marks: Sequence[Mark], grid: Grid, limit: int, apart: float) -> list[Mark]:
    """The largest changes that stand at least `apart` (a share of the axis) from one another; of
    equal ones those furthest from the rest."""
    left = [mark for mark in all_marks if grid.begin <= mark.decision.at_s <= grid.end]
    least = apart * (grid.end - grid.begin)
    room = {mark.number: float("inf") for mark in left}
    chosen: list[Mark] = []
    while len(chosen) < limit:
        left = [mark for mark in left if room[mark.number] >= least]
        if not left:
            break
        best = max(left, key=lambda mark: (_change(mark), room[mark.number], -mark.number))
        chosen.append(best)
        left.remove(best)
        for mark in left:
            distance = abs(mark.decision.at_s - best.decision.at_s)
            room[mark.number] = min(room[mark.number], distance)
    return sorted(chosen, key=lambda mark: mark.number)


def job_sample(run: Run, limit: int = 60) -> list[Job]:
    """Jobs spread evenly over the run by their time, the first, last and slowest among them."""
    timed = sorted(
        (job for job in loaded_jobs(run) if _begin(job) is not None),
        key=lambda job: (_begin(job), job.job_id),
    )
    if len(timed) <= limit:
        return timed
    chosen = {round(number * (len(timed) - 1) / (limit - 2)) for number in range(limit - 1)}
    chosen.add(max(range(len(timed)), key=lambda number: timed[number].latency_s or 0.0))
    return [timed[number] for number in sorted(chosen)]


UPLOAD_TO_RESULT = "upload → result"
UPLOAD_TO_ACCEPTED = "upload → accepted"
ACCEPTED_TO_STARTED = "accepted → started"


def latencies(run: Run) -> dict[str, list[float]]:
    """Sorted seconds of each stage, of the jobs for which both ends are known."""
    jobs = loaded_jobs(run)
    stages = {
        UPLOAD_TO_RESULT: [job.latency_s for job in jobs],
        UPLOAD_TO_ACCEPTED: [_between(job.uploaded_s, job.accepted_s) for job in jobs],
        ACCEPTED_TO_STARTED: [_between(job.accepted_s, job.started_s) for job in jobs],
    }
    return {name: sorted(v for v in values if v is not None) for name, values in stages.items()}


def cdf(ordered: Sequence[float], limit: int = 300) -> list[tuple[float, float]]:
    """(value, share at or below it), at most `limit` + 2 points; the highest always among them."""
    count = len(ordered)
    every = max(1, count // limit)
    ranks = sorted({*range(every, count + 1, every), count} - {0})
    return [(ordered[rank - 1], rank / count) for rank in ranks]


def before(series: Series, at: float) -> float | None:
    """The value at the last look before `at`."""
    number = bisect_left(series.at, at) - 1
    return series.values[number] if number >= 0 else None


def _looks(run: Run) -> list[Sample]:
    return sorted(run.samples, key=lambda sample: sample.at_s)


def _bars(values: Sequence[float | None], grid: Grid) -> Series:
    """Bins as steps: the last one holds to the end of the axis."""
    return Series((*grid.starts, grid.end), (*values, values[-1]))


def _with_gaps(rows: Sequence[tuple[float, float | None]]) -> Series:
    """The rows, and a None after each that nobody looked for long after."""
    if not any(value is not None for _, value in rows):
        return Series()
    usual = median([b[0] - a[0] for a, b in pairwise(rows)] or [0.0])
    at: list[float] = []
    values: list[float | None] = []
    for moment, value in rows:
        if at and usual > 0 and moment - at[-1] > GAP * usual:
            at.append(at[-1] + usual)
            values.append(None)
        at.append(moment)
        values.append(value)
    return Series(tuple(at), tuple(values))


def _peak(spans: Sequence[Interval]) -> tuple[int, float]:
    # At one moment ends come before beginnings: a slot handed on is one slot.
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    highest, highest_at, now = 0, edges[0][0], 0
    for at, change in edges:
        now += change
        if now > highest:
            highest, highest_at = now, at
    return highest, highest_at


def _first_known(*times: float | None) -> float | None:
    return next((at for at in times if at is not None), None)


def _begin(job: Job) -> float | None:
    return _first_known(job.uploaded_s, job.accepted_s, job.started_s, job.finished_s)


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


def _change(mark: Mark) -> int:
    wanted = mark.decision.wanted
    return 0 if wanted is None else abs(wanted - (mark.before or 0))
