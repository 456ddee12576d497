"""`python -m loadtest.slopes` as a person runs it, small: everything is measured, judged, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import require_servers, run_module

from loadtest.slopes import ladder, sweeping
from loadtest.slopes.results import read_json
from marea.up import tools

RUN_S = 90.0
"""Some 17 s on two cores."""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def _servers_are_here() -> None:
    require_servers(tools.find_redis, tools.find_minio)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("_servers_are_here")
def test_a_quick_run_measures_everything_and_its_status_is_its_verdict(tmp_path: Path) -> None:
    figures, picture = tmp_path / "slopes.json", tmp_path / "slopes.png"
    status, shown = run_module(
        "loadtest.slopes", "--quick", "--json", str(figures), "--plot", str(picture), limit_s=RUN_S
    )
    assert figures.exists(), shown[-3000:]
    run = read_json(figures)
    assert not run.partial, shown[-3000:]
    # Times of a busy machine may miss; then the status has to say so.
    assert status == (0 if run.passes else 1), shown[-3000:]
    measures = {each.name: each for each in run.measures}
    assert set(measures) == {*ladder.NOTES, *sweeping.NOTES}
    told = json.loads(figures.read_text(encoding="utf-8"))["measures"]
    assert [each["verdict"] for each in told] == [str(each.growth) for each in run.measures]
    # Bytes are counted, not timed: no machine is too busy for them.
    for name in (ladder.BYTES, ladder.BROKER, ladder.LEDGER):
        assert measures[name].passes, shown[-3000:]
        assert [point.at for point in measures[name].points] == [100, 1_000]
    assert 700 < measures[ladder.BYTES].points[-1].median < 2_300
    assert run.acceptance is not None
    assert run.acceptance.queued == 1_000
    assert run.ended_bytes is not None
    assert 300 < run.ended_bytes < 2_300
    assert picture.read_bytes().startswith(PNG)
    assert picture.with_suffix(".svg").read_text(encoding="utf-8").count("linear") > 0
