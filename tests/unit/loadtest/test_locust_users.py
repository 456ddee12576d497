"""Locust finds the users, in a process of its own (it patches the standard library)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.scenario import scenario_names
from loadtest.target import CAPTURED

ROOT = Path(__file__).parents[3]
STORE = {
    "MAREA_STORE__ENDPOINT_URL": "http://127.0.0.1:1",
    "MAREA_STORE__ACCESS_KEY": "key",
    "MAREA_STORE__SECRET_KEY": "secret",
}


def locust(
    folder: Path, *words: str, platform: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Locust in `folder`, where nothing but `platform` says where one is."""
    neutral = {name: text for name, text in os.environ.items() if not name.startswith(CAPTURED)}
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest/locustfile.py"), *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**neutral, **(platform or {})},
        timeout=60,
        check=False,
    )


def test_locust_lists_the_senders_and_the_watcher(tmp_path: Path) -> None:
    done = locust(tmp_path, "--list")
    assert done.returncode == 0, done.stderr
    for user in ("S3Uploader", "PresignedUploader", "Submitter", "Watcher"):
        assert user in done.stdout
    assert "Sender" not in done.stdout.split()


@pytest.mark.parametrize(
    ("scenario", "platform", "sentence"),
    [
        ("spyke", STORE, "there is no scenario 'spyke'; there are "),
        ("steady", {}, "no store is known: load the platform's variables"),
        ("short", STORE, "this scenario uploads through the gateway, and none is known"),
    ],
)
def test_where_there_is_nothing_to_run_it_ends_with_a_sentence(
    tmp_path: Path, scenario: str, platform: dict[str, str], sentence: str
) -> None:
    done = locust(tmp_path, "--headless", "--scenario", scenario, platform=platform)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "load-out").exists()
    if scenario == "spyke":
        assert all(name in said for name in scenario_names())
