"""Programs of the project as a person runs them, and the servers that they look for themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import IN_CI

from marea.errors import ConfigError

ROOT = Path(__file__).parents[1]


def require_servers(*finders: Callable[[], Path]) -> None:
    """Skips, or in CI fails, where one of them cannot be had."""
    for find in finders:
        try:
            find()
        except ConfigError as exc:
            if IN_CI:
                raise
            pytest.skip(str(exc))


def run_module(module: str, *words: str, limit_s: float) -> tuple[int, str]:
    """Its exit status, and what it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        shown, _ = process.communicate(timeout=limit_s)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # as Ctrl+C: it ends what it started
            process.wait()
    return process.returncode, shown
