"""Roles of this machine's processes, by their command lines, and what they use."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from loadtest.observe.look import Look, Unseen
from loadtest.observe.processes import ProcessSource, role_of, slots_of

SHELL = "/bin/sh"


@pytest.mark.parametrize(
    ("line", "role"),
    [
        ("/x/python -m marea --env f worker --pool images --concurrency 2", "worker-images"),
        ("tini -- marea worker --pool images", "worker-images"),
        ("/opt/marea/bin/python /opt/marea/bin/marea worker --pool tables", "worker-tables"),
        ("/opt/marea/bin/python /opt/marea/bin/marea gateway", "gateway"),
        ("/x/python -m marea --env f reconciler", "reconciler"),
        ("marea autoscaler --once", "autoscaler"),
        ("/x/python -m marea up --workers 1", "autoscaler"),
        ("/usr/bin/minio server /data --address :9000", "store"),
        ("minio server /data", "store"),
        ("/usr/bin/redis-server *:6379", "broker"),
        ("valkey-server 127.0.0.1:6380", "broker"),
        ("/usr/lib/erlang/erts-13/bin/beam.smp -W w -K true", "broker"),
        ("/usr/local/bin/kubelet --config x", "kubernetes"),
        ("kube-apiserver --etcd-servers x", "kubernetes"),
        ("/usr/bin/containerd-shim-runc-v2 -namespace k8s.io", "kubernetes"),
        ("vim /srv/me/marea/gateway.py", None),
        ("vim /srv/me/marea", None),
        ("code /srv/marea worker.py", None),
        ("/x/python -m pytest tests -k marea", None),
        ("/x/python -m marea status", None),
        ("/x/python -m marea-like gateway", None),
        ("tail -f /var/log/minio.log", None),
        ("redis-cli monitor", None),
        ("cp /usr/bin/minio /tmp", None),
        ("vim /etc/kubernetes/kubelet", None),
        ("marea worker --pool", None),
        ("marea worker", None),
    ],
)
def test_a_command_line_has_a_role_or_none(line: str, role: str | None) -> None:
    assert role_of(line.split()) == role


def test_a_process_without_words_has_no_role() -> None:
    assert role_of([]) is None


@pytest.mark.parametrize(
    ("line", "slots"),
    [
        ("marea worker --pool images --concurrency 2", 2),
        ("marea worker --concurrency 16 --pool images", 16),
        ("marea worker --pool images", None),
        ("marea worker --pool images --concurrency", None),
        ("marea worker --pool images --concurrency many", None),
    ],
)
def test_a_workers_slots_are_told_by_its_command_line_or_not_known(
    line: str, slots: int | None
) -> None:
    assert slots_of(line.split()) == slots


@contextmanager
def stand_in(words: str, *, doubled: bool = False) -> Iterator[list[psutil.Process]]:
    """A shell that waits for its input, under the command line of a worker; `doubled`: with a
    child of the same command line, as a worker has for each slot."""
    script = "(read line) & wait" if doubled else "read line"
    if doubled:
        script = "exec 3<&0; (read line <&3; :) & echo there; wait"
    first, *others = words.split()
    process = subprocess.Popen(
        [first, "-c", script, *others],
        executable=SHELL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if doubled:
            assert process.stdout.readline() == b"there\n"
        own = psutil.Process(process.pid)
        yield [own, *own.children()]
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_this_process_is_the_generator_and_without_a_worker_that_is_told() -> None:
    source = ProcessSource(lambda: [psutil.Process()])
    for look in (first := Look(0.0), second := Look(1.0)):
        with pytest.raises(Unseen, match="no process of the platform"):
            source.fill(look)
    assert first.memory["generator"] > 1_000_000
    assert first.cpu == {}
    assert second.cpu["generator"] >= 0.0
    assert second.cpu["other"] >= 0.0
    assert (second.replicas, second.slots) == ({}, {})


def test_all_processes_of_the_machine_are_looked_at() -> None:
    source, look = ProcessSource(), Look(0.0)
    try:
        source.fill(look)
    except Unseen:
        assert not any(role.startswith("worker-") for role in look.memory)
    assert look.memory["generator"] >= psutil.Process(os.getpid()).memory_full_info().pss // 2


def test_a_worker_is_a_replica_with_its_slots() -> None:
    with stand_in("marea worker --pool tried --concurrency 3") as processes:
        look = Look(0.0)
        ProcessSource(lambda: processes).fill(look)
    assert look.replicas == {"tried": 1}
    assert look.slots == {"tried": 3}
    assert look.memory["worker-tried"] > 0


def test_the_processes_of_a_workers_slots_are_no_replicas() -> None:
    with stand_in("marea worker --pool tried --concurrency 1", doubled=True) as processes:
        assert len(processes) == 2
        look = Look(0.0)
        ProcessSource(lambda: processes).fill(look)
    assert look.replicas == {"tried": 1}
    assert look.slots == {"tried": 1}


def test_a_process_that_has_ended_is_passed_over() -> None:
    with stand_in("marea worker --pool tried") as ended:
        pass
    with stand_in("marea worker --pool tried") as alive:
        look = Look(0.0)
        ProcessSource(lambda: [*ended, *alive]).fill(look)
    assert look.replicas == {"tried": 1}
    assert look.slots == {}


def test_of_two_platforms_on_a_machine_only_the_one_that_was_started_is_counted() -> None:
    with (
        stand_in("marea worker --pool ours --concurrency 1") as ours,
        stand_in("marea worker --pool theirs --concurrency 1") as theirs,
    ):
        look = Look(0.0)
        ProcessSource(lambda: [*ours, *theirs], platform_pid=ours[0].pid).fill(look)
    assert look.replicas == {"ours": 1}
    assert "worker-theirs" not in look.memory
