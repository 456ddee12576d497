"""`marea up` as a child process: start it, wait until it is ready, stop it as a user would."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from loadtest.collect import StoreAddress

READY_TIMEOUT_S = 180.0
"""RabbitMQ takes 10 s to start on two cores; a first start may have to fetch a server."""

STOP_TIMEOUT_S = 90.0
"""Workers finish what they run first; no job of the corpus takes longer than a few seconds."""


class PlatformError(RuntimeError):
    """`marea up` did not start, died, or did not stop; the message says where to look."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The line that `marea up --json` prints once it is ready."""

    store: StoreAddress
    source_bucket: str
    results_bucket: str
    store_name: str
    environment_file: Path


class Platform:
    """One `marea up`. Its log is `log_file`; standard output is only read for the one line."""

    def __init__(
        self,
        data: Path,
        broker: str,
        rules: Path | None,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        """`environment` on top of this process's own, whose `MAREA_` variables do not count;
        `more` options of `marea up`; without `rules`, those that are built in."""
        self._data = data
        self._environment = {**_neutral_environment(), **(environment or {})}
        self._log_file = log_file
        self._command = [
            _marea(),
            *("up", "--data", str(data), "--broker", broker, "--json"),
            *(("--rules", str(rules)) if rules else ()),
            *more,
        ]
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of `marea up` itself. Raises `PlatformError` before `start`."""
        if self._process is None:
            raise self._error("was not started")
        return self._process.pid

    def start(self) -> Ready:
        """Start and wait. Raises `PlatformError` with the end of the log."""
        with self._log_file.open("w", encoding="utf-8") as log:
            # Its own process group: Ctrl-C reaches this process alone, which then stops the
            # platform in the right order.
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._forward, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                line = lines.get(timeout=0.2)
            except Empty:
                if self._process.poll() is not None:
                    raise self._error(f"ended with status {self._process.returncode}") from None
                continue
            ready = _parse_ready(line, self._data)
            if ready is not None:
                return ready
        raise self._error(f"was not ready within {READY_TIMEOUT_S:.0f} s")

    def require_alive(self) -> None:
        """Raises `PlatformError` if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise self._error(f"ended with status {self._process.returncode} in the middle")

    def _forward(self, lines: SimpleQueue[str]) -> None:
        process = self._process
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                lines.put(line)

    def stop(self) -> int:
        """SIGINT, as Ctrl-C sends it; the exit status. Kills what does not stop: status 137."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 137

    def _error(self, what: str) -> PlatformError:
        end = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        return PlatformError("\n".join([f"marea up {what}; {self._log_file} ends with:", *end]))


def _parse_ready(line: str, data: Path) -> Ready | None:
    try:
        body: Any = json.loads(line)
        if not body["ready"]:
            return None
        store = body["s3"]
        return Ready(
            StoreAddress(store["endpoint_url"], store["access_key"], store["secret_key"]),
            store["source_bucket"],
            store["results_bucket"],
            body["store"],
            Path(body.get("environment_file") or data / "marea.env"),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _marea() -> str:
    """The command that belongs to this Python, else the one on PATH."""
    beside = Path(sys.executable).with_name("marea")
    found = str(beside) if beside.exists() else shutil.which("marea")
    if found is None:
        raise PlatformError("the command `marea` is not installed: pip install -e '.[dev]'")
    return found


def _neutral_environment() -> dict[str, str]:
    """This process's environment without what a shell may have set for another platform."""
    return {name: text for name, text in os.environ.items() if not name.startswith("MAREA_")}


def load_environment(file: Path) -> dict[str, str]:
    """This process's environment with the variables of a `marea.env` (NAME='text' lines) as
    its only `MAREA_` variables."""
    environment = _neutral_environment()
    for line in file.read_text(encoding="utf-8").splitlines():
        name, equals, text = line.partition("=")
        if equals and not name.startswith("#"):
            environment[name.removeprefix("export ").strip()] = "".join(shlex.split(text))
    return environment


def run_audit(environment_file: Path) -> tuple[int, dict[str, Any], str]:
    """`marea audit --json`: exit status, what it printed, and its complaints."""
    done = subprocess.run(
        [_marea(), "audit", "--json"],
        env=load_environment(environment_file),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    try:
        body = json.loads(done.stdout)
    except ValueError:
        body = {}
    return done.returncode, body if isinstance(body, dict) else {}, done.stderr.strip()
