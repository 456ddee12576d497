"""POST /events/s3: bucket notifications in, jobs out.

A store retries whatever is not answered 2xx, and sends nothing behind it. So an authentic
event is answered 2xx whenever sending it again would change nothing: decoded and published, or
written down as undecodable. Only trouble that passes (broker, ledger or store away) is a 503.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from marea.errors import BrokerUnavailable, MareaError, TransientError
from marea.gateway.limits import read_body
from marea.gateway.metrics import count_events
from marea.gateway.parts import Gateway, gateway_of
from marea.gateway.repeats import JobIds
from marea.gateway.views import EventReport
from marea.intake.s3_notification import MalformedEvent, Parsed, parse_notification
from marea.messages.upload_event import UploadEvent
from marea.routing.route import Plan, UploadFacts

log = structlog.get_logger("marea.gateway")

Planned = tuple[UploadFacts, Plan]
Failure = tuple[str, str]
"""An upload's name, and what is wrong with it for good."""

LARGE_BODY_BYTES = 128 * 2**10
"""Beyond it a body is read in a thread: 100 records take about 5 ms, and meanwhile nothing
else on the event loop gets on."""
REPORTED_JOBS = 1_000
"""Ids in one reply; a store does not read it, a person may."""
NOTED_UPLOADS = 20
"""Unrouted uploads spelt out in one note; the note has the count of all."""
NOTED_CHARACTERS = 2_000
"""Of an undecodable body; enough to see its shape, and a note is kept 1,000 times."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A body, decoded and routed."""

    parsed: Parsed
    duplicates: list[JobIds]
    """The jobs of each upload that was made sure of just now, and is not routed again."""
    plans: list[Planned]
    failures: list[Failure] = field(default_factory=list)


async def post_events(request: Request) -> EventReport:
    """Hear of uploads. Takes the bodies of MinIO, RustFS, AWS S3, Ceph, EventBridge, SNS and SQS.

    Answered when the broker has confirmed every job; 503 if it did not, to be sent again.
    """
    # From the request and not injected by FastAPI, which costs 4 % of an event (measured).
    gateway = gateway_of(request)
    body = await read_body(request, gateway.settings.max_body_bytes)
    if len(body) > LARGE_BODY_BYTES:
        heard = await run_in_threadpool(_hear, gateway, body)
    else:
        heard = _hear(gateway, body)
    if any(plan.outcome == "needs-facts" for _, plan in heard.plans):
        heard = await run_in_threadpool(_with_facts, gateway, heard)
    jobs = [job for _, plan in heard.plans for job in plan.jobs]
    _require_confirmed(heard.plans, await gateway.rounds.accept(jobs))
    report = await _report(gateway, heard, body)
    gateway.repeats.remember(
        (facts.ref, tuple(job.id for job in plan.jobs)) for facts, plan in heard.plans
    )
    return report


def _hear(gateway: Gateway, body: bytes) -> _Heard:
    """Decode and route, without asking anybody."""
    settings = gateway.settings
    try:
        parsed = parse_notification(
            body, max_events=settings.max_events_per_body, max_depth=settings.max_json_depth
        )
    except MalformedEvent as exc:
        parsed = Parsed(problems=(str(exc),))
    created = [event for event in parsed.events if event.kind == "created"]
    duplicates, plans = [], []
    for event in created:
        known = gateway.repeats.jobs_of(event.ref)
        if known is not None:
            duplicates.append(known)
        else:
            facts = _facts(gateway, event)
            plans.append((facts, gateway.ports.rules.plan(facts)))
    return _Heard(parsed, duplicates, plans)


def _with_facts(gateway: Gateway, heard: _Heard) -> _Heard:
    """Route by what the store says of uploads whose event left too much unsaid."""
    plans: list[Planned] = []
    failures: list[Failure] = []
    for facts, plan in heard.plans:
        if plan.outcome != "needs-facts":
            plans.append((facts, plan))
            continue
        try:
            plans.append((facts, gateway.ports.intake.plan(facts)))
        except TransientError:
            raise
        except MareaError as exc:
            # Sent again it would fail again, and the rest of its body with it.
            failures.append((_name(facts), f"{exc.code}: {exc}"))
    return _Heard(heard.parsed, heard.duplicates, plans, failures)


