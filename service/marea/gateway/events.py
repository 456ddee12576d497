"""POST /events/s3: bucket notifications in, jobs out.

A store retries whatever is not answered 2xx, and sends nothing behind it. So an authentic
event is answered 2xx whenever sending it again would change nothing: decoded and published, or
written down as undecodable. Only trouble that passes (broker, ledger or store away) is a 503.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import structlog
from fastapi import Depends

from marea.errors import BrokerUnavailable, MareaError, TransientError
from marea.gateway.limits import read_body
from marea.gateway.metrics import count_events
from marea.gateway.parts import Gateway, GatewayDependency
from marea.gateway.views import EventReport
from marea.intake.s3_notification import MalformedEvent, Parsed, parse_notification
from marea.lifecycle.accept import Accepted
from marea.messages.upload_event import UploadEvent
from marea.routing.route import UploadFacts

log = structlog.get_logger("marea.gateway")

Pair = tuple[UploadFacts, Accepted]

REPORTED_JOBS = 1_000
"""Ids in one reply; a store does not read it, a person may."""
NOTED_UPLOADS = 20
"""Unrouted uploads spelt out in one note; the note has the count of all."""
NOTED_CHARACTERS = 2_000
"""Of an undecodable body; enough to see its shape, and a note is kept 1,000 times."""


def post_events(
    gateway: GatewayDependency, body: Annotated[bytes, Depends(read_body)]
) -> EventReport:
    """Hear of uploads. Takes the bodies of MinIO, RustFS, AWS S3, Ceph, EventBridge, SNS and SQS.

    Answered when the broker has confirmed every job; 503 if it did not, to be sent again.
    """
    settings = gateway.settings
    try:
        parsed = parse_notification(
            body, max_events=settings.max_events_per_body, max_depth=settings.max_json_depth
        )
    except MalformedEvent as exc:
        parsed = Parsed(problems=(str(exc),))
    uploads = [event for event in parsed.events if event.kind == "created"]
    accepted, problems = _accept(gateway, [_facts(gateway, event) for event in uploads])
    _require_confirmed(accepted)
    if parsed.problems:
        _note(gateway, "undecodable", problems=list(parsed.problems), **_evidence(body))
    if parsed.subscription is not None:
        log.warning("a topic asks to be confirmed", topic=parsed.subscription.topic)
        _note(
            gateway,
            "subscription",
            topic=parsed.subscription.topic,
            confirm_at=parsed.subscription.url,
        )
    return _report(gateway, parsed, accepted, problems)


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


def _accept(gateway: Gateway, uploads: Sequence[UploadFacts]) -> tuple[list[Pair], list[str]]:
    """Accept all; if the batch fails for good, each alone, so that one upload that no store
    can hold does not make its sender send the whole batch for ever."""
    if not uploads:
        return [], []
    try:
        return list(zip(uploads, gateway.ports.intake.accept(uploads), strict=True)), []
    except TransientError:
        raise
    except MareaError as exc:
        if len(uploads) == 1:
            sentence = f"{exc.code}: {exc}"
            _note(gateway, "undecodable", problems=[sentence], upload=_name(uploads[0]))
            return [], [sentence]
    pairs: list[Pair] = []
    problems: list[str] = []
    for facts in uploads:
        alone, wrong = _accept(gateway, [facts])
        pairs.extend(alone)
        problems.extend(wrong)
    return pairs, problems


def _require_confirmed(pairs: Sequence[Pair]) -> None:
    unconfirmed = sum(not accepted.confirmed for _, accepted in pairs)
    if unconfirmed:
        count_events(unconfirmed=unconfirmed)
        # The rows stay `accepted` in the ledger: sent again or not, the jobs get published.
        raise BrokerUnavailable(
            f"the broker did not confirm the jobs of {unconfirmed} of {len(pairs)} uploads;"
            " send the event again"
        )


def _report(
    gateway: Gateway, parsed: Parsed, pairs: Sequence[Pair], problems: Sequence[str]
) -> EventReport:
    outcomes = Counter(accepted.outcome for _, accepted in pairs)
    unrouted = [facts for facts, accepted in pairs if accepted.outcome == "unrouted"]
    if unrouted:
        names = [_name(facts) for facts in unrouted[:NOTED_UPLOADS]]
        _note(gateway, "unrouted", uploads=len(unrouted), names=names)
    jobs = [job_id for _, accepted in pairs for job_id in accepted.job_ids]
    report = EventReport(
        events=len(parsed.events),
        jobs=jobs[:REPORTED_JOBS],
        routed=outcomes["routed"],
        unrouted=len(unrouted),
        ignored=outcomes["ignored"] + sum(event.kind != "created" for event in parsed.events),
        problems=[*parsed.problems, *problems],
    )
    count_events(
        accepted=report.routed,
        unrouted=report.unrouted,
        ignored=report.ignored,
        undecodable=len(report.problems),
    )
    log.info(
        "event accepted",
        events=report.events,
        jobs=len(jobs),
        unrouted=report.unrouted,
        ignored=report.ignored,
        problems=report.problems[:3],
    )
    return report


def _note(gateway: Gateway, kind: str, **entry: Any) -> None:
    gateway.ports.ledger.note(kind, {"at": gateway.ports.clock.now(), **entry})


def _evidence(body: bytes) -> dict[str, Any]:
    """What a person needs to find out what was sent, and by whom."""
    return {
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "begins": body[:NOTED_CHARACTERS].decode("utf-8", "replace"),
    }


def _name(facts: UploadFacts) -> str:
    return f"{facts.ref.bucket}/{facts.ref.key}"
