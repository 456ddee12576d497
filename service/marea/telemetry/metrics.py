"""Every metric of the gateway and the reconciler, in a registry of its own.

Own registry: what other libraries register in the process-wide one is not ours to publish,
and tests can compare numbers. Names are `marea_<process>_<noun>_<unit>`; label values come
from closed sets, so that no client can make series grow without bound.
"""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

REGISTRY = CollectorRegistry()

# A publish to RabbitMQ's quorum queues is confirmed in about 1 ms on local disk and in tens
# of milliseconds under load; 10 s is the publish timeout.
REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# From an empty bucket to ten million objects at 1,000 a page and about 20 ms a page.
SWEEP_BUCKETS_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

GATEWAY_EVENTS = Counter(
    "marea_gateway_events_total",
    "Bucket events by what became of them: accepted, duplicate, unrouted, ignored,"
    " undecodable, refused.",
    ("outcome",),
    registry=REGISTRY,
)
GATEWAY_REQUESTS = Histogram(
    "marea_gateway_requests_seconds",
    "From the first byte of a request to the last of its reply, by route and status class.",
    ("route", "status"),
    buckets=REQUEST_BUCKETS_S,
    registry=REGISTRY,
)

RECONCILER_DONE = Counter(
    "marea_reconciler_done_total",
    "Things a duty of the reconciler did, e.g. messages requeued or notifications sent.",
    ("duty",),
    registry=REGISTRY,
)
RECONCILER_FAILURES = Counter(
    "marea_reconciler_failures_total",
    "Turns of a duty that ended in trouble; the next turn tries again.",
    ("duty",),
    registry=REGISTRY,
)
RECONCILER_REPUBLISHED = Counter(
    "marea_reconciler_republished_total",
    "Jobs published again, by the evidence that their message was lost: overtaken, shortfall,"
    " epoch, sweep.",
    ("evidence",),
    registry=REGISTRY,
)
RECONCILER_REQUEUED = Counter(
    "marea_reconciler_requeued_total",
    "Messages put back that dead workers had held.",
    registry=REGISTRY,
)
SWEEP_SECONDS = Histogram(
    "marea_reconciler_sweep_seconds",
    "Duration of a full sweep of the source buckets against the records.",
    buckets=SWEEP_BUCKETS_S,
    registry=REGISTRY,
)
SWEEP_LAG = Gauge(
    "marea_reconciler_sweep_lag_seconds",
    "Age of the last full sweep's start: an upload that no event announced may wait that long.",
    registry=REGISTRY,
)
MISSING = Gauge(
    "marea_reconciler_missing",
    "Versions that the last full sweep found with neither a record nor a job under way.",
    registry=REGISTRY,
)


def exposition() -> tuple[bytes, str]:
    """Body and content type of `/metrics`."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
