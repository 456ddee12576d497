"""A hundred random kills: whatever dies, and however often, every upload comes to its end."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from journey import Journey, journey, tell
from victims import WEIGHTS, kill_one, living

KILLS = int(os.environ.get("JOURNEY_KILLS", "50"))
"""Per broker."""
PAUSE_S = (0.1, 1.2)
PATIENCE_S = 3.0
"""Before a kill: a random pause once all are back, or once this is over. So most kills meet a
platform at work, and some one that is still on its way back."""
UPLOADS_PER_S = 6.0
LOOK_S = 0.1


@pytest.mark.timeout(60 + 4 * KILLS + 150)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_every_upload_ends_right_through_random_kills_of_everything(
    broker: str, folder: Path
) -> None:
    chance = random.Random(f"kills on {broker}")
    killed: Counter[str] = Counter()
    with journey(folder, broker) as run:
        with run.uploads(seed=1, per_s=UPLOADS_PER_S):
            while killed.total() < KILLS:
                wait_for_everything(run)
                time.sleep(chance.uniform(*PAUSE_S))
                if victim := kill_one(run.platform.pid, chance):
                    killed[victim] += 1
                if killed.total() % 10 == 0:
                    tell(f"{killed.total()} kills: {dict(killed)}")
        tell(f"{killed.total()} kills: {dict(killed)}")
        run.settle()
        run.judge()


def wait_for_everything(run: Journey) -> None:
    wanted = WEIGHTS.keys() - ({"rabbitmq"} if run.broker == "redis" else set())
    deadline = time.monotonic() + PATIENCE_S
    while wanted - living(run.platform.pid).keys() and time.monotonic() < deadline:
        time.sleep(LOOK_S)
