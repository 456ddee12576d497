"""`marea capacity`: what a pool needs for so many uploads an hour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from marea.cli.session import JsonFlag, Session, print_json, session_of

if TYPE_CHECKING:
    from marea.cli.capacity_basis import Basis


def capacity(
    context: typer.Context,
    uploads_per_hour: float = typer.Option(
        ..., help="Jobs that come in an hour; an upload that has two pipelines counts twice."
    ),
    p95_wait: str = typer.Option(
        ..., help="Of 100 jobs, 95 are to start within this time, such as 10s or 2m."
    ),
    service_s: str | None = typer.Option(
        None,
        metavar="MEAN[:CV]",
        help="Seconds that a job keeps its slot, and their standard deviation over their mean (1 if"
        " not told). Without it and --from: of the jobs that ended last, by the ledger.",
    ),
    run: Path | None = typer.Option(
        None, "--from", help="Folder of a load run, or its jobs.jsonl, that tells service times."
    ),
    pool: str | None = typer.Option(None, help="Only jobs and workers of this pool."),
    pipeline: list[str] = typer.Option([], help="Only jobs of this pipeline; may be repeated."),
    slots: int | None = typer.Option(
        None,
        min=1,
        max=256,
        help="Jobs that a replica runs at a time. Default: as the run, else"
        " as MAREA_AUTOSCALER__SLOTS.",
    ),
    arrival_cv: float = typer.Option(
        1.0,
        help="Standard deviation over mean of the gaps between uploads: 1 if they come"
        " independently, more if they come in bunches.",
    ),
    peak_factor: float | None = typer.Option(
        None, help="A peak of so many times the uploads, once a day; with --peak-s."
    ),
    peak_s: str | None = typer.Option(None, help="How long the peak lasts, such as 60 or 10m."),
    max_replicas: int | None = typer.Option(
        None, min=1, help="Replicas to which the autoscaler may go. Default: what the peak needs."
    ),
    utilisation: float | None = typer.Option(
        None,
        help="Of the slots, the share that the autoscaler lets a steady load keep busy."
        " Default: MAREA_AUTOSCALER__UTILISATION.",
    ),
    startup_s: float | None = typer.Option(
        None, help="Until a new replica runs jobs. Default: MAREA_AUTOSCALER__STARTUP_S."
    ),
    cpu_per_job_s: float | None = typer.Option(
        None, help="Processor seconds of a job. Default: as the run, else its service time."
    ),
    memory_per_replica: str | None = typer.Option(
        None, help="Such as 600MiB. Default: as the run, else a worker's at rest."
    ),
    key_bytes: int = typer.Option(60, min=1, max=1024, help="Length of a usual object key."),
    retention: str | None = typer.Option(
        None,
        help="How long ended jobs stay in the ledger, such as 7d. Default:"
        " MAREA_LEDGER__RETENTION_S.",
    ),
    price_core_hour: float | None = typer.Option(None, help="Price of a core for an hour."),
    price_gib_hour: float | None = typer.Option(None, help="Price of a GiB of memory for an hour."),
    as_json: bool = JsonFlag,
) -> None:
    """Tell what a pool needs for so many uploads an hour.

    Replicas, cores, memory, Redis' memory, and what they cost at your prices, so that 95 % of the
    jobs wait no longer than asked: by a queueing model over service times that were measured. Its
    range is in docs/capacity.md.
    """
    from marea.cli import capacity_options as read
    from marea.cli.capacity_table import Prices, as_document, lines
    from marea.scaling.capacity_plan import plan

    if service_s is not None and run is not None:
        raise typer.BadParameter("tell service times once", param_hint="--service-s and --from")
    given = read.Given(
        per_s=read.above_zero(uploads_per_hour, "--uploads-per-hour") / 3600.0,
        most_s=read.duration_s(p95_wait, "--p95-wait"),
        arrival_cv=read.at_least_zero(arrival_cv, "--arrival-cv"),
        slots=slots,
        cpu_s=read.told(read.above_zero, cpu_per_job_s, "--cpu-per-job-s"),
        replica_bytes=read.told(read.size_bytes, memory_per_replica, "--memory-per-replica"),
        key_bytes=key_bytes,
        retention_s=read.told(read.duration_s, retention, "--retention"),
        utilisation=read.told(read.share, utilisation, "--utilisation"),
        startup_s=read.told(read.at_least_zero, startup_s, "--startup-s"),
        peak=read.peak(peak_factor, peak_s),
        max_replicas=max_replicas,
    )
    prices = Prices(
        read.told(read.at_least_zero, price_core_hour, "--price-core-hour"),
        read.told(read.at_least_zero, price_gib_hour, "--price-gib-hour"),
    )
    session = session_of(context)
    basis = _basis(session, service_s, run, pool, pipeline)
    question, sources = read.question(given, basis, session.settings, pool)
    answer = plan(question)
    for warning in basis.warnings:
        session.stderr.print(f"warning: {warning}", style="yellow", markup=False)
    if as_json:
        print_json(as_document(question, answer, sources, prices))
        return
    session.console.print(lines(question, answer, sources, prices))


def _basis(
    session: Session, service_s: str | None, run: Path | None, pool: str | None, kinds: list[str]
) -> Basis:
    from marea.cli.capacity_basis import by_hand, of_ledger, of_run

    if service_s is not None:
        return by_hand(service_s)
    if run is not None:
        return of_run(run, pool, kinds)
    return of_ledger(session.ledger, pool, kinds)
