"""What `marea up` keeps in its folder, so that a second start finds the first one's world.

up.json      addresses and tokens, made up once (mode 0600)
marea.env    the same as MAREA_ variables, for the CLI and other programs
redis/ minio/ rabbitmq/ logs/ events/
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from marea.errors import ConfigError
from marea.up.servers import free_port, port_is_taken

BrokerKind = Literal["redis", "rabbitmq"]
ADDRESSES_FILE = "up.json"
ENVIRONMENT_FILE = "marea.env"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports and secrets of one folder's platform."""

    api_port: int
    store_port: int
    redis_port: int
    rabbitmq_port: int
    event_token: str
    api_token: str


def lock_folder(folder: Path) -> IO[str]:
    """Take the folder for this process. Raises `ConfigError` if another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise ConfigError(
            [
                f"{folder} is in use by another `marea up`: stop that one, or give --data another"
                " folder"
            ]
        ) from exc
    return lock


def load_addresses(folder: Path) -> Addresses:
    """The folder's addresses; made up on the first call, then kept."""
    file = folder / ADDRESSES_FILE
    if file.exists():
        return Addresses(**json.loads(file.read_text(encoding="ascii")))
    addresses = Addresses(
        api_port=_prefer(8080),
        store_port=_prefer(9000),
        redis_port=free_port(),
        rabbitmq_port=free_port(),
        event_token=secrets.token_urlsafe(24),
        api_token=secrets.token_urlsafe(24),
    )
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(addresses), indent=2), encoding="ascii")
    return addresses


def _prefer(port: int) -> int:
    return free_port() if port_is_taken(port) else port


def overlaid(given: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """`ours` on top of what `up` was `given`: ours win, also over a secret in a file."""
    taken = {*ours, *(f"{name}_FILE" for name in ours)}
    return {**{name: text for name, text in given.items() if name not in taken}, **ours}


def write_environment(folder: Path, environment: dict[str, str]) -> Path:
    """Write `marea.env`, readable by its owner only; returns its path."""
    file = folder / ENVIRONMENT_FILE
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.writelines(f"{name}={_quoted(text)}\n" for name, text in environment.items())
    return file


def _quoted(text: str) -> str:
    # For `set -a; . marea.env`: single quotes keep JSON and URLs whole.
    return "'" + text.replace("'", "'\\''") + "'"
