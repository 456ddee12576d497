"""Every verb of the CLI against a running `marea up`: exit status, JSON, and what people read."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from up_process import UpProcess, skip_without_servers
from waiting import wait_until

pytestmark = pytest.mark.timeout(180)
PHOTO = Path(__file__).parents[2] / "loadtest" / "demo" / "photos" / "cat.jpg"
FAST = {
    # One reading of the buckets at the start; what is removed after it stays removed.
    "MAREA_RECONCILER__SWEEP_INTERVAL_S": "3600",
    "MAREA_RECONCILER__SWEEP_GRACE_S": "0",
    "MAREA_WORKER__MAX_ATTEMPTS": "1",
}


def pipelines(width_px: int) -> str:
    """The user's pipelines; `small` in another definition for each width."""
    return yaml.safe_dump(
        {
            "pipelines": [
                {"name": "small", "steps": [{"resize": {"width": width_px}}]},
                {"name": "dies", "steps": [{"python": "own_steps:die_unless_mended"}]},
                {"name": "waits", "steps": [{"python": "own_steps:wait_until_opened"}]},
            ]
        }
    )


STEPS = Path(__file__).parent


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    skip_without_servers()
    folder = tmp_path_factory.mktemp("cli")
    shutil.copy(PHOTO, folder / "photo.jpg")
    (folder / "pipelines.yaml").write_text(pipelines(64))
    platform = UpProcess(folder, {**FAST, "PYTHONPATH": str(STEPS), "OWN_STEPS": str(folder)})
    try:
        platform.start("--pipelines", "pipelines.yaml", "--json")
        yield platform
    finally:
        platform.stop()


