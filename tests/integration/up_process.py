"""`marea up` as a user starts it in one terminal, and `marea` in another."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from programs import require_servers
from waiting import wait_until

from marea.cli.main import main
from marea.up.tools import find_minio, find_redis

MAREA = Path(sys.executable).with_name("marea")
READY_TIMEOUT_S, STOP_TIMEOUT_S = 90.0, 60.0


def skip_without_servers() -> None:
    """Skips the test, with the reason, where `marea up` would find no Redis or no MinIO; in CI it
    fails."""
    require_servers(find_redis, find_minio)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


class UpProcess:
    """One folder's platform. Its output is in files: what people see, and what programs read."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.out_file, self.log_file = folder / "up.out", folder / "up.err"
        own = {name: text for name, text in os.environ.items() if not name.startswith("MAREA_")}
        # The environment's own programs first, as in a shell where it is activated.
        path = f"{MAREA.parent}{os.pathsep}{own.get('PATH', '')}"
        self.environment = {**own, "PATH": path, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> str:
        """Start it and wait until it is ready; what it printed."""
        with self.out_file.open("wb") as out, self.log_file.open("ab") as log:
            process = self._process = subprocess.Popen(
                [str(MAREA), "up", "--data", str(self.data), *arguments],
                stdout=out,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )

        def is_ready() -> bool:
            assert process.poll() is None, self.log_file.read_text()[-3000:]
            printed = self.out_file.read_text()
            return '"ready": true' in printed or "Ctrl-C stops it" in printed

        wait_until(is_ready, "marea up is ready", timeout_s=READY_TIMEOUT_S)
        return self.out_file.read_text()

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        process = self._process
        if process is None:
            return 0
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """While the block runs, the servers and workers go on, and nobody decides how many."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def marea(self, *arguments: str) -> Ended:
        """`marea` with this platform's addresses, in this process: its imports take a second."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name in os.environ:
                if name.startswith("MAREA_"):
                    patch.delenv(name)
            patch.setenv("COLUMNS", "80")
            patch.chdir(self.folder)
            patch.syspath_prepend(self.environment["PYTHONPATH"])
            patch.setattr(sys, "argv", ["marea", "--env", str(self.data / "marea.env"), *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def shell(self, command: list[str], environment: Mapping[str, str] | None = None) -> Ended:
        """Any command in the platform's folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)
