"""The verbs that only look: status, jobs, job, dead list, audit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

from marea.cli.render import (
    ID_DIGITS,
    coloured,
    columns,
    counts,
    heading,
    jobs_table,
    plain,
    prose,
    state_json,
    why,
)
from marea.cli.scaling import scaling_rows
from marea.cli.session import JsonFlag, Session, print_json, session_of
from marea.errors import BacklogUnavailable, MareaError

if TYPE_CHECKING:
    from marea.lifecycle.state import JobState
    from marea.messages.record import Record
    from marea.results.ledger import Ledger

JOB_ID_HELP = "32 hex digits, or the first 6 or more of them."
_JOB_ID = re.compile(r"[0-9a-f]{6,32}")


def status(context: typer.Context, as_json: bool = JsonFlag) -> None:
    """Show queues, workers, jobs per state, and the last sweep."""
    from marea.clock import SystemClock
    from marea.results.decisions import LATEST

    session = session_of(context)
    ledger = session.ledger
    now = SystemClock().now()
    queues = _queues(session)
    workers = ledger.workers(now)
    phases = {str(phase): count for phase, count in ledger.phase_counts().items()}
    sweep = ledger.value("sweep-report")
    scaling = ledger.value(LATEST)
    if as_json:
        print_json(
            {
                "queues": queues,
                "workers": [
                    {
                        "worker": beat.worker,
                        "pool": beat.pool,
                        "slots": beat.slots,
                        "busy": len(beat.active),
                        "draining": beat.draining,
                        "consuming": beat.consuming,
                    }
                    for beat in workers
                ],
                "jobs": phases,
                "sweep": sweep,
                "scaling": scaling,
            }
        )
        return
    console = session.console
    if isinstance(queues, str):
        console.print(f"[red]queues unknown:[/] {plain(queues)}\n")
    else:
        rows = [heading("queue", "ready", "unacked")]
        for name, depth in queues.items():
            unacked = depth["unacked"]
            rows.append((name, str(depth["ready"]), "?" if unacked is None else str(unacked)))
        console.print(columns(rows) + "\n")
    if workers:
        rows = [heading("worker", "slots", "busy", "")]
        for beat in workers:
            draining = "draining" if beat.draining or not beat.consuming else ""
            rows.append((plain(beat.worker), str(beat.slots), str(len(beat.active)), draining))
        console.print(columns(rows) + "\n")
    else:
        console.print("[yellow]no workers[/]\n")
    if rows := scaling_rows(scaling, now):
        console.print(columns(rows) + "\n")
    console.print(f"jobs: {counts(phases) or 'none yet'}")
    if isinstance(sweep, dict):
        age_s = now - float(sweep["ended_at"])
        found = counts(sweep["classes"]) or "no versions"
        console.print(f"buckets last swept {age_s:.0f} s ago: {found}")
    else:
        console.print("[yellow]the buckets have not been swept yet[/]")


def _queues(session: Session) -> dict[str, Any] | str:
    """Depths per queue, or the sentence why they are unknown: never an empty answer."""
    from marea.wiring import build_broker

    try:
        depths = build_broker(session.settings).depths(session.declarations.pools)
    except BacklogUnavailable as exc:
        return str(exc)
    return {
        name: {"ready": depth.ready, "unacked": depth.unacked}
        for name, depth in sorted(depths.items())
    }


def list_jobs(
    context: typer.Context,
    state: str | None = typer.Option(
        None, help="Only jobs in this state: queued, running, done, rejected, dead…"
    ),
    limit: int = typer.Option(50, min=1, max=1000, help="At most this many."),
    cursor: str | None = typer.Option(None, help="Go on after an earlier page: its `cursor`."),
    as_json: bool = JsonFlag,
) -> None:
    """List jobs, newest first."""
    from marea.lifecycle.state import OPEN_PHASES
    from marea.messages.record import TERMINAL_STATES

    known = (*OPEN_PHASES, *TERMINAL_STATES)
    if state is not None and state not in known:
        raise typer.BadParameter(
            f"no state {state!r}; there are {', '.join(known)}", param_hint="--state"
        )
    session = session_of(context)
    page = session.ledger.page(phase=state, cursor=cursor, limit=limit)
    if as_json:
        print_json({"jobs": [state_json(each) for each in page.states], "cursor": page.cursor})
        return
    if not page.states:
        session.console.print(
            "no more jobs" if cursor else f"no {state or ''} jobs".replace("  ", " ")
        )
        return
    session.console.print(jobs_table(session.console, page.states))
    if page.cursor:
        session.console.print(f"more: --cursor {page.cursor}", style="dim")


def dead_list(
    context: typer.Context,
    limit: int = typer.Option(50, min=1, max=1000, help="At most this many."),
    as_json: bool = JsonFlag,
) -> None:
    """List jobs that were given up, newest first, with the reason."""
    list_jobs(context, state="dead", limit=limit, cursor=None, as_json=as_json)


def job(
    context: typer.Context,
    job_id: str = typer.Argument(help=JOB_ID_HELP),
    as_json: bool = JsonFlag,
) -> None:
    """Show all that is known of one job, and why it ended as it did.

    From the ledger's row and, once it has ended, the record in the results bucket.
    """
    session = session_of(context)
    state = find_job(session, job_id)
    record = read_record(session, state)
    if as_json:
        import json

        print_json(
            {**state_json(state), "record": json.loads(record.to_json()) if record else None}
        )
        return
    console = session.console
    console.print(f"[bold]{state.job.id}[/]  {coloured(state.phase)}")
    console.print(
        f"  {plain(state.job.ref.bucket)}/{plain(state.job.ref.key)}"
        f"  version {plain(state.job.ref.identity)}"
    )
    console.print(
        f"  pipeline {plain(state.job.pipeline)}, pool {plain(state.job.pool)}"
        f" ({state.job.priority}), attempts {state.attempts}"
    )
    if state.code:
        console.print(prose(console, why(state)), style="yellow")
    if record is None:
        console.print("  no record yet", style="dim")
        return
    for output in record.outputs:
        size = f"{output.width_px}×{output.height_px}, " if output.width_px else ""
        console.print(
            f"  → {plain(output.bucket)}/{plain(output.key)}  ({size}{output.size_bytes:,} bytes)"
        )
    if record.timings_s:
        console.print(
            "  "
            + ", ".join(
                f"{name} {seconds * 1000:.0f} ms" for name, seconds in record.timings_s.items()
            )
        )


def find_job(session: Session, job_id: str) -> JobState:
    """The ledger's row of a whole or abbreviated id. Raises `MareaError` if it knows none, or
    several."""
    wanted = job_id.strip().lower()
    if not _JOB_ID.fullmatch(wanted):
        raise typer.BadParameter(
            f"{job_id!r} is no job id: 32 hex digits, or the first 6 or more of them"
        )
    ledger = session.ledger
    if len(wanted) == 32:
        state = ledger.load(wanted)
        found = [] if state is None else [state]
    else:
        found = _abbreviated(ledger, wanted)
    if len(found) > 1:
        raise MareaError(
            f"{len(found)} jobs begin with {wanted!r}: give more digits", code="job-ambiguous"
        )
    if not found:
        raise MareaError(
            f"the ledger knows no job {wanted!r}; it forgets ended jobs after"
            f" {session.settings.ledger.retention_s / 86400:g} days (their records stay in the"
            " results bucket)",
            code="job-unknown",
        )
    return found[0]


def _abbreviated(ledger: Ledger, beginning: str) -> list[JobState]:
    """Rows whose id begins so, among the latest 20,000; whole ids have no such bound."""
    found: list[JobState] = []
    cursor = None
    for _ in range(20):
        page = ledger.page(cursor=cursor, limit=1000)
        found += [each for each in page.states if each.job.id.startswith(beginning)]
        cursor = page.cursor
        if cursor is None or (found and len(beginning) >= ID_DIGITS):
            break
    return found


def read_record(session: Session, state: JobState) -> Record | None:
    """The record of a job, or None."""
    from marea.lifecycle.effects import ReadObject
    from marea.messages.record import Record

    body = session.performer.perform(
        ReadObject(session.place.results_bucket, session.place.record_key(state.job))
    )
    return Record.from_json(body.data) if body is not None else None


def audit(context: typer.Context, as_json: bool = JsonFlag) -> None:
    """Compare buckets with records; exit 1 if a result is missing.

    Every version that the source buckets list must have a record, or be on its way, or be
    covered by no rule; and no result may be stored twice. Read-only. The exit status is 1 if
    anything is missing or stored twice.
    """
    from marea.reconciler.audit import audit as carry_out

    session = session_of(context)
    with session.stderr.status("auditing") as shown:
        result = carry_out(
            session.performer,
            session.declarations,
            session.place,
            session.settings.store.source_buckets,
            lambda phase, count: shown.update(f"{phase}: {count}"),
        )
    if as_json:
        print_json(result.as_json())
    else:
        rows = [heading("class", "versions")]
        rows += [
            (coloured(name), str(count)) for name, count in sorted(result.classes.items()) if count
        ]
        rows.append(("[bold]listed[/]", f"[bold]{result.versions}[/]"))
        session.console.print(columns(rows))
        if result.stale:
            session.console.print(
                f"{result.stale} results are of an older definition of their pipeline;"
                " `marea rerender` makes them anew"
            )
        for name, problems in (("missing", result.missing), ("duplicates", result.duplicates)):
            colour = "red" if problems else "green"
            session.console.print(f"[{colour}]{name} {len(problems)}[/]")
            for problem in problems[:20]:
                session.console.print("  " + plain(problem))
    raise typer.Exit(0 if result.is_clean else 1)
