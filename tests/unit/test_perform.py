"""Who watches a performer is told of each effect, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from marea.clock import Clock, FakeClock
from marea.errors import ObjectGone
from marea.lifecycle import effects as fx
from marea.messages.objects import ObjectRef
from marea.perform import Performer, Ports
from marea.pipelines.pipeline import Produced, Source
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.storage.memory import MemoryObjectStore

STARTED = 1000.0
SECONDS = 2.5


class SlowPipeline:
    """Takes `SECONDS` of its clock and tells of its stages."""

    name, digest, pool, max_bytes = "slow", "0" * 16, "images", 1000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def result_keys(self, key: str) -> tuple[str, ...]:
        return (key,)

    def run(self, source: Source) -> Produced:
        self._clock.sleep(SECONDS)
        return Produced((), timings_s={"decode": 0.5, "encode": 2.0})


def performer_with(seen: list[tuple[Any, ...]] | None) -> Performer:
    clock = FakeClock(STARTED)
    store = MemoryObjectStore(clock)
    store.create_bucket("uploads", versioned=False)
    ports = Ports(
        clock=clock,
        store=store,
        ledger=MemoryLedger(clock),
        publisher=MemoryBroker(),
        pipelines={"slow": SlowPipeline(clock)},
    )
    return Performer(ports, None if seen is None else lambda *told: seen.append(told))


RUN = fx.RunPipeline("slow", Source(b"", "a.txt"))


def test_an_observer_is_told_of_the_effect_its_reply_and_its_time() -> None:
    seen: list[tuple[Any, ...]] = []
    reply = performer_with(seen).perform(RUN)
    assert seen == [(RUN, reply, STARTED, STARTED + SECONDS)]
    assert reply.timings_s == {"decode": 0.5, "encode": 2.0}


def test_an_observer_is_told_what_was_raised_and_it_is_raised_all_the_same() -> None:
    seen: list[tuple[Any, ...]] = []
    fetch = fx.FetchSource(ObjectRef("uploads", "gone.jpg", "", "e", 1), 100)
    with pytest.raises(ObjectGone) as raised:
        performer_with(seen).perform(fetch)
    assert seen == [(fetch, raised.value, STARTED, STARTED)]


def test_without_an_observer_the_reply_is_the_same() -> None:
    assert performer_with(None).perform(RUN) == performer_with([]).perform(RUN)
