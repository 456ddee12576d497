"""`marea up` has as many worker processes as the queue needs, and takes none away from a job."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from up_process import UpProcess, skip_without_servers
from waiting import wait_until

pytestmark = pytest.mark.timeout(120)
PHOTO = Path(__file__).parents[2] / "loadtest" / "demo" / "photos" / "cat.jpg"
BURST = 7
MOST = 3
PROMPT = {
    "MAREA_AUTOSCALER__INTERVAL_S": "0.5",
    "MAREA_AUTOSCALER__DRAIN_S": "10",
    "MAREA_AUTOSCALER__STARTUP_S": "3",
    "MAREA_AUTOSCALER__IDLE_AFTER_S": "1",
    "MAREA_WORKER__HEARTBEAT_S": "1",
    "MAREA_WORKER__LEASE_S": "3",
}
DECLARED = {
    "pipelines": [
        {"name": "waits", "steps": [{"python": "scaling_steps:wait_until_opened"}]},
        {"name": "heavy", "steps": [{"python": "scaling_steps:take_the_worker_along"}]},
    ],
}
RULES = {
    "match": "first",
    "rules": [
        {"name": "heavy", "when": {"prefix": "heavy/"}, "pipelines": ["heavy"]},
        {"name": "rest", "when": {"suffix": ".jpg"}, "pipelines": ["waits"]},
    ],
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    skip_without_servers()
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "pipelines.yaml").write_text(yaml.safe_dump(DECLARED))
    (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
    steps = {"PYTHONPATH": str(Path(__file__).parent), "SCALING_STEPS": str(folder)}
    platform = UpProcess(folder, {**PROMPT, **steps})
    files = ("--rules", "rules.yaml", "--pipelines", "pipelines.yaml")
    try:
        platform.start(*files, "--workers", "1", "--max-replicas", str(MOST), "--json")
        yield platform
    finally:
        (folder / "opened").touch()  # or the end would wait for jobs that wait
        platform.stop()


def workers(up: UpProcess, pool: str) -> list[dict[str, Any]]:
    found = up.marea("status", "--json").document["workers"]
    return [each for each in found if each["pool"] == pool]


def phases(up: UpProcess) -> dict[str, int]:
    counted: dict[str, int] = up.marea("status", "--json").document["jobs"]
    return {phase: count for phase, count in counted.items() if count}


def jobs(up: UpProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = up.marea("jobs", "--json").document["jobs"]
    return found


def submit_copies(up: UpProcess, folder: str, count: int) -> None:
    (up.folder / folder).mkdir()
    for number in range(count):
        shutil.copy(PHOTO, up.folder / folder / f"{number}.jpg")
    ended = up.marea("submit", folder, "--prefix", f"{folder}/", "--json")
    assert ended.status == 0, ended.err


def test_a_burst_brings_worker_processes_which_go_again_and_nothing_is_lost(
    up: UpProcess,
) -> None:
    # All of it is there when the autoscaler looks again.
    with up.standing_still():
        submit_copies(up, "burst", BURST)
        wait_until(lambda: sum(phases(up).values()) == BURST, "all is accepted", poll_s=0.2)

    def all_busy() -> bool:
        found = workers(up, "images")
        return len(found) == MOST and all(each["busy"] == 1 for each in found)

    wait_until(all_busy, f"{MOST} worker processes, each with a job", timeout_s=30, poll_s=0.2)
    explained = up.marea("scaling", "explain", "images", "--json").document["pools"]["images"]
    assert explained["replicas"] == MOST
    assert explained["limiter"] == "max"

    (up.folder / "opened").touch()
    wait_until(lambda: phases(up) == {"done": BURST}, "all is done", timeout_s=20, poll_s=0.2)
    wait_until(lambda: len(workers(up, "images")) == 1, "one is left", timeout_s=40, poll_s=0.2)
    said = up.log_file.read_text()
    assert f"pool images: Scaled from 1 to {MOST}: " in said
    assert said.count("stopping worker-images-") == MOST - 1
    assert "killed" not in said
    assert "ended with status" not in said
    assert [each["attempts"] for each in jobs(up)] == [1] * BURST, "no job was interrupted"
    audit = up.marea("audit", "--json")
    assert (audit.status, audit.document["missing"], audit.document["duplicates"]) == (0, 0, 0)


def test_the_quarantine_gets_a_worker_when_it_has_a_job_and_only_then(up: UpProcess) -> None:
    assert workers(up, "quarantine") == []
    submit_copies(up, "heavy", 1)
    key = "heavy/0.jpg"

    def state() -> str:
        return next((str(each["state"]) for each in jobs(up) if each["key"] == key), "")

    wait_until(lambda: state() == "done", "the job is done", timeout_s=45, poll_s=0.2)
    (heavy,) = [each for each in jobs(up) if each["key"] == key]
    record = up.marea("job", heavy["id"], "--json").document
    assert "quarantine@worker-quarantine-1-" in json.dumps(record)
    wait_until(lambda: workers(up, "quarantine") == [], "it goes", timeout_s=40, poll_s=0.2)
    assert up.stop() == 0
