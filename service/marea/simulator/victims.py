"""Whom a ReplicaSet removes first, as `pkg/controller/controller_utils.go` of Kubernetes orders.

Without a node, then Pending, then NotReady, then lower deletion cost, then ready for less time
(in powers of two), then a tie that the code breaks by UID: random. What a pod is doing is not
looked at. More pods of the same set on a node and restarts, two criteria in between, are not
modelled: all our pods spread alike and none restarts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from marea.simulator.pod import Phase, Pod

_ORDER = {Phase.PENDING: 0, Phase.STARTING: 1, Phase.READY: 2}


def victims(pods: Iterable[Pod], count: int, now: float) -> list[Pod]:
    """The `count` pods that go if the scale is lowered by that many now."""

    def rank(pod: Pod) -> tuple[int, int, int, float]:
        return (_ORDER[pod.phase], pod.cost, _age_bucket(pod, now), pod.tie)

    return sorted(pods, key=rank)[: max(0, count)]


def _age_bucket(pod: Pod, now: float) -> int:
    """log2 of how long it is ready; one that is not counts as the youngest."""
    if pod.ready_s is None:
        return -1
    return int(math.log2(max(1.0, now - pod.ready_s)))
