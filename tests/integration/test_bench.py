"""`python -m loadtest.bench` as a person runs it, small: every contender is measured."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from servers import IN_CI

from loadtest.bench.figures import read_json_lines
from marea.errors import ConfigError
from marea.up import tools

ROOT = Path(__file__).parents[2]
SECTIONS = ("small", "events")
"""Between them: all servers, a contender with a worker, turns, a load on the gateway. The others
take longer."""
RUN_S = 150.0
"""Some 40 s on two cores."""


@pytest.fixture
def _servers_are_here() -> None:
    for find in (tools.find_redis, tools.find_rabbitmq, tools.find_minio):
        try:
            find()
        except ConfigError as exc:
            if IN_CI:
                raise
            pytest.skip(str(exc))


def run_bench(*words: str) -> tuple[int, str]:
    """Its exit status, and what it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.bench", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        shown, _ = process.communicate(timeout=RUN_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # as Ctrl+C: it ends what it started
            process.wait()
    return process.returncode, shown


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("_servers_are_here")
def test_a_quick_run_measures_every_contender_and_shows_a_table(tmp_path: Path) -> None:
    status, shown = run_bench("--quick", *SECTIONS, "--out", str(tmp_path))
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
