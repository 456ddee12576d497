"""What became of each millisecond of a job, out of the places that saw a part of it.

The client saw its PUT, Redis saw the message come, go and be acknowledged, the ledger's row says
when the gateway had planned the job, and the traced worker saw the rest. All on one machine, so
on one clock; but Redis tells the begin of a command, not the end of its write to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from loadtest.bench.figures import percentile

STORE, PASSING_ON, COMPUTING = "store", "event, ledger, broker", "computing"
KINDS = {
    "PUT upload": STORE,
    "event to gateway": PASSING_ON,
    "ledger: accept": PASSING_ON,
    "broker to worker": PASSING_ON,
    "worker to child": PASSING_ON,
    "ledger: claim": PASSING_ON,
    "GET source": STORE,
    "decode": COMPUTING,
    "steps": COMPUTING,
    "encode": COMPUTING,
    "pipeline": COMPUTING,
    "HEAD": STORE,
    "PUT result": STORE,
    "PUT record": STORE,
    "ledger: end": PASSING_ON,
    "acknowledge": PASSING_ON,
}
"""Kind by name, in the order of a job."""
BEFORE_WORK = ("ledger", "HEAD", "GET source")
"""What a worker may do, in any order, until it has claimed the job and read its source."""
REST = "between them"


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds, on whichever clock."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What the worker's child saw of one delivery, in seconds since the epoch. Its ledger calls
    are all named `ledger`."""

    job_id: str
    key: str
    began: float
    ended: float
    spans: tuple[Span, ...]

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Trace:
        spans = tuple(Span(**span) for span in body["spans"])
        return Trace(**{**body, "spans": spans})


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one job from outside the worker, in seconds since the epoch."""

    put_began: float
    put_ended: float
    stored_at: float
    """`LastModified` of the upload, which MinIO takes before it puts the version in its place."""
    created_at: float
    """The gateway has read the event and looks the job up."""
    pushed_at: float
    """The message came to Redis."""
    taken_at: float
    """The worker notes it as its own."""
    acknowledged_at: float
    result_at: float
    """`LastModified` of the artifact."""


@dataclass(frozen=True, slots=True)
class JobTimes:
    """One job, in seconds since its upload began."""

    spans: tuple[Span, ...]
    total_s: float
    result_s: float

    @property
    def rest_s(self) -> float:
        """What no span covers; two spans at one time count once."""
        covered, reached = 0.0, 0.0
        for span in sorted(self.spans, key=lambda span: span.began):
            began = max(reached, span.began)
            covered += max(0.0, span.ended - began)
            reached = max(reached, span.ended)
        return self.total_s - covered


def join(seen: Seen, trace: Trace) -> JobTimes:
    """One row of spans from the begin of the upload to the acknowledgement."""
    spans = [
        Span("PUT upload", seen.put_began, seen.put_ended),
        Span("event to gateway", seen.stored_at, seen.created_at),
        Span("ledger: accept", seen.created_at, seen.pushed_at),
        Span("broker to worker", seen.pushed_at, seen.taken_at),
        Span("worker to child", seen.taken_at, trace.began),
        *_merged(_named(trace.spans)),
        Span("acknowledge", trace.ended, seen.acknowledged_at),
    ]
    start = seen.put_began
    return JobTimes(
        tuple(Span(span.name, span.began - start, span.ended - start) for span in spans),
        seen.acknowledged_at - start,
        seen.result_at - start,
    )


def _named(spans: Iterable[Span]) -> Iterator[Span]:
    """The ledger's calls before the source is worked on are the claim, those after it the end."""
    known = list(spans)
    worked_at = min((each.began for each in known if each.name not in BEFORE_WORK), default=0.0)
    for span in known:
        name = span.name
        if name == "ledger":
            name = "ledger: claim" if span.began < worked_at else "ledger: end"
        yield Span(name, span.began, span.ended)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """One span per name, from the begin of the first to the end of the last."""
    merged: dict[str, Span] = {}
    for span in spans:
        first = merged.get(span.name, span)
        merged[span.name] = Span(span.name, first.began, max(first.ended, span.ended))
    return list(merged.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One span of all jobs together, in ms."""

    name: str
    start_ms: float
    """Median since the upload's begin."""
    median_ms: float
    p95_ms: float
    share: float
    """Of the whole, by medians; 0..1."""

    @property
    def kind(self) -> str:
        return KINDS[self.name]


@dataclass(frozen=True, slots=True)
class Profile:
    """All jobs through one pipeline."""

    title: str
    jobs: int
    rows: tuple[Row, ...]
    total_ms: float
    total_p95_ms: float
    result_ms: float
    """Median until `LastModified` of the artifact."""
    rest_ms: float
    rest_p95_ms: float


def profile(title: str, jobs: Sequence[JobTimes]) -> Profile:
    """Medians of at least two jobs. A span that some jobs lack counts as 0 there."""
    names = {span.name for job in jobs for span in job.spans}
    total_ms = 1000 * median(job.total_s for job in jobs)
    rows = []
    for name in (name for name in KINDS if name in names):
        spans = [span for job in jobs for span in job.spans if span.name == name]
        lasted = [1000 * (span.ended - span.began) for span in spans]
        lasted += [0.0] * (len(jobs) - len(spans))
        middle = median(lasted)
        start_ms = 1000 * median(span.began for span in spans)
        rows.append(Row(name, start_ms, middle, percentile(lasted, 95), middle / total_ms))
    rest = [1000 * job.rest_s for job in jobs]
    return Profile(
        title,
        len(jobs),
        tuple(rows),
        total_ms,
        percentile([1000 * job.total_s for job in jobs], 95),
        1000 * median(job.result_s for job in jobs),
        median(rest),
        percentile(rest, 95),
    )


def to_markdown(found: Profile) -> Iterator[str]:
    """A table of it, line by line."""
    yield f"**{found.title}**: median and 95th percentile of {found.jobs} jobs."
    yield ""
    yield "| part | kind | median | p95 | share |"
    yield "|---|---|---:|---:|---:|"
    for row in found.rows:
        yield (
            f"| {row.name} | {row.kind} | {row.median_ms:.1f} ms | {row.p95_ms:.1f} ms |"
            f" {row.share:.0%} |"
        )
    share = found.rest_ms / found.total_ms
    yield f"| {REST} | | {found.rest_ms:.1f} ms | {found.rest_p95_ms:.1f} ms | {share:.0%} |"
    yield (
        f"| **all, to the acknowledgement** | | {found.total_ms:.1f} ms |"
        f" {found.total_p95_ms:.1f} ms | |"
    )
    yield f"| `LastModified` of the result | | {found.result_ms:.1f} ms | | |"
