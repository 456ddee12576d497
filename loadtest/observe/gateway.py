"""What the gateway tells whoever asks: its metrics, and the autoscaler's decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from loadtest.observe.look import Look, Unseen
from loadtest.runs.data import Decision

TIMEOUT_S = 5.0
EVENTS_ROUTE = "/events/s3"
HISTORY = 500
"""Decisions asked for of each pool: as many as the gateway gives at once."""
BEFORE_S = 60.0
"""A minute of what was decided before the load is told too."""

Metrics = Mapping[str, list[tuple[Mapping[str, str], float]]]
"""Sample name -> labels and value of each series."""

_POOL_GAUGES = {
    "marea_pool_ready_jobs": "ready",
    "marea_pool_held_jobs": "unacked",
    "marea_pool_replicas": "wanted",
}


@dataclass(frozen=True, slots=True)
class EventAnswers:
    """How the gateway answered the store's events so far: a histogram's buckets."""

    count: float
    at_most: Mapping[float, float]
    """Seconds -> how many took no longer."""

    def since(self, before: EventAnswers) -> EventAnswers:
        return EventAnswers(
            self.count - before.count,
            {bound: n - before.at_most.get(bound, 0.0) for bound, n in self.at_most.items()},
        )

    def quantile(self, share: float) -> float | None:
        """The least bound that `share` of the answers kept; None without any, or above all."""
        if self.count <= 0:
            return None
        bounds = sorted(bound for bound in self.at_most if bound != float("inf"))
        return next((each for each in bounds if self.at_most[each] >= share * self.count), None)


class GatewaySource:
    """One gateway. Of several behind one address, each answer is some one's."""

    name = "gateway"

    def __init__(self, url: str, token: str, *, with_backlog: bool) -> None:
        """`with_backlog`: also tell what waits, for want of a broker to ask."""
        self._with_backlog = with_backlog
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)

    def fill(self, look: Look) -> None:
        metrics = self._metrics()
        for name, field in _POOL_GAUGES.items():
            if field == "wanted" or self._with_backlog:
                part: dict[str, int] = getattr(look, field)
                part |= {labels["pool"]: int(value) for labels, value in metrics.get(name, [])}

    def event_answers(self) -> EventAnswers | None:
        """None if it cannot be told: no answer, or no event so far."""
        try:
            metrics = self._metrics()
        except Unseen:
            return None
        return event_answers(metrics)

    def decisions(self, began_at: float) -> list[Decision]:
        """Every change of scale from `BEFORE_S` before `began_at` on. Raises `Unseen`."""
        found: list[Decision] = []
        for pool in self._get("/v1/scaling").get("pools", {}):
            past = self._get(f"/v1/scaling/{pool}/history?limit={HISTORY}").get("decisions", [])
            try:
                found += _changes(_decision(pool, each, began_at) for each in past)
            except (KeyError, TypeError, ValueError) as exc:
                raise Unseen(f"the gateway tells decisions in another form: {exc!r}") from exc
        recent = [each for each in found if each.at_s >= -BEFORE_S]
        return sorted(recent, key=lambda each: (each.at_s, each.pool))

    def _get(self, path: str) -> dict[str, Any]:
        try:
            answer = self._http.get(path)
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise Unseen(f"the gateway did not answer {path}: {exc}") from exc
        return body

    def _metrics(self) -> Metrics:
        try:
            answer = self._http.get("/metrics")
            answer.raise_for_status()
            return parse_metrics(answer.text)
        except (httpx.HTTPError, ValueError) as exc:
            raise Unseen(f"the gateway's metrics cannot be read: {exc}") from exc


def parse_metrics(text: str) -> Metrics:
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def event_answers(metrics: Metrics) -> EventAnswers | None:
    """The good answers to the store's events; None before the first."""

    def good(name: str) -> Iterable[tuple[Mapping[str, str], float]]:
        rows = metrics.get(f"marea_gateway_requests_seconds_{name}", [])
        return (
            (labels, value)
            for labels, value in rows
            if labels.get("route") == EVENTS_ROUTE and labels.get("status") == "2xx"
        )

    counts = [value for _, value in good("count")]
    if not counts:
        return None
    at_most: dict[float, float] = {}
    for labels, value in good("bucket"):
        bound = float(labels["le"])
        at_most[bound] = at_most.get(bound, 0.0) + value
    return EventAnswers(sum(counts), at_most)


def _decision(pool: str, body: Mapping[str, Any], began_at: float) -> Decision:
    applied = body.get("applied")
    wanted = applied if applied is not None else body.get("replicas")
    return Decision(
        datetime.fromisoformat(str(body["decided_at"])).timestamp() - began_at,
        pool,
        None if wanted is None else int(wanted),
        str(body.get("reason", "")),
    )


def _changes(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Those after which another number of replicas was asked for than before."""
    last: int | None = None
    for each in sorted(decisions, key=lambda each: each.at_s):
        if each.wanted is not None and each.wanted != last:
            yield each
            last = each.wanted