def report(up: UpProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(up.out_file.read_text())
    return found


def store(up: UpProcess) -> Any:
    settings = dict(line.split("=", 1) for line in (up.data / "marea.env").read_text().splitlines())
    return boto3.client(
        "s3",
        endpoint_url=settings["MAREA_STORE__ENDPOINT_URL"].strip("'"),
        aws_access_key_id=settings["MAREA_STORE__ACCESS_KEY"].strip("'"),
        aws_secret_access_key=settings["MAREA_STORE__SECRET_KEY"].strip("'"),
        region_name="us-east-1",
    )


def submit(up: UpProcess, *arguments: str) -> dict[str, Any]:
    """The only job of a submission that is waited for."""
    ended = up.marea("submit", *arguments, "--wait", "--json")
    assert ended.status == 0, ended.err
    (found,) = ended.document["jobs"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def done(up: UpProcess) -> dict[str, Any]:
    """A job that has its result."""
    return submit(up, "photo.jpg")


def state_of(up: UpProcess, job_id: str) -> str:
    return str(up.marea("job", job_id, "--json").document["state"])


def test_says_where_everything_is(up: UpProcess) -> None:
    said = report(up)
    assert said["ready"] is True
    assert said["broker"] == "redis"
    assert Path(said["environment_file"]) == up.data / "marea.env"


def test_submit_waits_for_the_result_and_shows_it(up: UpProcess, done: dict[str, Any]) -> None:
    assert (done["state"], done["pipeline"]) == ("done", "grayscale")
    (output,) = done["record"]["outputs"]
    assert output["key"] == "photo_processed.jpg"
    head = store(up).head_object(Bucket="results", Key="photo_processed.jpg")
    assert head["ContentLength"] == output["size_bytes"]

    text = up.marea("submit", "photo.jpg", "--wait")
    assert text.out == "photo.jpg  grayscale  done  → photo_processed.jpg\n"


def test_submit_takes_a_folder_and_tells_each_files_end(up: UpProcess) -> None:
    folder = up.folder / "mixed"
    (folder / "we[i]rd").mkdir(parents=True)
    shutil.copy(PHOTO, folder / "we[i]rd" / "Ünï [bold].jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "fake.jpg").write_bytes(b"no image at all")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "notes.txt").write_text("hello")

    ended = up.marea("submit", "mixed", "--prefix", "in/", "--wait")

    assert ended.status == 0
    lines = ended.out.splitlines()
    assert "in/we[i]rd/Ünï [bold].jpg  grayscale  done  → in/we[i]rd/Ünï [bold]_processed.jpg" in (
        lines
    )
    assert lines[lines.index("in/empty.jpg  grayscale  rejected") + 1].startswith("  file-empty: ")
    assert lines[lines.index("in/fake.jpg  grayscale  rejected") + 1].startswith(
        "  unsupported-format: "
    )
    assert "in/table.csv  summary  done  → in/table_summary.json" in lines
    assert "in/notes.txt  no job: no rule matches" in lines


def test_submit_runs_a_named_pipeline(up: UpProcess) -> None:
    job = submit(up, "photo.jpg", "--pipeline", "small")
    assert job["pipeline"] == "small"
    assert job["record"]["outputs"][0]["width_px"] == 64


def test_a_rejection_gives_one_reason_in_record_ledger_and_job(up: UpProcess) -> None:
    (up.folder / "broken.jpg").write_bytes(PHOTO.read_bytes()[:5000])
    job = submit(up, "broken.jpg")
    assert (job["state"], job["code"]) == ("rejected", "image-truncated")
    assert job["reason"] == job["record"]["reason"]
    assert job["code"] == job["record"]["code"]
    assert "\n" not in job["reason"]
    shown = up.marea("job", job["id"][:8])
    assert shown.status == 0
    assert f"  image-truncated: {job['reason']}\n" in shown.out


def test_status_shows_queues_workers_jobs_and_the_sweep(
    up: UpProcess, done: dict[str, Any]
) -> None:
    found = up.marea("status", "--json").document
    assert found["queues"]["images.normal"] == {"ready": 0, "unacked": 0}
    assert {worker["pool"] for worker in found["workers"]} == {"images", "tables"}
    assert found["jobs"]["done"] >= 1
    assert found["sweep"]["ended_at"] > 0

    text = up.marea("status")
    assert text.status == 0
    assert "images.normal" in text.out
    assert "buckets last swept" in text.out
    assert "{" not in text.out


def test_jobs_lists_by_state_and_in_pages(up: UpProcess, done: dict[str, Any]) -> None:
    (up.folder / "none.jpg").write_bytes(b"")
    rejected = submit(up, "none.jpg")

    first = up.marea("jobs", "--limit", "1", "--json").document
    second = up.marea("jobs", "--limit", "1", "--cursor", first["cursor"], "--json").document
    assert first["jobs"][0]["id"] != second["jobs"][0]["id"]
    listed = up.marea("jobs", "--state", "rejected", "--json").document["jobs"]
    assert rejected["id"] in [each["id"] for each in listed]
    assert {each["state"] for each in listed} == {"rejected"}
    text = up.marea("jobs", "--state", "rejected").out
    assert f"{rejected['id'][:12]}  rejected  grayscale  none.jpg\n" in text
    assert up.marea("jobs", "--state", "gone").out == "no gone jobs\n"


def test_job_takes_abbreviated_ids_and_says_what_it_does_not_know(
    up: UpProcess, done: dict[str, Any]
) -> None:
    for written in (done["id"], done["id"][:6], done["id"][:12].upper()):
        assert up.marea("job", written, "--json").document["id"] == done["id"]
    text = up.marea("job", done["id"]).out
    assert "→ results/photo_processed.jpg" in text
    for unknown in ("f" * 32, "ffffffff"):
        ended = up.marea("job", unknown)
        assert (ended.status, ended.out) == (1, "")
        assert "error (job-unknown): " in ended.err
    assert up.marea("job", "abc").status == 2


def test_dead_jobs_are_listed_shown_and_replayed(up: UpProcess) -> None:
    job = submit(up, "photo.jpg", "--pipeline", "dies")
    assert (job["state"], job["code"]) == ("dead", "child-killed")
    assert job["reason"] == job["record"]["reason"]

    listed = up.marea("dead", "list", "--json").document["jobs"]
    assert [each["id"] for each in listed] == [job["id"]]
    assert "child-killed: " in up.marea("dead", "list").out
    assert up.marea("dead", "show", job["id"][:8], "--json").document["state"] == "dead"
    assert up.marea("dead", "replay").status == 1

    (up.folder / "mended").touch()
    ended = up.marea("dead", "replay", "--all", "--json")
    assert ended.status == 0
    assert [each["id"] for each in ended.document["jobs"]] == [job["id"]]
    wait_until(lambda: state_of(up, job["id"]) == "done", "the replay is done", timeout_s=30)
    assert up.marea("dead", "list").out == "no dead jobs\n"
    again = up.marea("dead", "replay", job["id"])
    assert (again.status, "job-not-replayable" in again.err) == (1, True)


def test_cancel_ends_an_open_job_and_leaves_an_ended_one(
    up: UpProcess, done: dict[str, Any]
) -> None:
    (up.folder / "opened").unlink(missing_ok=True)
    ended = up.marea("submit", "photo.jpg", "--pipeline", "waits", "--json")
    assert ended.status == 0
    (job,) = ended.document["jobs"]
    assert state_of(up, job["id"]) in ("queued", "running")
    # Another key: a newer version of the same would supersede a job that has not begun.
    shutil.copy(PHOTO, up.folder / "slow.jpg")
    timed_out = up.marea("submit", "slow.jpg", "--pipeline", "waits", "--wait", "--timeout-s=0.2")
    assert (timed_out.status, "error (timeout): " in timed_out.err) == (1, True)

    cancelled = up.marea("cancel", job["id"][:10], "--json")
    assert (cancelled.status, cancelled.document["state"]) == (0, "cancelled")
    assert up.marea("cancel", job["id"]).status == 0
    (up.folder / "opened").touch()
    late = up.marea("cancel", done["id"])
    assert (late.status, "job-ended" in late.err) == (1, True)
    assert state_of(up, job["id"]) == "cancelled"


def test_audit_is_clean_until_a_record_is_missing_and_backfill_mends_it(up: UpProcess) -> None:
    (up.folder / "opened").touch()
    shutil.copy(PHOTO, up.folder / "lost.jpg")
    job = submit(up, "lost.jpg")

    def audit() -> Any:
        return up.marea("audit", "--json")

    clean = wait_until(
        lambda: (found := audit()).document["classes"]["in_flight"] == 0 and found,
        "nothing is in flight",
        timeout_s=30,
    )
    assert clean.status == 0
    assert clean.document["missing"] == clean.document["duplicates"] == 0
    assert sum(clean.document["classes"].values()) == clean.document["versions"]
    assert up.marea("audit").out.endswith("missing 0\nduplicates 0\n")

    bucket = store(up)
    rows = bucket.list_objects_v2(Bucket="results", Prefix=".marea/")["Contents"]
    (record,) = [
        row["Key"]
        for row in rows
        if job["id"].encode() in bucket.get_object(Bucket="results", Key=row["Key"])["Body"].read()
    ]
    bucket.delete_object(Bucket="results", Key=record)

    broken = audit()
    assert broken.status == 1
    assert broken.document["missing_jobs"] == [f"uploads/lost.jpg@{job['version_id']} grayscale"]
    text = up.marea("audit")
    assert text.status == 1
    assert f"missing 1\n  uploads/lost.jpg@{job['version_id']} grayscale\n" in text.out

    filled = up.marea("backfill", "lost", "--json")
    assert (filled.status, filled.document["accepted"]) == (0, 1)
    mended = wait_until(
        lambda: (
            (found := audit()).status == 0 and found.document["classes"]["in_flight"] == 0 and found
        ),
        "the record is there again",
        timeout_s=30,
    )
    assert mended.document["duplicates"] == 0


def test_backfill_of_a_bucket_that_is_not_there_says_so(up: UpProcess) -> None:
    ended = up.marea("backfill", "--bucket", "absent")
    assert ended.status == 1
    assert "'absent' does not exist" in ended.err


def test_a_declaration_can_be_asked_for(up: UpProcess) -> None:
    routed = up.marea("route", "test", "a.jpg", "a.txt", "--json").document["keys"]
    assert [each["outcome"] for each in routed] == ["routed", "unrouted"]
    names = [each["name"] for each in up.marea("pipelines", "list", "--json").document["pipelines"]]
    assert {"small", "dies", "waits", "grayscale"} <= set(names)
    assert up.marea("pipelines", "show", "small", "--json").document["name"] == "small"
    settings = up.marea("settings", "--json")
    assert settings.document["settings"]["worker"]["max_attempts"] == 1
    assert report(up)["s3"]["secret_key"] not in settings.out + up.marea("settings").out


def test_every_json_is_one_line(up: UpProcess) -> None:
    for verb in ("status", "jobs", "audit", "settings", "pipelines list"):
        assert up.marea(*verb.split(), "--json").out.count("\n") == 1


def test_the_environment_file_works_in_a_shell(up: UpProcess) -> None:
    ended = up.shell(["sh", "-c", f"set -a; . {up.data}/marea.env; set +a; marea jobs --json"])
    assert ended.status == 0, ended.err
    assert "jobs" in ended.document


def test_a_reader_that_has_seen_enough_causes_no_traceback(up: UpProcess) -> None:
    ended = up.shell(["sh", "-c", f"marea --env {up.data}/marea.env settings | head -1"])
    assert ended.out == "MAREA_RULES_FILE=\n"
    assert "Traceback" not in ended.err


def test_a_changed_pipeline_is_stale_until_it_is_rendered_anew(up: UpProcess) -> None:
    """With a stop and a second start on the same data; its banner is what a person sees."""
    job = submit(up, "photo.jpg", "--pipeline", "small")
    (up.folder / "opened").touch()
    (up.folder / "pipelines.yaml").write_text(pipelines(32))
    assert up.stop() == 0
    banner = up.start("--pipelines", "pipelines.yaml")

    assert up.marea("audit", "--json").document["stale"] >= 1
    assert "`marea rerender`" in up.marea("audit").out
    counted = up.marea("rerender", "small", "--dry-run", "--json").document
    assert counted == {"pipeline": "small", "stale": counted["stale"], "started": 0}
    assert counted["stale"] >= 1
    assert up.marea("rerender", "grayscale", "--json").document["stale"] == 0
    assert up.marea("rerender", "small", "--json").document["started"] == counted["stale"]

    def width_px() -> int:
        outputs = up.marea("job", job["id"], "--json").document["record"]["outputs"]
        return int(outputs[0]["width_px"])

    wait_until(lambda: width_px() == 32, "the result is rendered anew", timeout_s=30)
    wait_until(
        lambda: up.marea("audit", "--json").document["stale"] == 0, "nothing is stale", timeout_s=30
    )
    _follow_the_banner(up, banner)


def _follow_the_banner(up: UpProcess, banner: str) -> None:
    """Type what it says: the exports and `marea submit`, and the boto3 lines into Python."""
    shell, _, rest = banner.partition("# boto3, in Python\n")
    typed = [
        line
        for line in shell.splitlines()
        if line.startswith(("set -a", "export ", "marea submit", "mc ", "aws "))
    ]
    assert [line.split()[0] for line in typed] == [
        *("set", "export", "export", "marea", "aws", "aws", "mc", "mc"),
    ]
    python = rest.partition("\n\n")[0]
    shutil.copy(PHOTO, up.folder / "photo.jpg")
    before = len(_versions(up, "photo.jpg"))
    (up.folder / "upload.py").write_text(python)
    ours = [line for line in typed if not line.startswith(("mc ", "aws "))]
    ended = up.shell(["sh", "-ec", "\n".join([*ours, f"{sys.executable} upload.py"])])

    assert ended.status == 0, ended.err
    assert "photo.jpg  grayscale  done  → photo_processed.jpg" in ended.out
    assert len(_versions(up, "photo.jpg")) == before + 2


def _versions(up: UpProcess, key: str) -> list[Any]:
    page = store(up).list_object_versions(Bucket="uploads", Prefix=key)
    return [row for row in page.get("Versions", []) if row["Key"] == key]
