"""The verbs that set work under way: submit, cancel, dead replay, rerender, backfill."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from marea.cli.inspect import JOB_ID_HELP, find_job, read_record
from marea.cli.render import coloured, plain, prose, state_json, why
from marea.cli.session import JsonFlag, Session, print_json, session_of
from marea.errors import BrokerUnavailable, MareaError

if TYPE_CHECKING:
    from marea.messages.job import Job

POLL_S = 0.2
"""Between two looks at the jobs that `--wait` waits for: one round trip to the ledger."""


def submit(
    context: typer.Context,
    paths: list[Path] = typer.Argument(exists=True, help="Files, and folders taken whole."),
    pipeline: str | None = typer.Option(
        None, help="Run this one and wait for it, beside what the rules choose."
    ),
    prefix: str = typer.Option("", help="Put before every key."),
    bucket: str | None = typer.Option(
        None, help="One of the source buckets; without it, the first."
    ),
    wait: bool = typer.Option(False, "--wait", help="Until the results are there."),
    timeout_s: float = typer.Option(600.0, min=0.0, help="With --wait: seconds until it gives up."),
    as_json: bool = JsonFlag,
) -> None:
    """Upload files; with --wait, show each result or its reason.

    A folder's files get keys relative to the folder. The exit status is 1 if --wait ran out of
    time; a rejected file is a result, not a failure.
    """
    session = session_of(context)
    if pipeline is not None:
        session.declarations.pipelines[pipeline]  # an unknown one is told before any upload
    target = bucket or session.settings.store.source_buckets[0]
    files = list(_files(paths, prefix))
    if not files:
        raise MareaError("nothing to upload: the folders are empty", code="nothing-to-do")
    from rich.progress import Progress

    jobs: list[Job] = []
    unrouted: list[dict[str, str]] = []
    with Progress(console=session.stderr, transient=True) as progress:
        uploading = progress.add_task("uploading", total=len(files))
        for path, key in files:
            planned, reason = _upload(session, path, target, key, pipeline)
            jobs.extend(planned)
            if not planned:
                unrouted.append({"key": key, "reason": reason})
            progress.advance(uploading)
        if wait:
            _wait(session, jobs, progress, timeout_s)
    _report(session, jobs, unrouted, wait, as_json)


def _files(paths: list[Path], prefix: str) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            for each in sorted(each for each in path.rglob("*") if each.is_file()):
                yield each, prefix + each.relative_to(path).as_posix()
        else:
            yield path, prefix + path.name


def _upload(
    session: Session, path: Path, bucket: str, key: str, pipeline: str | None
) -> tuple[list[Job], str]:
    from marea.lifecycle.accept import plan_with_facts
    from marea.lifecycle.commands import submit_job
    from marea.messages.job import Job
    from marea.routing.route import UploadFacts

    performer = session.performer
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    ref = performer.ports.store.put(bucket, key, path.read_bytes(), content_type=content_type)
    if pipeline is None:
        # The event does the rest; the plan only says which jobs to wait for.
        plan = performer.run(
            plan_with_facts(
                UploadFacts(ref, performer.ports.clock.now()), session.declarations.rules.plan
            )
        )
        return list(plan.jobs), plan.reason
    chosen = Job(
        ref=ref, pipeline=pipeline, pool=session.declarations.pipelines[pipeline].pool, origin="api"
    )
    _, is_confirmed = performer.run(submit_job(chosen, session.place, session.policy))
    if not is_confirmed:
        session.stderr.print(
            f"[yellow]{plain(key)}: the broker did not confirm; the reconciler will publish it[/]"
        )
    return [chosen], ""


def _wait(session: Session, jobs: list[Job], progress: object, timeout_s: float) -> None:
    from rich.progress import Progress

    assert isinstance(progress, Progress)
    ports = session.performer.ports
    waiting = progress.add_task("waiting for results", total=len(jobs))
    open_ids = {job.id: job for job in jobs}
    until = ports.clock.now() + timeout_s
    while open_ids:
        states = ports.ledger.load_many(list(open_ids))
        for job_id, state in states.items():
            if state.is_terminal:
                del open_ids[job_id]
                progress.advance(waiting)
        if open_ids and ports.clock.now() > until:
            raise MareaError(
                f"{len(open_ids)} of {len(jobs)} jobs have not ended after {timeout_s:g} s;"
                " `marea status` shows whether workers are running",
                code="timeout",
            )
        if open_ids:
            ports.clock.sleep(POLL_S)


def _report(
    session: Session, jobs: list[Job], unrouted: list[dict[str, str]], waited: bool, as_json: bool
) -> None:
    import json

    states = session.performer.ports.ledger.load_many([job.id for job in jobs])
    rows = []
    for job in jobs:
        state = states.get(job.id)
        record = read_record(session, state) if waited and state is not None else None
        rows.append((job, state, record))
    if as_json:
        print_json(
            {
                "jobs": [
                    {
                        **(
                            state_json(state)
                            if state
                            else {"id": job.id, "state": "uploaded", "key": job.ref.key}
                        ),
                        "record": json.loads(record.to_json()) if record else None,
                    }
                    for job, state, record in rows
                ],
                "unrouted": unrouted,
            }
        )
        return
    for job, state, record in rows:
        shown = coloured(state.phase) if state else "uploaded"
        results = ", ".join(output.key for output in record.outputs) if record else ""
        arrow = f"  → {plain(results)}" if results else ""
        session.console.print(f"{plain(job.ref.key)}  {plain(job.pipeline)}  {shown}{arrow}")
        if state and state.code:
            session.console.print(prose(session.console, why(state)))
    for each in unrouted:
        session.console.print(f"{plain(each['key'])}  [yellow]no job[/]: {plain(each['reason'])}")


def cancel(
    context: typer.Context, job_id: str = typer.Argument(help=JOB_ID_HELP), as_json: bool = JsonFlag
) -> None:
    """End an open job as cancelled.

    A job that has ended stays as it ended; the exit status is then 1.
    """
    from marea.lifecycle.commands import cancel_job

    session = session_of(context)
    state = session.performer.run(cancel_job(find_job(session, job_id), session.place))
    assert state is not None
    if as_json:
        print_json(state_json(state))
    else:
        session.console.print(f"{state.job.id}  {coloured(state.phase)}")
    if state.phase != "cancelled":
        raise MareaError(f"the job had already ended: {state.phase}", code="job-ended")


def dead_replay(
    context: typer.Context,
    job_ids: list[str] = typer.Argument(
        None, help="Ids of dead or rejected jobs, whole or their first 6 or more digits."
    ),
    every: bool = typer.Option(False, "--all", help="Every dead job in the ledger."),
    as_json: bool = JsonFlag,
) -> None:
    """Run jobs again that were given up.

    With a fresh budget of attempts; rejected and cancelled ones too, if they are named.
    """
    from marea.lifecycle.commands import REPLAYABLE, run_again

    session = session_of(context)
    states = [find_job(session, job_id) for job_id in job_ids or []]
    for state in states:
        if state.phase not in REPLAYABLE:
            raise MareaError(
                f"job {state.job.id} is {state.phase}; {', '.join(sorted(REPLAYABLE))} can be"
                " replayed",
                code="job-not-replayable",
            )
    cursor = None
    while every:
        page = session.performer.ports.ledger.page(phase="dead", cursor=cursor, limit=1000)
        states.extend(page.states)
        cursor = page.cursor
        if cursor is None:
            break
    if not states:
        raise MareaError(
            "no job to replay: name ids, or --all (`marea dead list` shows them)",
            code="nothing-to-do",
        )
    replayed = []
    for state in states:
        row = session.performer.run(run_again(state.job, "replay", session.place, session.policy))
        if row is None:
            raise BrokerUnavailable("the broker did not confirm; try again")
        replayed.append(row)
    if as_json:
        print_json({"jobs": [state_json(row) for row in replayed]})
    else:
        for row in replayed:
            session.console.print(f"{row.job.id}  {coloured(row.phase)}")


def rerender(
    context: typer.Context,
    pipeline: str = typer.Argument(help="Whose results of an older definition to make anew."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only count them."),
    as_json: bool = JsonFlag,
) -> None:
    """Make results anew whose pipeline was changed since.

    Restart the workers first, so that they run the new definition. `marea audit` counts what
    is stale.
    """
    from marea.reconciler.stale import stale_jobs

    session = session_of(context)
    digest = session.declarations.pipelines[pipeline].digest
    count = 0
    with session.stderr.status("reading records"):
        for job in stale_jobs(
            session.performer,
            session.place,
            pipeline,
            digest,
            session.settings.store.source_buckets,
            session.declarations.pipelines[pipeline].pool,
        ):
            if not dry_run:
                from marea.lifecycle.commands import run_again

                session.performer.run(run_again(job, "rerender", session.place, session.policy))
            count += 1
    if as_json:
        print_json({"pipeline": pipeline, "stale": count, "started": 0 if dry_run else count})
    else:
        verb = "are stale" if dry_run else "are being made anew"
        session.console.print(f"{count} results of {pipeline} {verb}")


def backfill(
    context: typer.Context,
    prefix: str = typer.Argument("", help="Only keys that begin with this."),
    bucket: str | None = typer.Option(
        None, help="One of the source buckets; without it, the first."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Set under way what lies in a bucket without a result.

    Objects from before Marea, or a prefix that a new rule covers: now, instead of at the
    reconciler's next sweep.
    """
    from marea.lifecycle.sweep import Sweep, SweepContext, sweep_pages
    from marea.storage.merge import RecordMerge

    session = session_of(context)
    settings = session.settings
    target = bucket or settings.store.source_buckets[0]
    sweep = Sweep(target, RecordMerge(session.place.reserved_prefix, target), prefix=prefix)
    plan = SweepContext(
        plan=session.declarations.rules.plan,
        place=session.place,
        policy=session.policy,
        pipelines=session.declarations.pipelines,
        grace_s=0.0,
        page_size=settings.reconciler.page_size,
    )
    with session.stderr.status("sweeping") as shown:
        while not sweep.ended:
            session.performer.run(sweep_pages(sweep, plan, 4))
            shown.update(f"{sweep.versions} versions, {sweep.accepted} set under way")
    report = {
        "versions": sweep.versions,
        "accepted": sweep.accepted,
        "classes": dict(sweep.classes),
    }
    if as_json:
        print_json(report)
    else:
        session.console.print(f"{sweep.versions} versions, {sweep.accepted} jobs set under way")
