"""What the reconciler says while something is away: once that it waits, once that it goes on."""

from __future__ import annotations

import pytest
import structlog
from reconciler_bench import Bench

from marea.errors import BacklogUnavailable


def test_a_duty_that_waits_says_so_once_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    depths = bench.broker.depths

    def uncountable(_pools: object) -> object:
        raise BacklogUnavailable("the broker is away")

    with structlog.testing.capture_logs() as lines:
        monkeypatch.setattr(bench.broker, "depths", uncountable)
        for _ in range(20):  # a tick a second, a reading every five
            bench.reconciler.tick()
            bench.clock.sleep(1.0)
        waiting = [line["event"] for line in lines if line.get("duty") == "evidence"]
        monkeypatch.setattr(bench.broker, "depths", depths)
        for _ in range(10):
            bench.reconciler.tick()
            bench.clock.sleep(1.0)

    assert waiting == ["duty waits"]
    assert [line["event"] for line in lines if line.get("duty") == "evidence"] == [
        "duty waits",
        "duty goes on",
    ]
