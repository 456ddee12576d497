"""A whole run: check, measure, load, settle, gather, judge. The folder is written whatever happens.

    preflight ─▶ measure ─▶ generator sends ─▶ settle ─▶ gather ─▶ checker ─▶ limits ─▶ report
                     └──────── the sampler looks once a second ───────┘

Ctrl-C ends the step that runs; what is known by then is judged and written, marked as partial.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from loadtest.check import check_store
from loadtest.collect import open_client
from loadtest.conduct import measure
from loadtest.conduct.generator import Generator, GeneratorFailed, Options
from loadtest.conduct.preflight import check_target
from loadtest.conduct.settle import wait_until_settled
from loadtest.conduct.shown import bar
from loadtest.history import HistoryError, HistoryWriter, Operation, load_history
from loadtest.observe.endings import read_endings
from loadtest.observe.gateway import GatewaySource
from loadtest.observe.look import Source, Unseen
from loadtest.observe.pods import PodSource
from loadtest.observe.processes import ProcessSource
from loadtest.observe.sampler import Sampler
from loadtest.runs.data import Run, Send
from loadtest.runs.figures import figures_of, throughput
from loadtest.runs.folder import RunError, load_rows, save_run
from loadtest.runs.limits import judge_limits
from loadtest.scenario import Scenario
from loadtest.schedule import draw_schedule, rate_factor
from loadtest.target import Target
from loadtest.users.notebook import HISTORY_FILE, SENDS_FILE

ROOT = Path(__file__).parents[2]
LOOK_S = 0.5
TAIL_S = 5.0
"""Looked at on after the last record, so that the pictures show how it ends."""
STEADY_SHARES = (0.4, 0.95)
"""Of the measured burst's jobs, by their ends: by the first the pool has its full size."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and against what."""

    scenario: Scenario
    target: Target
    folder: Path
    environment: Mapping[str, str]
    """The platform's variables, for those who ask its broker."""
    about_target: Mapping[str, Any]
    """`kind` and what else is known of it."""
    command: str
    scenario_name: str
    """As Locust is to find it."""
    namespace: str = ""
    """Of the release in a Kubernetes; "" = none."""
    workers: int = 0
    ui_port: int = 0


@dataclass
class _Draft:
    """What is known so far."""

    began_at: float = 0.0
    load_ended_at: float = 0.0
    settled_at: float | None = None
    partial: str = ""
    calibration: dict[str, float] = field(default_factory=dict)
    gateway: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def conduct(plan: Plan, console: Console) -> Run:
    """Run it. Raises `NotReady`, `ScenarioError` or `GeneratorFailed` before the load; after its
    beginning, whatever happens leaves a run that is written and judged."""
    client = open_client(plan.target.store)
    check_target(client, plan.target, plan.scenario.load)
    plan.folder.mkdir(parents=True, exist_ok=True)
    prefix = f"load/{plan.scenario.name}-{int(time.time())}/"
    draft = _Draft()
    sources, notes = _sources(plan)
    draft.notes += notes
    with Sampler(sources) as sampler:
        _go(plan, client, prefix, draft, sampler, console)
        run = _gathered(plan, client, prefix, draft, sampler, console)
    save_run(run, plan.folder)
    return run


def _go(
    plan: Plan, client: Any, prefix: str, draft: _Draft, sampler: Sampler, console: Console
) -> None:
    """Everything until it has settled, into `draft`."""
    load = plan.scenario.load
    options = Options(plan.scenario_name, prefix, 1.0, plan.workers, plan.ui_port)
    generator = Generator(plan.target, options, plan.folder)
    generator.clean()
    gateway = _gateway(plan)
    try:
        _measure(plan, client, prefix, draft, console)
        factor = rate_factor(load, draft.calibration.get("store_puts_per_s"))
        options = replace(options, factor=factor)
        generator = Generator(plan.target, options, plan.folder)
        before = gateway.event_answers() if gateway else None
        _send(generator, load, factor, draft, sampler, console)
        _settle(plan, client, draft, console)
        after = gateway.event_answers() if gateway else None
        if after is not None:
            answers = after.since(before) if before is not None else after
            draft.gateway["event_answers"] = answers.count
            if (p99 := answers.quantile(0.99)) is not None:
                draft.gateway["event_answer_p99_s"] = p99
        time.sleep(TAIL_S)
    except KeyboardInterrupt:
        draft.partial = "interrupted"
    except (ClientError, BotoCoreError) as exc:
        draft.partial = f"the store failed: {exc}"
    finally:
        generator.stop()
    now = time.time()
    draft.began_at = draft.began_at or generator.began_at or now
    draft.load_ended_at = draft.load_ended_at or now
    if draft.partial:
        draft.partial += f" {now - draft.began_at:.0f} s after the beginning"