def _facts(gateway: Gateway, event: UploadEvent) -> UploadFacts:
    now = gateway.ports.clock.now()
    return UploadFacts(
        ref=event.ref,
        # A store's clock that runs ahead must not put a delayed job off for years.
        uploaded_at=now if event.event_time is None else min(event.event_time, now),
        content_type=event.content_type,
        user_metadata=event.user_metadata,
        tags=event.tags,
    )


def _require_confirmed(plans: Sequence[Planned], confirmed: Mapping[str, bool]) -> None:
    unconfirmed = sum(not all(confirmed[job.id] for job in plan.jobs) for _, plan in plans)
    if unconfirmed:
        count_events(unconfirmed=unconfirmed)
        # The rows stay `accepted` in the ledger: sent again or not, the jobs get published.
        raise BrokerUnavailable(
            f"the broker did not confirm the jobs of {unconfirmed} of {len(plans)} uploads;"
            " send the event again"
        )


async def _report(gateway: Gateway, heard: _Heard, body: bytes) -> EventReport:
    """Write down what went wrong, count, log, answer."""
    parsed = heard.parsed
    outcomes = Counter(plan.outcome for _, plan in heard.plans)
    for name, sentence in heard.failures:
        await _note(gateway, "undecodable", problems=[sentence], upload=name)
    if parsed.problems:
        await _note(gateway, "undecodable", problems=list(parsed.problems), **_evidence(body))
    if parsed.subscription is not None:
        topic, url = parsed.subscription.topic, parsed.subscription.url
        log.warning("a topic asks to be confirmed", topic=topic)
        await _note(gateway, "subscription", topic=topic, confirm_at=url)
    unrouted = [facts for facts, plan in heard.plans if plan.outcome == "unrouted"]
    if unrouted:
        names = [_name(facts) for facts in unrouted[:NOTED_UPLOADS]]
        await _note(gateway, "unrouted", uploads=len(unrouted), names=names)
    jobs = [job.id for _, plan in heard.plans for job in plan.jobs]
    jobs += [job_id for known in heard.duplicates for job_id in known]
    report = EventReport(
        events=len(parsed.events),
        jobs=jobs[:REPORTED_JOBS],
        routed=outcomes["routed"],
        unrouted=len(unrouted),
        duplicates=len(heard.duplicates),
        ignored=outcomes["ignored"] + sum(event.kind != "created" for event in parsed.events),
        problems=[*parsed.problems, *(sentence for _, sentence in heard.failures)],
    )
    count_events(
        accepted=report.routed,
        unrouted=report.unrouted,
        duplicate=report.duplicates,
        ignored=report.ignored,
        undecodable=len(report.problems),
    )
    is_news = report.events > report.duplicates or report.problems
    log.log(
        logging.INFO if is_news else logging.DEBUG,
        "event accepted",
        events=report.events,
        jobs=len(jobs),
        unrouted=report.unrouted,
        duplicates=report.duplicates,
        ignored=report.ignored,
        problems=report.problems[:3],
    )
    return report


async def _note(gateway: Gateway, kind: str, **entry: Any) -> None:
    """In a thread, since a ledger that is away answers late. Raises `LedgerUnavailable`: what
    could not be written down is not answered 2xx."""
    noted = {"at": gateway.ports.clock.now(), **entry}
    await run_in_threadpool(gateway.ports.ledger.note, kind, noted)


def _evidence(body: bytes) -> dict[str, Any]:
    """What a person needs to find out what was sent, and by whom."""
    return {
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "begins": body[:NOTED_CHARACTERS].decode("utf-8", "replace"),
    }


def _name(facts: UploadFacts) -> str:
    return f"{facts.ref.bucket}/{facts.ref.key}"
