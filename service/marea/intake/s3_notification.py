"""Notification bodies of every store and relay, opened down to their records.

    {"Records": […]}                     AWS, MinIO, RustFS, Ceph   → records
    […]                                  VersityGW, MinIO's Redis   → each of it
    {"detail-type": …, "detail": …}      EventBridge                → one event
    {"Type": "Notification", "Message"}  SNS                        → the message, opened again
    {"Messages": [{"Body": …}]}          SQS; also Lambda's form    → each body, opened again
    {"Event": "s3:TestEvent"}            AWS, on configuration      → nothing

One broken record does not lose the others: it becomes a sentence in `Parsed.problems`. Only
a body of another shape altogether raises. Nothing that a body names is ever fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marea.intake.bounded_json import MalformedJson, parse_json
from marea.intake.malformed_event import MalformedEvent
from marea.intake.records import parse_eventbridge, parse_record
from marea.messages.upload_event import UploadEvent

__all__ = ["MalformedEvent", "Parsed", "SubscriptionRequest", "parse_notification"]

MAX_ENVELOPES = 6
"""Lists and quoted bodies around one record. Services build chains of four (S3's records in
SNS in SQS in Lambda's list)."""
MAX_PROBLEMS = 100
"""Sentences kept of one body; they go into a bounded list of the ledger."""


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """SNS asks whether this endpoint wants a topic. A person confirms it; fetching an address
    that a request names would let its sender choose what we call."""

    topic: str
    url: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body held."""

    events: tuple[UploadEvent, ...] = ()
    problems: tuple[str, ...] = ()
    """One sentence per record that could not be read, at most `MAX_PROBLEMS`."""
    subscription: SubscriptionRequest | None = None


def parse_notification(body: bytes, *, max_events: int, max_depth: int) -> Parsed:
    """Every event in `body`, in its order.

    Raises `MalformedEvent`, and nothing else, if the body as a whole cannot be read, nests
    deeper than `max_depth`, or carries more than `max_events` records.
    """
    reading = _Reading(max_events, max_depth)
    reading.open_bytes(body, envelopes=0)
    return Parsed(tuple(reading.events), tuple(reading.problems), reading.subscription)


@dataclass(slots=True)
class _Reading:
    max_events: int
    max_depth: int
    events: list[UploadEvent] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    subscription: SubscriptionRequest | None = None
    records: int = 0

    def open_bytes(self, body: bytes, envelopes: int) -> None:
        try:
            value = parse_json(body, max_depth=self.max_depth)
        except MalformedJson as exc:
            raise MalformedEvent(str(exc)) from exc
        self.open_value(value, envelopes)

    def open_text(self, value: Any, name: str, envelopes: int) -> None:
        if not isinstance(value, str):
            raise MalformedEvent(f"{name} is missing or not a string")
        # A half surrogate pair cannot be UTF-8; "?" keeps the rest of the batch readable.
        self.open_bytes(value.encode("utf-8", "replace"), envelopes + 1)

    def open_value(self, value: Any, envelopes: int) -> None:
        if envelopes > MAX_ENVELOPES:
            raise MalformedEvent(f"more than {MAX_ENVELOPES} envelopes around the event")
        match value:
            case list():
                self.open_each(value, envelopes)
            case {"Records": list(records)}:
                self.open_each(records, envelopes)
            case {"Records": None, "EventName": str()}:
                pass  # MinIO's spelling of an empty batch
            case {"Messages": list(messages)}:
                self.open_each(messages, envelopes)
            case {"detail-type": _, "detail": _}:
                self.count(1)
                self.events.append(parse_eventbridge(value))
            case {"Type": "Notification"}:
                self.open_text(
                    value.get("Message"), "the Message of the SNS notification", envelopes
                )
            case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation"}:
                self.subscription = SubscriptionRequest(
                    topic=_shown(value.get("TopicArn"), 1024),
                    url=_shown(value.get("SubscribeURL"), 2048),
                )
            case {"Event": "s3:TestEvent"}:
                pass
            case {"Event": list(records), "EventTime": _}:  # MinIO's Redis target, `access` format
                self.open_each(records, envelopes)
            case {"Body": str(text)} | {"body": str(text)}:
                self.open_text(text, "the body of the message", envelopes)
            case {"Sns": dict(notification)}:
                self.open_value({**notification, "Type": "Notification"}, envelopes + 1)
            case {"s3": _}:
                self.events.append(parse_record(value))
            case _:
                raise MalformedEvent(
                    "no notification is recognised: expected Records (S3), detail-type"
                    f" (EventBridge), Type (SNS) or Messages (SQS), got {_outline(value)}"
                )

    def open_each(self, items: list[Any], envelopes: int) -> None:
        self.count(len(items))
        for number, item in enumerate(items, start=1):
            try:
                self.open_value(item, envelopes + 1)
            except MalformedEvent as exc:
                if self.records > self.max_events:
                    raise
                if len(self.problems) < MAX_PROBLEMS:
                    self.problems.append(f"record {number}: {exc}")

    def count(self, more: int) -> None:
        self.records += more
        if self.records > self.max_events:
            raise MalformedEvent(
                f"the body carries more than {self.max_events} records; send smaller batches"
            )


def _outline(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(sorted(map(ascii, value)))
        return f"an object with {names[:200] or 'nothing in it'}"
    return f"a {type(value).__name__}"


def _shown(value: Any, limit: int) -> str:
    """Text for a person and a log; never used as an address."""
    return str(value or "")[:limit].encode("utf-8", "replace").decode("utf-8")
