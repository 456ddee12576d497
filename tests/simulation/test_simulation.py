"""Seeded storms over the real procedures, judged by the stand-alone checker.

`SIMULATION_SEEDS=10000 pytest tests/simulation` runs more of them; a failing seed is
named and replays exactly.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.world import Weather, World

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "400"))
WEATHERS = {
    "mixed": Weather(),
    "calm": Weather(
        fault=0,
        lose_event=0,
        double_event=0,
        worker_crash=0,
        gateway_crash=0,
        broker_wipe=0,
        ledger_wipe=0,
        drop_message=0,
    ),
    "ambiguous replies": Weather(fault=0.15, worker_crash=0, broker_wipe=0, ledger_wipe=0),
    "dying workers": Weather(fault=0, worker_crash=0.06),
    "one hot key": Weather(keys=1, bodies=2, operations=15),
    "lost data": Weather(broker_wipe=0.02, ledger_wipe=0.02, fault=0.01),
    # Equal bytes excuse a second store of a result; here there are none.
    "distinct contents": Weather(bodies=100_000, keys=2, fault=0.1),
    "no versions": Weather(versioned=False, delete=0.0, operations=12),
}


@pytest.mark.parametrize("weather", WEATHERS.values(), ids=WEATHERS)
def test_every_upload_ends_once_and_right_whatever_the_weather(weather: Weather) -> None:
    for seed in range(max(1, SEEDS // len(WEATHERS))):
        world = World(seed, weather)
        verdict = world.run()
        assert verdict.is_valid, f"seed {seed}: {verdict.findings}\n" + "\n".join(
            world.trace[-400:]
        )


def test_the_same_seed_is_the_same_run() -> None:
    traces = []
    for _ in range(2):
        world = World(7)
        world.run()
        traces.append(world.trace)
    assert traces[0] == traces[1]