def _measure(plan: Plan, client: Any, prefix: str, draft: _Draft, console: Console) -> None:
    load = plan.scenario.load
    if load.measure.store_puts_s:
        with console.status("Measuring the store's own PUT rate …"):
            rate, where = measure.store_puts_per_s(plan.target, load)
        draft.calibration["store_puts_per_s"] = rate
        draft.notes.append(
            f"The store's own rate, {rate:.0f} PUTs/s, was measured in {where} by"
            f" {measure.CLIENTS} processes with {measure.THREADS} connections each."
        )
    if not load.measure.steady_jobs:
        return
    own_prefix = calibration_prefix(prefix)
    with (
        HistoryWriter(plan.folder / HISTORY_FILE) as history,
        bar(console, "measuring the pool", load.measure.steady_jobs) as show,
    ):
        sent = [0]

        def advance(count: int) -> None:
            sent[0] += count
            show(sent[0], "uploaded")

        began_at = time.time()
        measure.upload_at_once(plan.target, load, history, own_prefix, advance)
    with bar(console, "their results", load.measure.steady_jobs) as show:
        _wait(plan, client, load.settle_s, lambda left: show(sent[0] - left, "done"))
    jobs = read_endings(
        client,
        plan.target.source_bucket,
        plan.target.results_bucket,
        own_prefix,
        began_at=began_at,
    )
    rate_of_pool = throughput([job.finished_s for job in jobs], STEADY_SHARES)
    if rate_of_pool is None:
        draft.notes.append("The pool's own rate is not known: too few jobs ended.")
    else:
        draft.calibration["steady_jobs_per_s"] = rate_of_pool


def calibration_prefix(prefix: str) -> str:
    return f"{prefix}measured/"


def _send(
    generator: Generator,
    load: Any,
    factor: float,
    draft: _Draft,
    sampler: Sampler,
    console: Console,
) -> None:
    total = len(draw_schedule(load, "", factor))
    generator.start()
    with bar(console, "uploading", total) as show:
        while generator.poll():
            show(generator.sent(), _backlog(sampler))
            time.sleep(LOOK_S)
        show(generator.sent(), "")
    began_at = generator.began_at
    if began_at is None:
        raise GeneratorFailed("Locust ended before it began to send")
    draft.began_at, draft.load_ended_at = began_at, time.time()


def _backlog(sampler: Sampler) -> str:
    latest = sampler.latest
    if latest is None or not latest.ready:
        return ""
    waiting, busy = sum(latest.ready.values()), sum(latest.unacked.values())
    replicas = f", {sum(latest.replicas.values())} replicas" if latest.replicas else ""
    return f"{waiting} waiting, {busy} under way{replicas}"


def _settle(plan: Plan, client: Any, draft: _Draft, console: Console) -> None:
    history = _history(plan.folder)
    with bar(console, "results", len(history)) as show:
        draft.settled_at = _wait(
            plan, client, plan.scenario.load.settle_s, lambda left: show(len(history) - left, "")
        )
    if draft.settled_at is None:
        draft.notes.append(
            f"Some uploads had no record {plan.scenario.load.settle_s:.0f} s after the load."
        )


def _wait(plan: Plan, client: Any, timeout_s: float, tell: Callable[[int], None]) -> float | None:
    return wait_until_settled(client, plan.target, lambda: _history(plan.folder), timeout_s, tell)


def _history(folder: Path) -> list[Operation]:
    file = folder / HISTORY_FILE
    return load_history(file) if file.exists() else []


