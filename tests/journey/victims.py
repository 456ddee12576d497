"""Finds and kills processes of one `marea up`; never anything that is not below it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable

import psutil

SERVERS = {"redis-server": "redis", "valkey-server": "redis", "minio": "minio"}
SERVERS |= {"beam.smp": "rabbitmq"}
WEIGHTS = {
    "gateway": 3,
    "reconciler": 3,
    "worker": 4,
    "worker child": 5,
    "redis": 2,
    "minio": 2,
    "rabbitmq": 2,
}
"""How often each is chosen; arbitrary, workers most, since they hold the work."""


def living(up_pid: int) -> dict[str, list[psutil.Process]]:
    """The processes below `marea up` by kind, each kind that lives."""
    found: dict[str, list[psutil.Process]] = {}
    for process in _children(up_pid):
        kind = _kind(process)
        if kind:
            found.setdefault(kind, []).append(process)
        if kind == "worker":
            children = [child for child in _children(process.pid) if _is_marea(child)]
            if children:
                found.setdefault("worker child", []).extend(children)
    return found


def kill_one(up_pid: int, chance: random.Random) -> str:
    """SIGKILL one at random; what it was, or "" if nothing lives. A worker dies with all its
    children at once, as a container would."""
    found = living(up_pid)
    if not found:
        return ""
    kinds = sorted(found)
    kind = chance.choices(kinds, [WEIGHTS[name] for name in kinds])[0]
    victim = chance.choice(sorted(found[kind], key=lambda process: process.pid))
    kill_group(victim) if kind == "worker" else _kill(victim)
    return kind


def kill_group(worker: psutil.Process) -> None:
    """SIGKILL a worker's parent and its children; the parent first, or it would still report
    the children's deaths."""
    children = _children(worker.pid)
    for process in (worker, *children):
        _kill(process)


def stop_groups(workers: Iterable[psutil.Process]) -> None:
    """Make workers with their children stand still, the parents first, or one would start
    another child."""
    for worker in workers:
        for process in (worker, *_children(worker.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()


def resume_groups(workers: Iterable[psutil.Process]) -> None:
    """Let what `stop_groups` stopped go on."""
    for worker in workers:
        for process in (worker, *_children(worker.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def the_only(up_pid: int, kind: str) -> psutil.Process:
    """The one process of a kind of which there is one."""
    (process,) = living(up_pid)[kind]
    return process


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return []


def _kind(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        if process.name() in SERVERS:
            return SERVERS[process.name()]
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return ""
    for kind in ("gateway", "reconciler", "worker"):
        if "marea" in words and kind in words:
            return kind
    return ""


def _is_marea(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE and "worker" in process.cmdline()
    return False
