"""A real autoscaler over somebody's own Celery workers: a burst, its results, and back to nothing.

Replicas are `celery worker` processes of the tutorial's application; nothing of ours runs in them.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from app_workers import AppWorkers, client_of
from celery import Celery, chord
from waiting import wait_until

from marea.autoscaler.compose import build_autoscaler
from marea.clock import SystemClock
from marea.kube.fleets import FleetView, Listed
from marea.results.decisions import known_decisions, past_decisions
from marea.scaling.decision import Decision
from marea.settings import load_settings
from marea.up.redis_server import RedisServer
from marea.wiring import build_ledger

pytestmark = pytest.mark.timeout(120)
SHOP = "shop"
SLOTS = 2
MOST = 3
TASKS = 30
TASK_S = 0.5
SILENT_S = 4.0


@dataclass
class WorkerFleets:
    """`Fleets` of `celery worker` processes. Other pools have no replicas, and are never wanted."""

    workers: AppWorkers
    wanted: int = 0
    announced: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    most: int = 0
    _listed: dict[str, Listed] = field(default_factory=dict)
    _made: int = 0

    def views(self, pools: Sequence[str]) -> Mapping[str, FleetView]:
        seen = {pool: FleetView(0) for pool in pools}
        replicas = tuple(self._listed.values())
        ending = sum(self.workers.running[name].poll() is None for name in self.ended)
        return seen | {SHOP: FleetView(self.wanted, replicas, ending)}

    def scale(self, pool: str, replicas: int, remove: Sequence[str] = (), /) -> None:
        assert pool == SHOP
        self.wanted = replicas
        self.most = max(self.most, replicas)
        for name in (*remove, *self._listed)[: max(0, len(self._listed) - replicas)]:
            self._end(name)
        self._grow()

    def write_costs(self, costs: Mapping[str, int]) -> None:
        """Nothing: they are ended by name."""

    def replace(self, pool: str, replica: str) -> None:
        assert pool == SHOP
        self.replaced.append(replica)
        del self._listed[replica]
        self.workers.kill_one(self.worker(replica))
        self._grow()

    def announce(self, pool: str, sentence: str) -> None:
        assert pool == SHOP
        self.announced.append(sentence)

    def is_leader(self) -> bool:
        return True

    @staticmethod
    def worker(replica: str) -> str:
        return f"{SHOP}@{replica}"

    def _grow(self) -> None:
        while len(self._listed) < self.wanted:
            self._made += 1
            name = f"{SHOP}-{self._made}"
            self.workers.launch(self.worker(name))
            self._listed[name] = Listed(name, "ready", SystemClock().now())

    def _end(self, name: str) -> None:
        del self._listed[name]
        self.workers.terminate(self.worker(name))
        self.ended.append(self.worker(name))


@dataclass
class Shop:
    """The application, and the autoscaler that sizes its pool."""

    client: Celery
    fleets: WorkerFleets
    ledger_url: str
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def size(self) -> None:
        """The autoscaler begins."""
        broker_url = self.fleets.workers.broker_url
        settings = load_settings(
            {},
            overrides={
                "broker": {"url": self.ledger_url},
                "ledger": {"url": self.ledger_url},
                "autoscaler": {
                    "interval_s": 0.5,
                    "drain_s": 5.0,
                    "startup_s": 2.0,
                    "idle_after_s": 1.0,
                    "apps": {
                        SHOP: {
                            "queues": ["celery"],
                            "broker_url": broker_url,
                            "silent_s": SILENT_S,
                        }
                    },
                    "pools": {SHOP: {"slots": SLOTS, "max_replicas": MOST}},
                },
            },
        )
        self.ledger = build_ledger(settings, SystemClock())
        autoscaler = build_autoscaler(settings, self.fleets)
        self._thread = threading.Thread(target=autoscaler.run, args=(self._stop,))
        self._thread.start()

    def end(self) -> None:
        """The autoscaler has ended, and its connections with it."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join(20)
        assert not self._thread.is_alive()

    def wait_for_size(self, replicas: int) -> None:
        wait_until(
            lambda: self.fleets.wanted == replicas, f"{replicas} replicas", timeout_s=45, poll_s=0.1
        )

    def logs(self) -> Mapping[str, str]:
        workers = self.fleets.workers
        return {name: workers.log(name) for name in workers.running}


@pytest.fixture
def shop(broker_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[Shop]:
    backend_url = redis_server.url(3)
    workers = AppWorkers(broker_url, backend_url, tmp_path, concurrency=SLOTS)
    shop = Shop(client_of(broker_url, backend_url), WorkerFleets(workers), redis_server.url(1))
    try:
        yield shop
        shop.end()
    finally:
        workers.kill()
        shop.client.close()


def times_each_task_ended(shop: Shop) -> Mapping[str, int]:
    ended: dict[str, int] = defaultdict(int)
    for log in shop.logs().values():
        for task_id in re.findall(r"Task [\w.]+\[([\w-]+)\] succeeded", log):
            ended[task_id] += 1
    return ended


def test_from_nothing_to_a_burst_and_back_with_every_result_right(shop: Shop) -> None:
    slow = shop.client.signature("tutorial.slow")
    results = [slow.clone((TASK_S,)).delay() for _ in range(TASKS)]
    added = [shop.client.send_task("tutorial.add", (number, 1)) for number in range(10)]
    shop.size()
    shop.wait_for_size(MOST)
    assert [each.get(timeout=60) for each in results] == [TASK_S] * TASKS
    assert [each.get(timeout=30) for each in added] == list(range(1, 11))

    numbers = [shop.client.signature("tutorial.add", (number, number)) for number in range(10)]
    assert chord(numbers)(shop.client.signature("tutorial.total")).get(timeout=30) == 90

    shop.wait_for_size(0)
    workers = shop.fleets.workers
    assert [workers.running[name].wait(20) for name in shop.fleets.ended] == [0] * MOST
    assert len(shop.fleets.ended) == MOST
    ended = times_each_task_ended(shop)
    assert len(ended) == TASKS + 10 + 10 + 1
    assert set(ended.values()) == {1}, "no task was done twice"
    for log in shop.logs().values():
        assert "Restoring" not in log, "nothing was given back"
        assert "Warm shutdown" in log
    assert shop.fleets.replaced == []

    decision: Decision = known_decisions(shop.ledger).of(SHOP)
    assert (decision.replicas, decision.wanted) == (0, 0)
    assert "max" in {each.limiter for each in past_decisions(shop.ledger, SHOP, 100)}
    assert shop.fleets.announced[0].startswith(f"Scaled from 0 to {MOST}: ")


def test_a_worker_that_hangs_is_replaced_and_its_pool_works_on(shop: Shop) -> None:
    shop.size()
    assert shop.client.send_task("tutorial.add", (1, 2)).get(timeout=30) == 3
    (replica,) = shop.fleets._listed
    shop.fleets.workers.freeze(shop.fleets.worker(replica))
    result = shop.client.send_task("tutorial.add", (2, 3))
    wait_until(
        lambda: shop.fleets.replaced == [replica], "it is replaced", timeout_s=30, poll_s=0.1
    )
    # What it had fetched comes back when the broker misses it, which is for its owner to say.
    again = shop.client.send_task("tutorial.add", (3, 4))
    assert again.get(timeout=30) == 7
    result.forget()
