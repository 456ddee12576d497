"""Every metric of the gateway and the reconciler, in a registry of its own.

Own registry: what other libraries register in the process-wide one is not ours to publish,
and tests can compare numbers. Names are `marea_<process>_<noun>_<unit>`, or `marea_pool_…` for
what is true of a pool whoever tells it; label values come from closed sets, so that no client
can make series grow without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

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


POOL_GAUGES: Mapping[str, str] = {
    "marea_pool_replicas_wanted": "Replicas that the pool needs, as the autoscaler decided.",
    "marea_pool_replicas": "The pool's scale as it stands.",
    "marea_pool_ready_jobs": "Jobs in the broker that no worker holds.",
    "marea_pool_held_jobs": "Jobs that workers hold, running or fetched ahead.",
    "marea_pool_busy_slots": "Slots that run a job; all slots of a replica without a heartbeat.",
    "marea_pool_work_seconds": "Seconds of one slot that the ready jobs will take, as measured.",
    "marea_pool_arrivals_per_second": "Jobs that arrive, on average.",
    "marea_pool_oldest_seconds": "Age of the oldest ready job.",
    "marea_pool_decision_age_seconds": "Since the autoscaler's last decision about the pool; there"
    " too while the pool is held or the autoscaler is away, when the others are absent.",
}
"""Names and what they mean; label `pool`."""

PoolFigures = Mapping[str, Mapping[str, float]]
"""By pool and name of a gauge. What is not known is left out."""


def exposition(pools: PoolFigures) -> tuple[bytes, str]:
    """Body and content type of `/metrics`."""
    return generate_latest(REGISTRY) + generate_latest(_PoolGauges(pools)), CONTENT_TYPE_LATEST


class _PoolGauges(Collector):
    """In no registry: they are of one scrape, and gone with it when they are not known."""

    def __init__(self, pools: PoolFigures) -> None:
        self._pools = pools

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, meaning in POOL_GAUGES.items():
            family = GaugeMetricFamily(name, meaning, labels=("pool",))
            for pool, figures in self._pools.items():
                if name in figures:
                    family.add_metric((pool,), figures[name])
            yield family
