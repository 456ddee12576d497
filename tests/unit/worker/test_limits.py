"""Limits are set on the process itself, so each test runs in a fork that ends with it."""

from __future__ import annotations

import math
import multiprocessing
import resource
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from marea.worker import limits

MIB = 2**20


def in_a_fork(body: Callable[[], None]) -> None:
    """Run `body` in a forked process; its failure is the test's."""

    def run(pipe: Connection) -> None:
        try:
            body()
        except BaseException:
            pipe.send(traceback.format_exc())
        else:
            pipe.send("")

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run, args=(theirs,))
    process.start()
    assert ours.poll(30), "the fork did not answer"
    failure = ours.recv()
    process.join(30)
    assert not failure, failure


def test_a_job_gets_the_memory_it_is_granted_and_no_more() -> None:
    def body() -> None:
        with limits.job_limits(256 * MIB, 0):
            assert len(bytearray(128 * MIB)) == 128 * MIB
            try:
                bytearray(512 * MIB)
            except MemoryError:
                return
            raise AssertionError("twice the granted memory was given")

    in_a_fork(body)


def test_memory_is_granted_above_what_the_process_has_already() -> None:
    def body() -> None:
        ballast = bytearray(600 * MIB)
        with limits.job_limits(256 * MIB, 0):
            assert len(bytearray(128 * MIB)) + len(ballast) == 728 * MIB

    in_a_fork(body)


def test_limits_end_with_the_job_also_if_it_fails() -> None:
    def body() -> None:
        before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
        try:
            with limits.job_limits(256 * MIB, 30):
                assert resource.getrlimit(resource.RLIMIT_AS) != before[0]
                raise ValueError
        except ValueError:
            after = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
        assert after == before
        assert len(bytearray(512 * MIB)) == 512 * MIB

    in_a_fork(body)


def test_processor_time_counts_from_the_start_of_the_job() -> None:
    def body() -> None:
        begun = resource.getrusage(resource.RUSAGE_SELF)
        while resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun.ru_utime < 0.2:
            pass
        used = resource.getrusage(resource.RUSAGE_SELF)
        with limits.job_limits(0, 1000):
            soft, _hard = resource.getrlimit(resource.RLIMIT_CPU)
            assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
        assert soft >= used.ru_utime + used.ru_stime + 1000 + limits.CPU_MARGIN_S
        cores = multiprocessing.cpu_count()
        assert soft <= math.ceil(used.ru_utime + used.ru_stime + 1) + 1000 * cores + 11

    in_a_fork(body)


def test_no_limit_asks_for_none() -> None:
    def body() -> None:
        before = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
        with limits.job_limits(0, 0):
            inside = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
        assert inside == before

    in_a_fork(body)


def test_a_stricter_limit_of_the_machine_stays() -> None:
    def body() -> None:
        strict = limits.address_space_bytes()
        assert strict is not None
        strict += 64 * MIB
        resource.setrlimit(resource.RLIMIT_AS, (strict, strict))
        with limits.job_limits(1024 * MIB, 0):
            assert resource.getrlimit(resource.RLIMIT_AS) == (strict, strict)

    in_a_fork(body)


def test_a_child_leaves_no_core_dump_and_no_endless_file() -> None:
    def body() -> None:
        limits.limit_child()
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == limits.FILE_SIZE_BYTES
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= limits.OPEN_FILES

    in_a_fork(body)
