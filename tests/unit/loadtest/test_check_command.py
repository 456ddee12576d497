"""The command over a real S3 API (moto, in this process): collecting, paging, exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from loadtest.check import main
from loadtest.collect import _list_versions
from loadtest.evidence import expected_job_id, key_hash
from loadtest.history import Expected, HistoryWriter, Operation

ROOT = Path(__file__).parents[3]
RESULT = b'{"rows": 1}'


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("MAREA_STORE__ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in ("uploads", "results"):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        yield client


def upload(s3: Any, history: HistoryWriter, key: str, body: bytes) -> dict[str, str]:
    answer = s3.put_object(Bucket="uploads", Key=key, Body=body)
    history.record(
        Operation(
            op="put",
            bucket="uploads",
            key=key,
            invoked_at=time.time(),
            completed_at=time.time(),
            outcome="ok",
            etag=answer["ETag"].strip('"'),
            version_id=answer["VersionId"],
            size_bytes=len(body),
            oracle="good",
            expected=(Expected(f"{key}_summary.json", "summary", "json"),),
        )
    )
    return {"version_id": answer["VersionId"], "etag": answer["ETag"].strip('"')}


def finish(s3: Any, key: str, body: bytes, version: dict[str, str]) -> None:
    job_id = expected_job_id("uploads", key, version["version_id"], "summary")
    s3.put_object(
        Bucket="results",
        Key=f"{key}_summary.json",
        Body=RESULT,
        Metadata={
            "marea-job": job_id,
            "marea-source": version["version_id"],
            "marea-key-sha256": key_hash("uploads", key),
            "marea-pipeline": "summary",
            "marea-digest": "d",
        },
    )
    record = {
        "job_id": job_id,
        "state": "done",
        "code": "",
        "pipeline": "summary",
        "ref": {"bucket": "uploads", "key": key, "size_bytes": len(body), **version},
        "outputs": [{"key": f"{key}_summary.json", "sha256": hashlib.sha256(RESULT).hexdigest()}],
    }
    s3.put_object(
        Bucket="results",
        Key=f".marea/records/uploads/{key}!summary.{job_id}",
        Body=json.dumps(record).encode(),
    )


def run_check(history: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["--history", str(history), "--json", "--access-key", "t", "--secret-key", "t"])
    printed = capsys.readouterr().out
    return code, json.loads(printed) if printed else {}


def test_passes_a_good_run_and_names_a_lost_upload(
    s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as history:
        for key in ("a b+ü.csv", "deep/er/b.csv"):
            for content in (b"x\n1\n", b"x\n2\n"):
                finish(s3, key, content, upload(s3, history, key, content))
        code, summary = run_check(path, capsys)
        assert (code, summary["checked"], summary["results"]) == (0, 4, 4), summary
        upload(s3, history, "lost.csv", b"x\n3\n")
    code, summary = run_check(path, capsys)
    assert code == 1
    assert [finding["key"] for finding in summary["findings"]] == ["lost.csv"]


def test_an_empty_history_is_an_error_and_not_a_pass(
    s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("")
    assert run_check(path, capsys)[0] == 2


@pytest.mark.parametrize("line", ["{", "[]", '{"op": "put"}', '{"op": "shout", "bucket": "b"}'])
def test_a_malformed_history_is_an_error(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n")
    assert run_check(path, capsys)[0] == 2


def test_a_missing_bucket_is_an_error(
    s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as history:
        upload(s3, history, "a.csv", b"x")
    assert main(["--history", str(path), "--source", "absent"]) == 2


@pytest.mark.slow
def test_lists_every_page_with_the_newest_version_first(s3: Any) -> None:
    versions = [
        s3.put_object(Bucket="uploads", Key=f"k{number % 340:03}", Body=str(number).encode())
        for number in range(1_020)
    ]
    s3.delete_object(Bucket="uploads", Key="k007")
    rows = list(_list_versions(s3, "uploads"))
    assert len(rows) == 1_021
    assert [row["Key"] for row in rows] == sorted(row["Key"] for row in rows)
    assert [row["is_delete_marker"] for row in rows if row["Key"] == "k007"] == [True] + 3 * [False]
    newest_first = [row["VersionId"] for row in rows if row["Key"] == "k009"]
    assert newest_first == [versions[at]["VersionId"] for at in (689, 349, 9)]


def test_stands_alone_from_what_it_checks() -> None:
    """Nothing of Marea, nor any library that Marea decodes or stores with, is imported."""
    code = (
        "import sys, loadtest.check;"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "sys.exit(repr(loaded & {'marea', 'PIL', 'redis', 'celery', 'kombu', 'pandas'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"
