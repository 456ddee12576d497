"""Ctrl-C in the middle of a run, and a second `marea up` on the same folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from journey import QUICK, journey, tell

from loadtest.demo.corpus import RULES_FILE
from loadtest.platform import Platform, PlatformError

BURST = 60
"""Uploads at once: most of them still wait in the queue when Ctrl-C comes."""
STOP_S = 30.0
"""Well below the grace of 180 s: no job here takes longer than a second."""


@pytest.mark.timeout(180)
def test_a_run_interrupted_by_ctrl_c_goes_on_where_it_stopped(folder: Path) -> None:
    with journey(folder, "redis") as run:
        assert_a_second_platform_is_refused(folder)
        run.upload(seed=3, count=BURST)
        waiting = run.open_uploads()
        began = time.monotonic()
        assert run.stop() == 0
        took_s = time.monotonic() - began
        tell(f"stopped after {took_s:.1f} s with {len(waiting)} of {BURST} uploads open before")
        assert took_s < STOP_S
        assert waiting, "nothing was under way: the burst is too small to show anything"
        run.start()
        run.settle()
        run.judge()
        # A clean stop costs no work: what ran was finished, what waited stayed in the queue.
        again = [row.job.ref.key for row in run.rows() if row.attempts > 1 or row.suspects]
        assert not again


def assert_a_second_platform_is_refused(folder: Path) -> None:
    second = Platform(folder / "data", "redis", RULES_FILE, folder / "second.log", QUICK)
    with pytest.raises(PlatformError, match="is in use by another `marea up`") as refusal:
        second.start()
    tell(str(refusal.value).splitlines()[-1])
    assert second.stop() == 2
