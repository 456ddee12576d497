"""The scalers by name, each as its users have it set up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from marea.simulator.cluster import WorkerProfile
from marea.simulator.pool import Pool
from marea.simulator.scaler import Scaler
from marea.simulator.scalers.builtin import BuiltinScaler
from marea.simulator.scalers.hpa import Behaviour, Rules
from marea.simulator.scalers.hpa_alone import HpaScaler
from marea.simulator.scalers.keda import KedaProfile, KedaScaler, Operator
from marea.simulator.scalers.knative import KnativeScaler
from marea.simulator.scalers.lambda_sqs import LambdaScaler

LIST_LENGTH = 5.0
"""KEDA's default `listLength`, messages per replica."""
AIRFLOW_SLOTS = 160
"""Its chart's 10 workers of 16; here the same number of slots in smaller workers."""

PLAIN_CELERY = WorkerProfile(prefetch_per_slot=4)
"""Celery's default multiplier, and Kubernetes' default grace."""
TUNED_CELERY = WorkerProfile(prefetch_per_slot=1, grace_s=600.0)
"""Fetches nothing ahead; the grace of Airflow's chart, the longest that was met in charts."""


def _listed(pool: Pool) -> float:
    return float(pool.ready_messages)


def _in_system(pool: Pool) -> float:
    return float(pool.ready_messages + pool.unacked)


def _airflow(pool: Pool) -> float:
    return float(math.ceil(_in_system(pool) / pool.spec.slots))


KEDA = KedaProfile(
    metric=_listed,
    target=lambda _: LIST_LENGTH,
    operator=Operator(),
    behaviour=None,
    worker=PLAIN_CELERY,
)
"""Out of the box: what LLEN says, each 30 s, five minutes to cool down."""

KEDA_TUNED = KedaProfile(
    metric=_in_system,
    target=lambda pool: float(pool.spec.slots),
    operator=Operator(polling_s=5.0, cooldown_s=60.0),
    behaviour=Behaviour(
        up=Rules(window_s=0.0, percent=100), down=Rules(window_s=60.0, percent=100)
    ),
    worker=TUNED_CELERY,
)
"""By somebody who knows it: ready and unacknowledged, target = slots, short windows."""

KEDA_STEEP = replace(
    KEDA_TUNED,
    behaviour=Behaviour(
        up=Rules(window_s=0.0, percent=None, pods=100), down=Rules(window_s=60.0, percent=100)
    ),
)
"""As tuned, and from 1 to any number in one sync: the best that its settings allow on a burst."""

AIRFLOW = KedaProfile(
    metric=_airflow,
    target=lambda _: 1.0,
    operator=Operator(polling_s=5.0, cooldown_s=30.0),
    behaviour=None,
    worker=TUNED_CELERY,
    max_slots=AIRFLOW_SLOTS,
)
"""The official chart's values: queued and running tasks over a worker's concurrency."""

ORACLE = "oracle"

SCALERS: dict[str, Callable[[], Scaler]] = {
    "builtin": BuiltinScaler,
    "keda": lambda: KedaScaler(KEDA),
    "keda-tuned": lambda: KedaScaler(KEDA_TUNED),
    "hpa": lambda: HpaScaler(LIST_LENGTH, PLAIN_CELERY),
    "airflow": lambda: KedaScaler(AIRFLOW),
    "knative": KnativeScaler,
    "lambda": LambdaScaler,
}

NAMES = (*SCALERS, ORACLE)
"""Compared when nothing is said."""

EXTRA: dict[str, Callable[[], Scaler]] = {"keda-steep": lambda: KedaScaler(KEDA_STEEP)}
"""Compared when asked for by name."""
