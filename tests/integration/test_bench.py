"""`python -m loadtest.bench` as a person runs it, small: every contender is measured."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from programs import require_servers, run_module

from loadtest.bench.figures import read_json_lines
from marea.up import tools

SECTIONS = ("small", "events")
"""Between them: all servers, a contender with a worker, turns, a load on the gateway. The others
take longer."""
RUN_S = 150.0
"""Some 40 s on two cores."""


@pytest.fixture
def _servers_are_here() -> None:
    require_servers(tools.find_redis, tools.find_rabbitmq, tools.find_minio)


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("_servers_are_here")
def test_a_quick_run_measures_every_contender_and_shows_a_table(tmp_path: Path) -> None:
    status, shown = run_module(
        "loadtest.bench", "--quick", *SECTIONS, "--out", str(tmp_path), limit_s=RUN_S
    )
    assert status == 0, shown[-3000:]
    machine, results = read_json_lines(tmp_path / "figures.jsonl")
    assert machine["cores"] > 0
    measured = defaultdict(set)
    for figure in results.figures:
        assert min(figure.values) >= 0
        measured[figure.contender].add((figure.section, figure.measure))
    events = {
        ("events", f"{load}, {broker}")
        for load in ("one a request", "100 a request")
        for broker in ("redis", "rabbitmq")
    }
    assert measured["plain Celery"] >= {("small", "copy 1 KB")}
    assert measured["marea"] >= {
        ("small", "copy 1 KB"),
        ("small", "copy 1 KB, by records"),
        *events,
    }
    for section, measure in events:
        figure = results.find(section, measure, "marea")
        assert figure is not None
        assert figure.median > 0
        assert measure in shown
