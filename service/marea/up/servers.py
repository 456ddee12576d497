"""What all embedded servers have in common: start, readiness, stop, restart, kill.

A server keeps its port and its folder for life, so that `start` after `stop` or `kill` finds
the same data at the same address. Everything listens on 127.0.0.1 only. Not a supervisor: a
server that dies stays dead until somebody calls `start`.

          start            ready             stop (SIGTERM, then SIGKILL) | kill
    down ───────▶ starting ───────▶ running ─────────────────────────────────────▶ down
                     └──▶ exited or late: `ServerNotReady`, with the tail of its log
"""

from __future__ import annotations

import ctypes
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import ClassVar, Self

from marea.errors import ConfigError, MareaError

HOST = "127.0.0.1"
POLL_S = 0.05
"""Between two looks at a starting server: well below the fastest start (Redis, about 0.1 s)."""
PROBE_TIMEOUT_S = 2.0
LOG_TAIL_LINES = 20
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
"""Found here and not in the child: another thread may hold the loader's lock at the fork."""


class ServerNotReady(MareaError):
    """An embedded server exited while starting, or did not answer in time."""

    code = "server-not-ready"


class ServerProcess(ABC):
    """One server as a child process, in its own process group.

    `die_with_parent` makes the kernel send it SIGTERM when the *thread* that called `start`
    ends, even by SIGKILL: start servers from the main thread. Linux only; elsewhere it has
    no effect.
    """

    name: ClassVar[str]
    ready_timeout_s: ClassVar[float] = 30.0
    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(
        self, folder: Path, port: int | None = None, *, die_with_parent: bool = True
    ) -> None:
        """Data, configuration and logs go into `folder`; no `port` = a free one, kept."""
        self.folder = folder.resolve()
        self.port = port or free_port()
        self._die_with_parent = die_with_parent
        self._extra_environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _command(self) -> list[str]:
        """Program and arguments; no secrets, since every user of the machine can see them."""

    def _environment(self) -> dict[str, str]:
        """Variables on top of ours."""
        return {}

    def _account(self) -> str | None:
        """The user to run as; None = the one we are."""
        return None

    def _prepare(self) -> None:
        """Write configuration files; runs before every start."""
        return

    def _clean_up(self) -> None:
        """Runs after the process has ended, by `stop` or `kill`."""
        return

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers its own protocol."""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id while running, e.g. to stop and continue it in a fault test."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, env: Mapping[str, str] | None = None) -> Self:
        """Start and return when it answers. `env` is kept for later starts.

        Raises `ConfigError` if the port is taken, `ServerNotReady` if it exits or is late.
        """
        if self.is_running:
            return self
        try:
            self.launch(env)
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def launch(self, env: Mapping[str, str] | None = None) -> None:
        """As `start`, but do not wait until it answers: for whoever watches `is_ready`."""
        if env is not None:
            self._extra_environment = dict(env)
        self.folder.mkdir(parents=True, exist_ok=True)
        if port_is_taken(self.port):
            raise ConfigError(
                [f"port {self.port} for {self.name} is taken: stop what uses it, or choose another"]
            )
        command = self._command()  # may install the server, and with it the user it runs as
        self._prepare()
        self._process = self._spawn(command)

    def stop(self) -> None:
        """SIGTERM, wait, then SIGKILL of its own process group. Does nothing when down."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self._kill_group()
        self._forget()

    def kill(self) -> None:
        """SIGKILL, as a crash would. The data stay; `start` recovers them."""
        if self._process is not None:
            self._kill_group()
        self._forget()

    def restart(self) -> Self:
        """`stop`, then `start` on the same port and data."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        account = self._account()
        with self.log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - reaped by stop() and kill()
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=inherited_environment() | self._environment() | self._extra_environment,
                start_new_session=True,  # Ctrl-C in the terminal is ours to turn into a stop
                preexec_fn=_follow_parent if self._die_with_parent else None,
                user=account,
                group=account,
                extra_groups=None if account is None else (),
            )

    def _wait_until_ready(self) -> None:
        deadline = monotonic() + self.ready_timeout_s
        assert self._process is not None
        while not self.is_ready():
            try:
                # Doubles as the pause: returns early only if the server exits.
                status = self._process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if monotonic() < deadline:
                    continue
                what = f"did not answer within {self.ready_timeout_s:.0f} s"
            else:
                what = f"exited with status {status} while starting"
            raise ServerNotReady(f"{self.name} {what}; {self.log_file} ends:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _kill_group(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _forget(self) -> None:
        self._process = None
        self._clean_up()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now; somebody may a moment later."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def port_is_taken(port: int) -> bool:
    """Whether a server could not listen on 127.0.0.1:`port`."""
    with socket.socket() as listener:
        # As servers do: connections lingering in TIME_WAIT do not hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return True
        return False


def stored_secret(file: Path) -> str:
    """The secret in `file` (mode 0600), made up on the first call and kept from then on."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24), encoding="ascii")
    return file.read_text(encoding="ascii")


def answers(port: int, question: bytes, is_answer: Callable[[bytes], bool]) -> bool:
    """Whether the server at `port` replies to `question` with something that `is_answer`."""
    try:
        with socket.create_connection((HOST, port), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(question)
            return is_answer(connection.recv(4096))
    except OSError:
        return False


def answers_http(port: int, path: str) -> bool:
    """Whether GET `path` is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def inherited_environment() -> dict[str, str]:
    """Our variables without Marea's own, which are no business of a server's (and secret)."""
    environment = os.environ  # noqa: TID251 - handed on to children, not read
    return {name: text for name, text in environment.items() if not name.startswith("MAREA_")}


def _follow_parent() -> None:
    """Runs in the child before exec, after the change of user (which would undo it)."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
