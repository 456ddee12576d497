"""Everything that is known at the end, put together as a `Run`."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from loadtest.check import check_store
from loadtest.conduct.plan import Draft, Plan
from loadtest.conduct.shown import bar
from loadtest.history import HistoryError, Operation, load_history
from loadtest.observe.endings import read_endings
from loadtest.observe.gateway import GatewaySource
from loadtest.observe.look import Unseen
from loadtest.observe.sampler import Sampler
from loadtest.runs.data import Decision, Job, Run, Send
from loadtest.runs.figures import figures_of
from loadtest.runs.folder import RunError, load_rows
from loadtest.runs.limits import judge_limits
from loadtest.scenario import Scenario
from loadtest.shapes import SHAPES
from loadtest.users.notebook import HISTORY_FILE, SENDS_FILE

ROOT = Path(__file__).parents[2]


def gather(plan: Plan, client: Any, draft: Draft, sampler: Sampler, console: Console) -> Run:
    """The run, judged. What cannot be read is told of in its notes and makes limits not kept."""
    notes = [*draft.notes]
    sends: tuple[Send, ...] = ()
    jobs: list[Job] = []
    checker: dict[str, Any] = {}
    try:
        sends = load_rows(plan.folder / SENDS_FILE, Send)
        jobs = _jobs(plan, client, draft, console)
        with console.status("The checker reads every result …"):
            checker = _checked(plan, draft)
    except (ClientError, BotoCoreError, HistoryError, RunError) as exc:
        notes.append(f"Not judged: {exc}")
    decisions: list[Decision] = []
    if plan.target.gateway_url:
        try:
            decisions = gateway_of(plan).decisions(draft.began_at)
        except Unseen as exc:
            notes.append(f"The autoscaler's decisions are not known: {exc}")
    last_s = max((send.done_s for send in sends), default=0.0)
    run = Run(
        scenario=plan.scenario.name,
        about=plan.scenario.load.about,
        began_at=draft.began_at,
        ended_s=time.time() - draft.began_at,
        load_ended_s=last_s,
        settled_s=None if draft.settled_at is None else draft.settled_at - draft.began_at,
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


def _jobs(plan: Plan, client: Any, draft: Draft, console: Console) -> list[Job]:
    with bar(console, "reading records", len(history_of(plan.folder))) as show:
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


def _checked(plan: Plan, draft: Draft) -> dict[str, Any]:
    verdict = check_store(
        load_history(plan.folder / HISTORY_FILE),
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


def about_machine() -> dict[str, Any]:
    """Of this process."""
    return {
        "cpu_count": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    """Of the sources, with a + if they were changed since; "" where there is no git."""
    try:
        said = [
            subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
            for words in (
                ("rev-parse", "--short", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        ]
    except OSError:
        return ""
    return said[0] + ("+" if said[1] else "")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
