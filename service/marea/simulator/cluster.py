"""What every scaler meets alike: how long pods take to start, nodes, redelivery."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

Z_95 = 1.6449
"""The 95th percentile of a standard normal distribution."""


START_MEDIAN_S = 6.0
P95_OF_MEDIAN = 2.5
"""6 and 15 s are assumed for a warm node with the image on it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A start is from the pod's creation to its first job, on a node that is there."""

    start_median_s: float = START_MEDIAN_S
    start_p95_s: float = START_MEDIAN_S * P95_OF_MEDIAN
    node_min_s: float = 60.0
    node_max_s: float = 120.0
    pods_per_node: int = 10
    """Arbitrary."""
    exit_s: float = 1.0
    """An idle worker's, from SIGTERM to gone. Assumed, not measured."""
    redelivery_s: float = 0.0
    """After SIGKILL, until another worker may have the message. RabbitMQ: at once. Redis under
    plain Celery: its visibility timeout, 3,600 s by default. At once favours who kills."""

    def start_s(self, rng: random.Random) -> float:
        """One pod's start on a node that is there: lognormal through median and p95."""
        sigma = math.log(self.start_p95_s / self.start_median_s) / Z_95
        return rng.lognormvariate(math.log(self.start_median_s), sigma)


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """How the workers are set up where a scaler is used."""

    prefetch_per_slot: int = 1
    """Unacknowledged messages per slot, the running one included (late acknowledgement)."""
    grace_s: float = 30.0
    """Kubernetes' default between SIGTERM and SIGKILL."""


class Nodes:
    """Room for pods: some at once, more on new nodes that take a while and then stay."""

    def __init__(self, cluster: Cluster, warm_pods: int | None, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._is_unlimited = warm_pods is None
        self._nodes: list[list[float]] = [[0.0, float(warm_pods or 0)]]

    def place(self, now: float) -> tuple[int, float]:
        """Which node a new pod gets, and when that node is there."""
        if self._is_unlimited:
            return 0, now
        for number, node in enumerate(self._nodes):
            if node[1] >= 1:
                node[1] -= 1
                return number, max(now, node[0])
        ready_s = now + self._rng.uniform(self._cluster.node_min_s, self._cluster.node_max_s)
        self._nodes.append([ready_s, self._cluster.pods_per_node - 1.0])
        return len(self._nodes) - 1, ready_s

    def leave(self, number: int) -> None:
        """A pod's room is free again."""
        self._nodes[number][1] += 1
