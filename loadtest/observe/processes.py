"""Who uses this machine's processors and memory, and how many workers there are: by the process
table.

It sees `marea up` and the lab, whose pods are processes of this machine. A platform elsewhere
has none here, and then nothing is known of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from time import monotonic, time

import psutil

from loadtest.observe.look import Look, Unseen

MEMORY_EVERY_S = 4.0
"""Arbitrary; a proportional set size costs the kernel a walk over all pages of a process."""
YOUNG_S = 3.0
"""Within it a process may still show the command line that it was forked with. Arbitrary."""
PLATFORM = ("gateway", "reconciler", "autoscaler")

_SERVERS = (
    ("store", re.compile(r"(^|/)minio( |$)")),
    ("broker", re.compile(r"(^|/)(redis-server|valkey-server|beam\.smp)( |$)")),
    (
        "kubernetes",
        re.compile(
            r"(^|/)(kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|etcd"
            r"|containerd|containerd-shim-runc-v2|coredns|kine|keda[-\w]*)( |$)"
        ),
    ),
)
_MAREA = re.compile(r"(^|/| )marea( |$)|-m marea( |$)")


def role_of(words: Sequence[str]) -> str | None:
    """The role of a command line; None = nothing of the platform's."""
    if not words:
        return None
    line = " ".join(words)
    for role, pattern in _SERVERS:
        if pattern.search(words[0]):
            return role
    if not _MAREA.search(line):
        return None
    if "worker" in words and "--pool" in words:
        at = words.index("--pool") + 1
        return f"worker-{words[at]}" if at < len(words) else None
    if "up" in words:
        return "autoscaler"  # its thread runs there, and so do the others' guardians
    return next((name for name in PLATFORM if name in words), None)


def family(pid: int) -> set[int]:
    """A process and all that it started, and these in turn."""
    try:
        return {pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))}
    except psutil.Error:
        return {pid}


def slots_of(words: Sequence[str]) -> int | None:
    """Jobs at once of a worker's command line."""
    try:
        return int(words[words.index("--concurrency") + 1])
    except (ValueError, IndexError):
        return None


class ProcessSource:
    """The processes of this machine. `generator` is this process with all that it started, but for
    the platform's own."""

    name = "processes"

    def __init__(
        self,
        processes: Callable[[], Iterable[psutil.Process]] = psutil.process_iter,
        platform_pid: int | None = None,
    ) -> None:
        """`platform_pid`: only what this process started is the platform; None = whatever of a
        platform runs here."""
        self._processes, self._platform_pid = processes, platform_pid
        self._known: dict[int, tuple[float, str, list[str]]] = {}
        """Pid -> when it was made, role by its words, words."""
        self._cpu: dict[tuple[int, float], float] = {}
        self._at: float | None = None
        self._machine_s = 0.0
        self._weighed_at = 0.0

    def fill(self, look: Look) -> None:
        roles = self._roles(self._processes())
        self._fill_cpu(look, roles)
        self._fill_workers(look, roles)
        if monotonic() - self._weighed_at >= MEMORY_EVERY_S:
            self._weighed_at = monotonic()
            _fill_memory(look, roles)
        # A pool at 0 has no workers; a platform has a gateway all the same.
        if not any(role in PLATFORM or role.startswith("worker-") for _, role, _ in roles):
            raise Unseen(
                "no process of the platform is one of this machine's: its use is not known"
            )

    def _roles(
        self, processes: Iterable[psutil.Process]
    ) -> list[tuple[psutil.Process, str, list[str]]]:
        found = []
        alive: dict[int, tuple[float, str, list[str]]] = {}
        own = family(os.getpid())
        platform = None if self._platform_pid is None else family(self._platform_pid)
        now = time()
        for process in processes:
            try:
                made_at = process.create_time()
                known = self._known.get(process.pid)
                # A young one may still show the words of the process that it was forked from.
                if known is None or known[0] != made_at or now - made_at < YOUNG_S:
                    words = process.cmdline()
                    known = (made_at, role_of(words) or "", words)
            except psutil.Error:
                continue
            alive[process.pid] = known
            role = known[1]
            if role and role != "kubernetes" and platform is not None:
                role = role if process.pid in platform else ""
            elif not role and process.pid in own:
                role = "generator"
            if role:
                found.append((process, role, known[2]))
        self._known = alive
        return found

    def _fill_cpu(self, look: Look, roles: Iterable[tuple[psutil.Process, str, list[str]]]) -> None:
        now, before = monotonic(), self._at
        spent: dict[str, float] = {}
        current: dict[tuple[int, float], float] = {}
        for process, role, _ in roles:
            try:
                times = process.cpu_times()
                identity = (process.pid, process.create_time())
            except psutil.Error:
                continue
            current[identity] = times.user + times.system
            # One that is new has spent all of it since the last look.
            used_s = current[identity] - self._cpu.get(identity, 0.0)
            spent[role] = spent.get(role, 0.0) + used_s
        machine = psutil.cpu_times()
        machine_s = sum(machine) - machine.idle - machine.iowait - machine.guest
        if before is not None and now > before:
            look.cpu |= {role: used_s / (now - before) for role, used_s in spent.items()}
            rest_s = machine_s - self._machine_s - sum(spent.values())
            look.cpu["other"] = max(0.0, rest_s / (now - before))
        self._cpu, self._at, self._machine_s = current, now, machine_s

    def _fill_workers(
        self, look: Look, roles: Iterable[tuple[psutil.Process, str, list[str]]]
    ) -> None:
        """A replica is a worker whose parent is none of the same pool: the others are its slots."""
        for process, role, words in roles:
            pool = role.removeprefix("worker-")
            if pool == role or words[0] == "tini":
                continue
            try:
                parent = self._known.get(process.ppid())
            except psutil.Error:
                continue
            if parent is not None and parent[1] == role and parent[2][0] != "tini":
                continue
            look.replicas[pool] = look.replicas.get(pool, 0) + 1
            if (slots := slots_of(words)) is not None:
                look.slots[pool] = look.slots.get(pool, 0) + slots


def _fill_memory(look: Look, roles: Iterable[tuple[psutil.Process, str, list[str]]]) -> None:
    for process, role, _ in roles:
        try:
            size = process.memory_full_info().pss
        except psutil.Error:
            continue
        look.memory[role] = look.memory.get(role, 0) + size
