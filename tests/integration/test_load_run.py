"""A load run from beginning to end: Locust sends to a real platform, the checker judges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from up_process import UpProcess, skip_without_servers
from waiting import wait_until

from loadtest.evidence import VIOLATIONS
from loadtest.history import load_history
from loadtest.platform import load_environment
from loadtest.runs.data import Run
from loadtest.runs.figures import figures_of
from loadtest.runs.folder import load_run
from loadtest.scenario import load_scenario
from loadtest.schedule import draw_schedule
from marea.up.servers import free_port

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[2]
LIMIT_S = 120

QUICK: dict[str, Any] = {
    "about": "A moment of thumbnails.",
    "shape": {"name": "steady", "per_s": 20, "for_s": 3},
    "files": {"tiny": 1},
    "senders": 8,
    "watchers": 0,
    "settle_s": 60,
}


def loadtest(*words: str, environment: dict[str, str] | None = None) -> Any:
    """`python -m loadtest` as a person calls it."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("MAREA_")}
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *words],
        cwd=ROOT,
        env={**own, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def scenario(folder: Path, load: dict[str, Any], *limits: dict[str, Any]) -> str:
    """The path of a scenario's folder with these settings."""
    folder.mkdir()
    (folder / "load.yaml").write_text(yaml.safe_dump(load))
    expect = {"provenance": "of a test", "limits": list(limits)}
    (folder / "expect.yaml").write_text(yaml.safe_dump(expect))
    return str(folder)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    skip_without_servers()
    platform = UpProcess(tmp_path_factory.mktemp("load"), {})
    try:
        platform.start("--workers", "1", "--max-replicas", "2", "--json")
        yield platform
    finally:
        platform.stop()


def environment_file(up: UpProcess) -> str:
    return str(next(up.folder.rglob("marea.env")))


def test_a_short_peak_is_accepted_worked_off_and_judged_and_its_report_is_written(
    tmp_path: Path,
) -> None:
    """As `make load SCENARIO=short` does it, with a platform of its own."""
    skip_without_servers()
    folder = tmp_path / "run"

    ended = loadtest("run", "short", "--out", str(folder), "--json")

    assert ended.returncode == 0, ended.stderr
    run, figures = load_run(folder), figures_of(load_run(folder))
    planned = len(draw_schedule(load_scenario("short").load, "load/"))
    assert (len(run.sends), figures["uploads"], figures["failed_uploads"]) == (planned, planned, 0)
    assert run.checker["valid"]
    assert run.checker["checked"] == planned
    assert [run.checker[kind] for kind in VIOLATIONS] == [0] * len(VIOLATIONS)
    assert {send.way for send in run.sends} == {"s3", "presigned", "job"}
    assert_seen_from_outside(run)
    body = json.loads(ended.stdout)
    assert body["figures"]["uploads"] == planned
    assert all(limit["kept"] for limit in body["limits"])
    assert "PASSED" in (folder / "report.html").read_text()
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "data").exists(), "its platform left nothing behind"


def assert_seen_from_outside(run: Run) -> None:
    """Every job has its four times, and the samples know who used the machine."""
    ran = [job for job in run.jobs if job.state in ("done", "rejected")]
    assert ran
    for job in ran:
        times = (job.uploaded_s, job.accepted_s, job.started_s, job.finished_s, job.recorded_s)
        assert None not in times, job
    roles = {role for sample in run.samples for role in sample.cpu}
    assert {"gateway", "worker-images", "store", "broker", "generator"} <= roles
    assert any(sample.memory.get("worker-images") for sample in run.samples)
    assert all("images" in sample.ready for sample in run.samples[2:])
    assert any(sample.replicas.get("images") for sample in run.samples)


def test_a_master_and_its_workers_share_a_schedule_and_a_broken_limit_fails_the_run(
    up: UpProcess, tmp_path: Path
) -> None:
    path = scenario(
        tmp_path / "shared", QUICK, {"figure": "uploads", "at_most": 1, "why": "to be broken"}
    )
    folder = tmp_path / "run"

    ended = loadtest(
        *("run", path, "--env", environment_file(up), "--out", str(folder), "--workers", "2")
    )

    assert ended.returncode == 1, ended.stderr
    run = load_run(folder)
    planned = len(draw_schedule(load_scenario(path).load, "load/"))
    assert sorted(send.number for send in run.sends) == list(range(planned)), "each once"
    assert run.checker["valid"]
    assert run.checker["checked"] == planned
    assert "NOT KEPT" in ended.stderr
    page = (folder / "report.html").read_text()
    assert "FAILED" in page
    assert "to be broken" in page


