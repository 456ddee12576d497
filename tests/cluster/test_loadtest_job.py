"""The load test as a Job: installed with the platform, it waits, runs, and leaves a report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cluster_lab import CommandFailed, Lab
from installation import QUICK, Installation, installed, tell
from waiting import wait_until

from loadtest.collect import StoreAddress, open_client
from loadtest.evidence import VIOLATIONS
from loadtest.runs.data import Run
from loadtest.runs.folder import load_run

IMAGE = "marea/marea:dev-load"
JOB_LIMIT_S = 420
"""Arbitrary, above its own: 120 s of waiting, 10 s of load, 90 s for results, and the report."""

OWN: dict[str, str] = {
    "load.yaml": """
about: A short peak from inside the cluster.
shape: {name: peak, base_per_s: 2, times: 5, before_s: 3, peak_s: 4, after_s: 3}
ways: {s3: 6, presigned: 2, job: 1}
files: {tiny: 6, thumb: 3, broken: 1}
keys: {folders: 5, skew: 1.0, new_versions: 0.1, repeats: 0.05}
senders: 8
watchers: 1
settle_s: 90
""",
    "expect.yaml": "provenance: the checker alone judges\nlimits: []\n",
}
LOAD: dict[str, Any] = {
    "enabled": True,
    "scenario": "from-inside",
    "scenarioFiles": OWN,
    "waitSeconds": 120,
    "activeDeadlineSeconds": 360,
}
# With the autoscaler, whose readings the gateway tells: the Job does not ask the broker itself.
VALUES: dict[str, Any] = QUICK | {"autoscaler": {"mode": "builtin"}, "loadtest": LOAD}


@pytest.fixture(scope="module")
def run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    lab.build(IMAGE, EXTRAS="load")
    lab.load(IMAGE)
    with installed(lab, "load-job", tmp_path_factory.mktemp("load-job"), VALUES) as installation:
        yield installation


def ended(run: Installation, name: str) -> dict[str, Any]:
    """The Job `name` once it has succeeded or failed."""

    def is_over() -> bool:
        status = json.loads(run.kubectl("get", "job", name, "--output=json"))["status"]
        return any(each["status"] == "True" for each in status.get("conditions", ()))

    wait_until(is_over, f"{name} is over: {log_of(run, name)}", timeout_s=JOB_LIMIT_S, poll_s=1.0)
    return dict(json.loads(run.kubectl("get", "job", name, "--output=json"))["status"])


def log_of(run: Installation, name: str) -> str:
    try:
        return run.kubectl("logs", f"job/{name}", "--tail=-1")
    except CommandFailed as exc:  # its pod is being made
        return str(exc)


def job_name(run: Installation) -> str:
    (job,) = run.objects("jobs", "--selector=app.kubernetes.io/component=loadtest")
    return str(job["metadata"]["name"])


def reports(run: Installation) -> dict[str, list[str]]:
    """Folder of a report → its files, as the uploader lists them."""
    found: dict[str, list[str]] = {}
    pages = open_client(run.store).get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=run.buckets[1], Prefix=".marea/loadtest/"):
        for row in page.get("Contents", ()):
            folder, _, name = row["Key"].rpartition("/")
            found.setdefault(folder, []).append(name)
    return found


def fetched(run: Installation, folder: str, names: list[str], place: Path) -> Run:
    """The run of a stored report, read back."""
    client = open_client(run.store)
    for name in names:
        body = client.get_object(Bucket=run.buckets[1], Key=f"{folder}/{name}")["Body"].read()
        (place / name).write_bytes(body)
    return load_run(place)


def test_it_waits_for_the_platform_runs_and_leaves_a_report_that_says_valid(
    run: Installation, tmp_path: Path
) -> None:
    name = job_name(run)
    status = ended(run, name)
    log = log_of(run, name)
    assert status.get("succeeded") == 1, log
    ((folder, names),) = reports(run).items()
    tell(f"{run.namespace}: {folder}: {', '.join(names)}")
    assert folder.startswith(".marea/loadtest/from-inside-")
    assert {"report.html", "report.png", "run.json", "history.jsonl", "sends.jsonl"} <= set(names)
    assert f"Stored: s3://{run.buckets[1]}/{folder}/" in log
    stored = fetched(run, folder, names, tmp_path)
    assert stored.partial == ""
    assert stored.checker["valid"] is True, stored.checker
    assert {kind: stored.checker[kind] for kind in VIOLATIONS} == dict.fromkeys(VIOLATIONS, 0)
    assert {send.way for send in stored.sends} == {"s3", "presigned", "job"}
    assert all(send.outcome == "ok" for send in stored.sends)
    # By its Role it saw the pools, and by the gateway what waited there.
    assert any(sample.replicas for sample in stored.samples), stored.notes
    assert any(sample.ready for sample in stored.samples), stored.notes
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    if keep := os.environ.get("MAREA_LOAD_REPORT"):
        (Path(keep) / "from-inside.html").write_bytes((tmp_path / "report.html").read_bytes())


def test_the_platform_counts_the_report_neither_as_an_upload_nor_as_a_result(
    run: Installation,
) -> None:
    audit = json.loads(run.marea("audit", "--json"))
    assert (audit["missing"], audit["duplicates"]) == (0, 0), audit


def test_its_key_may_write_reports_and_nothing_else_into_the_results(run: Installation) -> None:
    secret = run.secret("marea-store", "loadtest")
    own = StoreAddress(run.store.endpoint_url, "marea-loadtest", secret)
    client = open_client(own)
    for key in ("a_processed.jpg", ".marea/records/uploads/a.jpg", ".marea/loadtest"):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.put_object(Bucket=run.buckets[1], Key=key, Body=b"x")


def test_another_run_of_the_same_scenario_is_another_job_and_another_report(
    run: Installation,
) -> None:
    before, known = job_name(run), set(reports(run))
    run.upgrade({**VALUES, "loadtest": LOAD | {"run": "again"}})
    name = job_name(run)
    assert name != before
    assert ended(run, name).get("succeeded") == 1, log_of(run, name)
    assert known < set(reports(run))
