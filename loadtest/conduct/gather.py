"""Everything that is known at the end, put together as a `Run`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from loadtest.check import check_store
from loadtest.conduct.plan import Draft, Plan
from loadtest.conduct.shown import bar
from loadtest.history import HistoryError, Operation, load_history
from loadtest.machine import about_machine
from loadtest.observe.endings import read_endings
from loadtest.observe.gateway import GatewaySource
from loadtest.observe.look import Unseen
from loadtest.observe.sampler import Sampler
from loadtest.runs.data import Decision, Job, Run, Send
from loadtest.runs.figures import figures_of, when_settled
from loadtest.runs.folder import RunError, load_rows
from loadtest.runs.limits import judge_limits
from loadtest.scenario import Scenario
from loadtest.shapes import SHAPES
from loadtest.users.notebook import HISTORY_FILE, SENDS_FILE


def gather(plan: Plan, client: Any, draft: Draft, sampler: Sampler, console: Console) -> Run:
    """The run, judged. What cannot be read is told of in its notes and makes limits not kept."""
    notes = [*draft.notes]
    sends: tuple[Send, ...] = ()
    jobs: list[Job] = []
    checker: dict[str, Any] = {}
    try:
        sends = load_rows(plan.folder / SENDS_FILE, Send)
        history = history_of(plan.folder)
        due = sum(len(operation.expected_pipelines) for operation in history)
        jobs = _jobs(plan, client, draft, due, console)
        with console.status("The checker reads every result …"):
            checker = _checked(plan, draft, history)
    except (ClientError, BotoCoreError, HistoryError, RunError) as exc:
        notes.append(f"Not judged: {exc}")
    decisions: list[Decision] = []
    if plan.target.gateway_url:
        try:
            decisions = gateway_of(plan).decisions(draft.began_at)
        except Unseen as exc:
            notes.append(f"The autoscaler's decisions are not known: {exc}")
    last_s = max((send.done_s for send in sends), default=0.0)
    found_s = None if draft.settled_at is None else draft.settled_at - draft.began_at
    run = Run(
        scenario=plan.scenario.name,
        about=plan.scenario.load.about,
        began_at=draft.began_at,
        ended_s=time.time() - draft.began_at,
        load_ended_s=last_s,
        settled_s=when_settled(found_s, jobs),
        partial=draft.partial,
        shape=shape_of(plan.scenario),
        target=dict(plan.about_target),
        machine=about_machine(),
        calibration=draft.calibration,
        gateway=draft.gateway,
        command=plan.command,
        notes=(*notes, *sampler.notes(), *_complaints(sends)),
        sends=tuple(sorted(sends, key=lambda send: send.due_s)),
        samples=sampler.samples(draft.began_at),
        jobs=tuple(jobs),
        decisions=tuple(decisions),
        checker=checker,
    )
    return replace(run, limits=judge_limits(run, figures_of(run), plan.scenario.expect.limits))


def history_of(folder: Path) -> list[Operation]:
    """What clients did so far. Raises `HistoryError`."""
    file = folder / HISTORY_FILE
    return load_history(file) if file.exists() else []


def gateway_of(plan: Plan) -> GatewaySource:
    """Asked apart from the samples."""
    return GatewaySource(plan.target.gateway_url, plan.target.api_token, with_backlog=False)


def shape_of(scenario: Scenario) -> dict[str, Any]:
    """The shape's name and settings."""
    shape = scenario.load.shape
    name = next(name for name, kind in SHAPES.items() if isinstance(shape, kind))
    return {"name": name, **shape.model_dump()}


def _jobs(plan: Plan, client: Any, draft: Draft, due: int, console: Console) -> list[Job]:
    """`due`: as many as there should be."""
    with bar(console, "reading records", due) as show:
        read = [0]

        def advance(count: int) -> None:
            read[0] += count
            show(read[0], "")

        return read_endings(
            client,
            plan.target.source_bucket,
            plan.target.results_bucket,
            draft.prefix,
            began_at=draft.began_at,
            calibration_prefix=draft.calibration_prefix,
            advance=advance,
        )


def _checked(plan: Plan, draft: Draft, history: list[Operation]) -> dict[str, Any]:
    verdict = check_store(
        history,
        plan.target.store,
        source_buckets=[plan.target.source_bucket],
        results_bucket=plan.target.results_bucket,
        prefix=draft.prefix,
    )
    return verdict.summary()


def _complaints(sends: tuple[Send, ...]) -> list[str]:
    problems = [send.problem for send in sends if send.problem]
    if not problems:
        return []
    uploads = "1 upload" if len(problems) == 1 else f"{len(problems)} uploads"
    return [f"{uploads} had a complaint, e.g. {problems[0]}."]