def test_an_interrupted_run_is_judged_by_what_was_sent_and_says_that_it_is_partial(
    up: UpProcess, tmp_path: Path
) -> None:
    long = {**QUICK, "shape": {"name": "steady", "per_s": 20, "for_s": 300}}
    path = scenario(tmp_path / "long", long)
    folder = tmp_path / "run"
    run = interrupted(up, path, folder, sent_bytes=2000)
    assert run.partial.startswith("interrupted")
    assert run.checker["valid"]
    assert run.checker["checked"] == len(run.sends) > 0
    assert "PARTIAL" in (folder / "report.html").read_text().upper()


def interrupted(up: UpProcess, path: str, folder: Path, *words: str, sent_bytes: int) -> Run:
    """The run of a scenario that gets Ctrl-C once its senders have written so much."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "loadtest", "run", path),
            *("--env", environment_file(up), "--out", str(folder), *words),
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    sends = folder / "sends.jsonl"

    def has_begun() -> bool:
        return sends.exists() and sends.stat().st_size > sent_bytes

    wait_until(has_begun, "some uploads were sent", timeout_s=60, poll_s=0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)

    assert process.returncode == 130, said
    return load_run(folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_of_senders_that_are_late_an_interruption_leaves_no_upload_that_nobody_wrote_down(
    up: UpProcess, tmp_path: Path, workers: int
) -> None:
    """Each sender begins its next upload at once, also in the moment of the interruption."""
    late = {**QUICK, "shape": {"name": "steady", "per_s": 400, "for_s": 100}, "senders": 32}
    path = scenario(tmp_path / "late", late)
    run = interrupted(up, path, tmp_path / "run", f"--workers={workers}", sent_bytes=20_000)
    assert any(send.late_s > 0.1 for send in run.sends)
    assert run.checker["checked"] == len(run.sends) > 0


@contextmanager
def locust_page(up: UpProcess, folder: Path, path: str) -> Iterator[str]:
    """The address of Locust's own page for this scenario, as the docs start it."""
    port = free_port()
    variables = load_environment(Path(environment_file(up)))
    with (folder / "locust.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest/locustfile.py")),
                *("--scenario", path, "--web-host", "127.0.0.1", "--web-port", str(port)),
            ],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    page = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(page), "Locust's page is there", timeout_s=30, poll_s=0.2)
        yield page
    finally:
        process.terminate()
        process.wait(30)


def answers(page: str) -> bool:
    try:
        return httpx.get(page).status_code == 200
    except httpx.HTTPError:
        return False


def test_locusts_page_starts_a_load_and_then_another_under_keys_of_its_own(
    up: UpProcess, tmp_path: Path
) -> None:
    path = scenario(tmp_path / "paged", QUICK)
    planned = len(draw_schedule(load_scenario(path).load, "load/"))
    out = tmp_path / "load-out"
    prefixes: set[str] = set()
    with locust_page(up, tmp_path, path) as page:
        for times in (1, 2):
            assert httpx.post(f"{page}/swarm", data={"user_count": "1"}).json()["success"]

            def all_sent(wanted: int = times * planned) -> bool:
                history = out / "history.jsonl"
                return history.exists() and history.read_text().count("\n") == wanted

            wait_until(all_sent, f"load {times} was sent", timeout_s=30, poll_s=0.2)
            prefixes.add(json.loads((out / "load.json").read_text())["prefix"])

            def is_over() -> bool:
                state: str = httpx.get(f"{page}/stats/requests").json()["state"]
                return state == "stopped"

            wait_until(is_over, "Locust has stopped by itself", timeout_s=30, poll_s=0.2)
    assert len(prefixes) == 2
    operations = load_history(out / "history.jsonl")
    assert len({operation.key for operation in operations}) == 2 * planned
    assert {operation.outcome for operation in operations} == {"ok"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:9"}, "nothing answers at"),
        ({"LOADTEST_SOURCE_BUCKET": "no-such-bucket"}, "there is no bucket 'no-such-bucket'"),
        ({"MAREA_STORE__SECRET_KEY": "wrong"}, "check MAREA_STORE__ACCESS_KEY"),
        ({"LOADTEST_API_TOKEN": "wrong"}, "refuses the token"),
        ({"LOADTEST_GATEWAY_URL": "http://127.0.0.1:9"}, "no gateway answers at"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_a_sentence_before_the_first_request(
    up: UpProcess, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    path = scenario(tmp_path / "forms", {**QUICK, "ways": {"presigned": 1}})
    file = tmp_path / "wrong.env"
    text = Path(environment_file(up)).read_text()
    file.write_text(text + "".join(f"{name}='{value}'\n" for name, value in variables.items()))

    ended = loadtest("run", path, "--env", str(file), "--out", str(tmp_path / "run"))

    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "sends.jsonl").exists()
