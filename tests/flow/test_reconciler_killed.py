"""Reconcilers killed before and after every write of every duty, on both brokers: a fresh one
finishes what was begun, and nothing is done twice.

One trouble at a time: each round makes it anew for another upload, and a reconciler that will
die at its n-th write works on it, until one outlives the work. What the dead ones left lies
about meanwhile, as it would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from waiting import wait_until

from marea.lifecycle.loss import charge_loss
from marea.messages.job import Job
from marea.perform import Performer
from marea.queues.names import dead_letter_queue, queue_name
from marea.queues.rabbitmq import open_connection
from tests.flow.conftest import StartPlatform
from tests.flow.flow_platform import FlowPlatform, Worker
from tests.flow.fuse import ACKNOWLEDGED, Fuse, ProcessKilled
from tests.flow.photos import photo

QUEUE = queue_name("images", "normal")
WORK_S, TICK_S = 40, 4.0
"""How long a doomed reconciler works, and its ticks, on the platform's clock: a lease (15 s),
two heartbeats, two readings of the queues (5 s apart) and a republish pause (10 s)."""

ROUNDS_MAX = 60
"""Far more than any trouble takes writes (measured: 5 to 16): beyond it the work never ends."""


def announced(platform: FlowPlatform, name: str) -> Job:
    ref = platform.upload(f"{name}.jpg", photo(1))
    platform.announce(ref)
    return platform.job(ref)


def taken(platform: FlowPlatform, job: Job) -> tuple[Worker, Any]:
    """The job's message, in the hands of a worker that has just started."""
    worker = platform.worker()
    while (message := worker.consumer.take()).headers["id"] != job.id:
        worker.run(message)  # left over from an earlier round
    return worker, message


def never_announced(platform: FlowPlatform, name: str) -> None:
    platform.upload(f"{name}.jpg", photo(1))


def postponed(platform: FlowPlatform, name: str) -> None:
    """The store was away when its worker read the upload."""
    worker, message = taken(platform, announced(platform, name))
    worker.run(message, Fuse(2, "lose-reply"))
    assert platform.open_jobs().get("delayed"), platform.open_jobs()


def over_its_quota(platform: FlowPlatform, name: str) -> None:
    """Two uploads of a tenant that may have one job in the broker."""
    announced(platform, f"{name}/first")
    announced(platform, f"{name}/second")
    assert platform.open_jobs().get("waiting"), platform.open_jobs()
    platform.worker().work_off()


def accepted_only(platform: FlowPlatform, name: str) -> None:
    """The gateway died before it published."""
    ref = platform.upload(f"{name}.jpg", photo(1))
    with pytest.raises(ProcessKilled):
        platform.announce(ref, fuse=Fuse(3))
    assert platform.open_jobs().get("accepted"), platform.open_jobs()


def held_by_a_dead_worker(platform: FlowPlatform, name: str) -> None:
    worker, message = taken(platform, announced(platform, name))
    with pytest.raises(ProcessKilled):
        worker.run(message, Fuse(3))
    worker.die()


def message_lost(platform: FlowPlatform, name: str) -> None:
    """The broker no longer has it."""
    announced(platform, name)
    broker = platform.settings.broker
    if broker.kind == "redis":
        redis.Redis.from_url(broker.full_url).delete(QUEUE)
    else:
        with on_rabbitmq(platform) as channel:
            channel.queue_purge(QUEUE)


@contextmanager
def on_rabbitmq(platform: FlowPlatform) -> Iterator[Any]:
    """An administrator's channel."""
    connection = open_connection(platform.settings.broker)
    yield connection.channel()
    connection.release()


def all_attempts_lost(platform: FlowPlatform, name: str) -> None:
    """The last child was lost; its parent writes no record."""
    ref = platform.upload(f"{name}.jpg", photo(1), oracle="")
    platform.announce(ref)
    worker, message = taken(platform, platform.job(ref))
    with pytest.raises(ProcessKilled):
        worker.run(message, Fuse(2))
    row = platform.row(platform.job(ref))
    assert row is not None
    spent = platform.ports.ledger.save(row.but(attempts=platform.policy.max_attempts))
    assert spent is not None
    performer = Performer(platform.ports)
    loss = charge_loss(row.job.id, worker.name, "child-killed", "it was killed", platform.policy)
    charged = performer.run(loss)
    assert charged is not None
    assert charged.phase == "verdict"
    message.ack()
    worker.active.clear()


