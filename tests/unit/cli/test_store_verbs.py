"""`marea store`, as far as it needs no store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine

from marea.cli.store import read_users
from marea.errors import ConfigError

NOBODY = {"MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:1", "MAREA_STORE__ACCESS_KEY": "key"}


def mounted(folder: Path, **secrets: str) -> Path:
    """As Kubernetes mounts a Secret: links to files in a hidden folder."""
    (folder / "..data").mkdir()
    for name, secret in secrets.items():
        (folder / "..data" / name).write_text(secret)
        (folder / name).symlink_to(folder / "..data" / name)
    return folder


def test_users_are_read_from_a_mounted_secret(tmp_path: Path) -> None:
    users = read_users(mounted(tmp_path, worker="of-worker\n", gateway="of-gateway"), "marea-")
    assert users == {
        "gateway": ("marea-gateway", "of-gateway"),
        "worker": ("marea-worker", "of-worker"),
    }


def test_files_may_be_named_by_the_whole_access_key(tmp_path: Path) -> None:
    (tmp_path / "eu-worker").write_text("of-worker")
    assert read_users(tmp_path, "eu-") == {"worker": ("eu-worker", "of-worker")}


def test_all_that_is_wrong_with_the_users_is_told_at_once(tmp_path: Path) -> None:
    mounted(tmp_path, worker="short", workers="of-workers", gateway="of-gateway")
    with pytest.raises(ConfigError) as refused:
        read_users(tmp_path, "marea-")
    assert refused.value.problems == [
        f"{tmp_path}/worker: a secret of fewer than 8 characters",
        f"{tmp_path}/workers: not a user of Marea's; one of gateway, worker, reconciler, uploader,"
        " loadtest",
    ]


def test_an_empty_folder_is_no_users(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no user's file"):
        read_users(tmp_path, "marea-")


def test_policies_are_printed_for_whoever_makes_the_users_by_hand(shell: CommandLine) -> None:
    shell.set({"MAREA_STORE__SOURCE_BUCKETS": '["scans"]'})
    one = json.loads(shell.run("store", "policies", "worker").out)
    assert "arn:aws:s3:::scans/*" in str(one)
    everyone = json.loads(shell.run("store", "policies", "--json").out)
    assert list(everyone) == ["gateway", "worker", "reconciler", "uploader", "loadtest"]
    assert everyone["worker"] == one


def test_a_process_that_there_is_not_is_told(shell: CommandLine) -> None:
    ended = shell.run("store", "policies", "autoscaler")
    assert ended.status == 2
    assert "autoscaler: no such process; one of gateway, worker" in ended.err


def test_a_store_that_stays_away_is_given_up_with_the_reason(shell: CommandLine) -> None:
    shell.set({**NOBODY, "MAREA_STORE__SECRET_KEY": "s3cr3t-k3y"})
    ended = shell.run("store", "prepare", "--timeout-s", "0")
    assert ended.status == 1
    assert "waiting for the object store: the store does not answer" in ended.err
    assert "Gave up after 0 s" in ended.err
    assert "look at MAREA_STORE__ENDPOINT_URL" in ended.err
    assert "s3cr3t" not in ended.err


def test_a_missing_access_key_is_named(shell: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    shell.set({"MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:1"})
    ended = shell.run("store", "prepare", "--timeout-s", "0")
    assert "there is no access key: set MAREA_STORE__ACCESS_KEY" in ended.err


def test_a_store_that_does_not_answer_is_checked_no_further(shell: CommandLine) -> None:
    shell.set({**NOBODY, "MAREA_STORE__SECRET_KEY": "s3cr3t-k3y"})
    ended = shell.run("store", "check", "--json")
    told = json.loads(ended.out)
    assert (ended.status, told["ok"]) == (1, False)
    assert [finding["what"] for finding in told["findings"]] == ["reachable"]
    assert "MAREA_STORE__ENDPOINT_URL" in told["findings"][0]["sentence"]


def test_a_try_in_a_bucket_that_is_no_source_is_refused(shell: CommandLine) -> None:
    ended = shell.run("store", "try", "--bucket", "results")
    assert ended.status == 2
    assert "--bucket results: not a source bucket; one of uploads" in ended.err


def test_a_try_without_a_store_ends_with_its_reason(shell: CommandLine) -> None:
    shell.set({**NOBODY, "MAREA_STORE__SECRET_KEY": "s3cr3t-k3y"})
    ended = shell.run("store", "try", "--timeout-s", "0")
    assert ended.status == 1
    assert "error (trial-failed): The upload itself failed" in ended.err
