"""What one job may take of the machine: memory, processor time, files.

The kernel enforces it in the prefork child that runs the job, so that native decoders are
bound too. Set anew for each job: that costs 19 µs (measured, three times 20,000), a fork per
job would cost 25 ms.
The soft limits alone are moved: an unprivileged child could never raise a hard one again.

    memory spent     malloc fails -> MemoryError -> the pipeline rejects the file
    processor spent  SIGXCPU ends the child -> its parent charges the loss
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CPU_MARGIN_S = 10.0
"""Above the hard time limit, which the parent enforces and which should come first; a gut
feeling. This limit is for when the parent cannot, e.g. while it reconnects to the broker."""

FILE_SIZE_BYTES = 4 * 2**30
"""The largest file a child may write. Steps write none; a decoder that spills without bound
must not fill the node's disk. Generous, because a log file behind stdout counts too."""

OPEN_FILES = 4096
"""Far above what a child holds open (measured: 16 while it runs a job, the store's connections
not counted), far below the billion that some container runtimes allow, which makes closing
inherited descriptors take seconds."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def address_space_bytes() -> int | None:
    """The process's present VmSize; None where there is no /proc."""
    try:
        return int(_STATM.read_bytes().split(None, 1)[0]) * _PAGE_BYTES
    except OSError:
        return None


def limit_child() -> None:
    """Set what holds for a child's whole life: open files, file size, no core dumps.

    A core dump of a child that holds an upload would write that upload to the node's disk.
    """
    _lower_soft(resource.RLIMIT_CORE, 0)
    _lower_soft(resource.RLIMIT_FSIZE, FILE_SIZE_BYTES)
    _lower_soft(resource.RLIMIT_NOFILE, OPEN_FILES)


@contextmanager
def job_limits(memory_bytes: int, time_s: float) -> Iterator[None]:
    """Bound the enclosed job to `memory_bytes` above what the process has mapped now, and to
    `time_s` (and a margin) on every core from now; restore both afterwards. 0 = no bound.

    On every core, because native libraries use them all: 150 s may be 600 s of processor time.
    """
    memory_before = resource.getrlimit(resource.RLIMIT_AS)
    cpu_before = resource.getrlimit(resource.RLIMIT_CPU)
    used_bytes = address_space_bytes()
    if memory_bytes and used_bytes is not None:
        _lower_soft(resource.RLIMIT_AS, used_bytes + memory_bytes)
    if time_s:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used_s = usage.ru_utime + usage.ru_stime
        _lower_soft(resource.RLIMIT_CPU, math.ceil(used_s + time_s * _cores() + CPU_MARGIN_S))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory_before)
        resource.setrlimit(resource.RLIMIT_CPU, cpu_before)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lower_soft(limit: int, wanted: int) -> None:
    """Set the soft limit to `wanted`, or keep the present one where that is stricter."""
    soft, hard = resource.getrlimit(limit)
    allowed = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(limit, (min([wanted, *allowed]), hard))