def refused_too_often(platform: FlowPlatform, name: str) -> None:
    """RabbitMQ has given up on the message."""
    announced(platform, name)
    worker = platform.worker()
    while (message := worker.consumer.take()) is not None:
        message.requeue()
    letters = dead_letter_queue("images")
    with on_rabbitmq(platform) as channel:
        wait_until(
            lambda: channel.queue_declare(letters, passive=True).message_count,
            "a dead letter has arrived",
        )


def everything_lost(platform: FlowPlatform, name: str) -> None:
    """But the bucket: the broker's and the ledger's data are gone."""
    message_lost(platform, name)
    if platform.settings.broker.kind == "redis":
        redis.Redis.from_url(platform.settings.broker.full_url).flushdb()
    redis.Redis.from_url(platform.settings.ledger.full_url).flushdb()


def done_but_nobody_was_told(platform: FlowPlatform, name: str) -> None:
    worker, message = taken(platform, announced(platform, name))
    worker.run(message)


@dataclass(frozen=True)
class Trouble:
    """What happens before a reconciler comes, and what it then must have written for it."""

    make: Callable[[FlowPlatform, str], None]
    writes: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


PUBLISHED = ("ledger.save_many", "publisher.publish_many", "ledger.save_many")
TROUBLES = {
    "never announced": Trouble(never_announced, PUBLISHED),
    "postponed": Trouble(postponed, PUBLISHED),
    "over its quota": Trouble(over_its_quota, PUBLISHED, {"reconciler": {"tenant_quota": 1}}),
    "accepted only": Trouble(accepted_only, PUBLISHED),
    "held by a dead worker": Trouble(held_by_a_dead_worker, PUBLISHED),
    "message lost": Trouble(message_lost, PUBLISHED),
    "everything lost": Trouble(everything_lost, ("broker.set_epoch", *PUBLISHED)),
}


def kill_at_every_write(platform: FlowPlatform, make: Callable[[FlowPlatform, str], None]) -> Fuse:
    """One reconciler per write that the trouble asks for; the fuse of the one that lived."""
    for place in range(ROUNDS_MAX):
        make(platform, str(place))
        fuse = Fuse(place, only_writes=True)
        with suppress(ProcessKilled):
            reconciler = platform.reconciler(fuse)
            for _ in range(int(WORK_S / TICK_S)):
                platform.pass_time(TICK_S)
                reconciler.tick()
        if not fuse.has_blown:
            return fuse
    raise AssertionError(f"still something to write after {ROUNDS_MAX} reconcilers")


def require_writes(fuse: Fuse, *names: str) -> None:
    """The rounds were about what they claim to be about."""
    for name in names:
        assert fuse.calls.count(name) >= names.count(name), fuse.calls


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_reconciler_killed_at_any_write_leaves_nothing_undone_or_done_twice(
    start_platform: StartPlatform, trouble: Trouble
) -> None:
    platform = start_platform(**trouble.settings)
    fuse = kill_at_every_write(platform, trouble.make)
    require_writes(fuse, *trouble.writes)
    platform.recover()
    platform.judge()
    assert {platform.record(job).state for job in platform.uploaded} == {"done"}


def test_a_spent_budget_ends_dead_once_though_reconcilers_die(platform: FlowPlatform) -> None:
    require_writes(kill_at_every_write(platform, all_attempts_lost), "store.put", "ledger.save")
    platform.recover()
    platform.judge()
    assert {platform.record(job).code for job in platform.uploaded} == {"child-killed"}


def test_a_dead_letter_read_twice_does_not_end_a_good_upload(
    start_on_rabbitmq: StartPlatform,
) -> None:
    """It is acknowledged last: a reconciler that dies before that leaves it to the next."""
    platform = start_on_rabbitmq(broker={"delivery_limit": 1})
    fuse = kill_at_every_write(platform, refused_too_often)
    require_writes(fuse, "ledger.save", "publisher.publish", "ledger.save_many", ACKNOWLEDGED)
    platform.recover()
    platform.judge()
    for job in platform.uploaded:
        record = platform.record(job)
        assert (record.state, record.worker.split("@")[0]) == ("done", "quarantine")


def test_every_notification_is_sent_though_reconcilers_die(start_platform: StartPlatform) -> None:
    platform = start_platform(notify={"url": "http://subscriber.invalid/"})
    fuse = kill_at_every_write(platform, done_but_nobody_was_told)
    require_writes(fuse, "notifier.send", "ledger.outbox_remove")
    platform.recover()
    told = {notification.job_id for notification in platform.notifier.sent}
    assert told == {job.id for job in platform.uploaded}
    assert platform.ports.ledger.outbox_due(platform.clock.now() + 1e6, 100) == []