def _gathered(
    plan: Plan, client: Any, prefix: str, draft: _Draft, sampler: Sampler, console: Console
) -> Run:
    """The run, with all that can be known of it."""
    began_at, notes = draft.began_at, [*draft.notes]
    jobs, checker, sends = [], {}, ()
    try:
        history = _history(plan.folder)
        with bar(console, "reading records", len(history)) as show:
            read = [0]

            def advance(count: int) -> None:
                read[0] += count
                show(read[0], "")

            jobs = read_endings(
                client,
                plan.target.source_bucket,
                plan.target.results_bucket,
                prefix,
                began_at=began_at,
                calibration_prefix=calibration_prefix(prefix),
                advance=advance,
            )
        with console.status("The checker reads every result …"):
            checker = _checked(plan)
        sends = load_rows(plan.folder / SENDS_FILE, Send)
    except (ClientError, BotoCoreError, HistoryError, RunError) as exc:
        notes.append(f"Not judged: {exc}")
    decisions = []
    if gateway := _gateway(plan):
        try:
            decisions = gateway.decisions(began_at)
        except Unseen as exc:
            notes.append(f"The autoscaler's decisions are not known: {exc}")
    run = Run(
        scenario=plan.scenario.name,
        about=plan.scenario.load.about,
        began_at=began_at,
        ended_s=time.time() - began_at,
        load_ended_s=draft.load_ended_at - began_at,
        settled_s=None if draft.settled_at is None else draft.settled_at - began_at,
        partial=draft.partial,
        shape=_shape(plan.scenario),
        target=dict(plan.about_target),
        machine=about_machine(),
        calibration=draft.calibration,
        gateway=draft.gateway,
        command=plan.command,
        notes=(*notes, *sampler.notes(), *_generator_notes(sends)),
        sends=tuple(sorted(sends, key=lambda send: send.due_s)),
        samples=sampler.samples(began_at),
        jobs=tuple(jobs),
        decisions=tuple(decisions),
        checker=checker,
    )
    return replace(run, limits=judge_limits(run, figures_of(run), plan.scenario.expect.limits))


def _checked(plan: Plan) -> dict[str, Any]:
    verdict = check_store(
        load_history(plan.folder / HISTORY_FILE),
        plan.target.store,
        source_buckets=[plan.target.source_bucket],
        results_bucket=plan.target.results_bucket,
    )
    return verdict.summary()


def _shape(scenario: Scenario) -> dict[str, Any]:
    from loadtest.shapes import SHAPES

    shape = scenario.load.shape
    name = next(name for name, kind in SHAPES.items() if isinstance(shape, kind))
    return {"name": name, **shape.model_dump()}


def _generator_notes(sends: tuple[Send, ...]) -> list[str]:
    problems = [send.problem for send in sends if send.problem]
    return [f"{len(problems)} uploads had a complaint, e.g. {problems[0]}."] if problems else []


def _sources(plan: Plan) -> tuple[list[Source], list[str]]:
    from loadtest.observe.broker import BrokerSource
    from marea.errors import MareaError

    sources: list[Source] = [ProcessSource()]
    notes = []
    has_broker = False
    if plan.environment.get("MAREA_BROKER__URL"):
        try:
            sources.append(BrokerSource(plan.environment))
            has_broker = True
        except MareaError as exc:
            notes.append(f"The broker is not asked: {exc}")
    if plan.target.gateway_url:
        sources.append(
            GatewaySource(
                plan.target.gateway_url, plan.target.api_token, with_backlog=not has_broker
            )
        )
    if plan.namespace:
        try:
            sources.append(PodSource(plan.namespace))
        except Unseen as exc:
            notes.append(f"Pods are not seen: {exc}")
    return sources, notes


def _gateway(plan: Plan) -> GatewaySource | None:
    target = plan.target
    if not target.gateway_url:
        return None
    return GatewaySource(target.gateway_url, target.api_token, with_backlog=False)


def about_machine() -> dict[str, Any]:
    """Of this process."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "cpu_count": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")),
                platform.machine(),
            )
    except OSError:
        return platform.machine()
