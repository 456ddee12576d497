"""A whole run: check, measure, load, settle, gather, judge. The folder is written whatever happens.

    preflight ─▶ measure ─▶ generator sends ─▶ settle ─▶ gather ─▶ checker ─▶ limits ─▶ report
                     └──────── the sampler looks once a second ───────┘

Ctrl-C ends the load; what has been sent may still settle, which a second Ctrl-C ends too. Either
way the run is judged by what is known, written, and marked as partial.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from loadtest.collect import open_client
from loadtest.conduct import measure
from loadtest.conduct.gather import gateway_of, gather, history_of
from loadtest.conduct.generator import Generator, GeneratorFailed, Options
from loadtest.conduct.plan import Draft, Plan
from loadtest.conduct.preflight import check_target
from loadtest.conduct.settle import wait_until_settled
from loadtest.conduct.shown import bar
from loadtest.history import HistoryError, HistoryWriter, Operation
from loadtest.observe.broker import BrokerSource
from loadtest.observe.endings import read_endings
from loadtest.observe.gateway import EventAnswers, GatewaySource
from loadtest.observe.look import Source, Unseen
from loadtest.observe.pods import PodSource
from loadtest.observe.processes import ProcessSource
from loadtest.observe.sampler import Sampler
from loadtest.runs.data import Run
from loadtest.runs.figures import drain_rate
from loadtest.runs.folder import save_run
from loadtest.schedule import draw_schedule, rate_factor
from loadtest.users.notebook import HISTORY_FILE
from marea.errors import MareaError

LOOK_S = 0.5
TAIL_S = 5.0
"""Looked at on after the last record, so that the pictures show how it ends."""


def conduct(plan: Plan, console: Console) -> Run:
    """Run it. Raises `NotReady`, `ScenarioError` or `GeneratorFailed` before the load; after its
    beginning, whatever happens leaves a run that is written and judged."""
    client = open_client(plan.target.store)
    check_target(client, plan.target, plan.scenario.load)
    plan.folder.mkdir(parents=True, exist_ok=True)
    draft = Draft(prefix=f"load/{plan.scenario.name}-{int(time.time())}/")
    sources = _sources(plan, draft)
    with Sampler(sources) as sampler:
        generator = _load(plan, client, draft, sampler, console)
        draft.began_at = draft.began_at or generator.began_at or time.time()
        _note_pods(sources, draft)
        run = gather(plan, client, draft, sampler, console)
    save_run(run, plan.folder)
    return run


def _load(plan: Plan, client: Any, draft: Draft, sampler: Sampler, console: Console) -> Generator:
    """Everything until it has settled, into `draft`."""
    options = Options(plan.scenario_name, draft.prefix, plan.workers, plan.ui_port)
    generator = Generator(plan.target, options, plan.folder)
    generator.clean()
    answers = _event_answers(plan)
    try:
        _measure(plan, client, draft, console)
        factor = rate_factor(plan.scenario.load, draft.calibration.get("store_puts_per_s"))
        answers = _event_answers(plan)
        _send(generator, plan, factor, draft, sampler, console)
    except KeyboardInterrupt:
        began_at = generator.began_at
        after = f"{time.time() - began_at:.0f} s after the first upload" if began_at else "early"
        draft.partial = f"interrupted {after}"
        console.print("Interrupted: what was sent may still end; Ctrl-C again ends that too.")
    finally:
        generator.stop()
    try:
        _settle(plan, client, draft, console)
        _note_answers(plan, draft, answers)
        if not draft.partial:
            time.sleep(TAIL_S)
    except KeyboardInterrupt:
        draft.partial = draft.partial or "interrupted before every upload had its record"
        draft.notes.append("Uploads without a record yet are counted as lost by the checker.")
    return generator


def _measure(plan: Plan, client: Any, draft: Draft, console: Console) -> None:
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
    began_at = time.time()
    sent = [0]
    with (
        HistoryWriter(plan.folder / HISTORY_FILE) as history,
        bar(console, "measuring the pool", load.measure.steady_jobs) as show,
    ):

        def advance(count: int) -> None:
            sent[0] += count
            show(sent[0], "uploaded")

        measure.upload_at_once(plan.target, load, history, draft.calibration_prefix, advance)
    with bar(console, "their results", load.measure.steady_jobs) as show:
        uploads = history_of(plan.folder)
        _wait(plan, client, draft, uploads, lambda left: show(sent[0] - left, ""))
    source, results = plan.target.source_bucket, plan.target.results_bucket
    jobs = read_endings(client, source, results, draft.calibration_prefix, began_at=began_at)
    rate_of_pool = drain_rate(jobs)
    if rate_of_pool is None:
        draft.notes.append("The pool's own rate is not known: too few jobs ended.")
    else:
        draft.calibration["steady_jobs_per_s"] = rate_of_pool


def _send(
    generator: Generator,
    plan: Plan,
    factor: float,
    draft: Draft,
    sampler: Sampler,
    console: Console,
) -> None:
    total = len(draw_schedule(plan.scenario.load, "", factor))
    generator.start(factor)
    with bar(console, "uploading", total) as show:
        while generator.poll():
            sent = generator.sent()
            show(sent, _backlog(sampler))
            if sent >= total and not plan.ui_port:
                break  # watchers may go on looking: nothing more is sent
            time.sleep(LOOK_S)
        show(generator.sent(), "")
    began_at = generator.began_at
    if began_at is None:
        raise GeneratorFailed("Locust ended before it began to send")
    draft.began_at = began_at


def _backlog(sampler: Sampler) -> str:
    latest = sampler.latest
    if latest is None or not latest.ready:
        return ""
    waiting, busy = sum(latest.ready.values()), sum(latest.unacked.values())
    replicas = f", {sum(latest.replicas.values())} replicas" if latest.replicas else ""
    return f"{waiting} waiting, {busy} under way{replicas}"


def _settle(plan: Plan, client: Any, draft: Draft, console: Console) -> None:
    try:
        uploads = history_of(plan.folder)
    except HistoryError as exc:  # e.g. half a line, where the disk was full: judged as it is
        draft.notes.append(f"Results were not waited for: {exc}")
        return
    if not uploads:
        return
    count = len(uploads)
    with bar(console, "results", count) as show:
        draft.settled_at = _wait(
            plan, client, draft, uploads, lambda left: show(max(0, count - left), "")
        )
    if draft.settled_at is None:
        draft.notes.append(
            f"Some uploads had no record {plan.scenario.load.settle_s:.0f} s after the load."
        )


def _wait(
    plan: Plan,
    client: Any,
    draft: Draft,
    uploads: Sequence[Operation],
    tell: Callable[[int], None],
) -> float | None:
    patience_s = plan.scenario.load.settle_s
    return wait_until_settled(client, plan.target, draft.prefix, uploads, patience_s, tell)


def _event_answers(plan: Plan) -> EventAnswers | None:
    return gateway_of(plan).event_answers() if plan.target.gateway_url else None


def _note_answers(plan: Plan, draft: Draft, before: EventAnswers | None) -> None:
    """How the gateway answered the store's events since `before`."""
    after = _event_answers(plan)
    if after is None:
        return
    answers = after.since(before) if before is not None else after
    draft.gateway["event_answers"] = answers.count
    if (p99 := answers.quantile(0.99)) is not None:
        draft.gateway["event_answer_p99_s"] = p99


def _note_pods(sources: list[Source], draft: Draft) -> None:
    for source in sources:
        if isinstance(source, PodSource):
            restarts = source.restarts
            if restarts.count is not None:
                draft.gateway["restarts"] = restarts.count
            draft.notes += [f"Container {name}: {why}." for name, why in restarts.killed.items()]


def _sources(plan: Plan, draft: Draft) -> list[Source]:
    sources: list[Source] = [ProcessSource(platform_pid=plan.platform_pid)]
    has_broker = False
    if plan.environment.get("MAREA_BROKER__URL"):
        try:
            sources.append(BrokerSource(plan.environment))
            has_broker = True
        except (MareaError, ClientError, BotoCoreError) as exc:
            draft.notes.append(f"The broker is not asked: {exc}")
    if plan.target.gateway_url:
        url, token = plan.target.gateway_url, plan.target.api_token
        sources.append(GatewaySource(url, token, with_backlog=not has_broker))
    if plan.namespace:
        try:
            sources.append(PodSource(plan.namespace))
        except Unseen as exc:
            draft.notes.append(f"Pods are not seen: {exc}")
    return sources
