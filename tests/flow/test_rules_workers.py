"""Design rules 6 to 9, where no other test holds them: evidence, claims, leases, the budget."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from waiting import wait_until

from marea.lifecycle.claim import owner_name, owner_worker
from marea.lifecycle.process import Outcome, WorkContext, process_job
from marea.messages.job import Job
from marea.messages.record import Record
from marea.perform import Performer
from marea.queues.names import QUARANTINE_POOL
from tests.flow.conftest import StartPlatform
from tests.flow.flow_platform import FlowPlatform
from tests.flow.fuse import Fuse, ProcessKilled, fused
from tests.flow.photos import photo
from tests.simulation.world import POOL, RESULTS
from tests.unit.reconciler.reconciler_bench import Bench


def queue_many(bench: Bench, count: int) -> list[Job]:
    bench.tick()  # has found the epoch missing, as a first reconciler does
    jobs = []
    for number in range(count):
        bench.clock.sleep(0.01)
        jobs.append(bench.hear_of(bench.upload(f"photo{number:03}")))
    return jobs


def run_one(bench: Bench, worker: str, pool: str = POOL, fuse: Fuse | None = None) -> Outcome:
    """The next message, run by `worker`, which acknowledges it if it lives."""
    bench.beat(worker)
    delivery = bench.broker.take(worker, [pool])
    assert delivery is not None
    context = WorkContext(
        owner_name(worker, str(delivery.tag)), pool == QUARANTINE_POOL, bench.policy,
        bench.place, bench.pipelines,
    )  # fmt: skip
    performer = Performer(fused(bench.performer.ports, fuse or Fuse()))
    outcome = performer.run(process_job(delivery.job, context))
    bench.broker.ack(worker, delivery)
    return outcome


def publishes(bench: Bench, jobs: list[Job]) -> list[int]:
    rows = bench.ledger.load_many([job.id for job in jobs])
    return [rows[job.id].publishes for job in jobs]


# rule 6


def test_a_queue_an_hour_deep_is_not_published_again() -> None:
    bench = Bench()
    jobs = queue_many(bench, 60)
    for _ in jobs:
        run_one(bench, "images@slow")
        for _ in range(12):
            bench.beat("images@slow")
            bench.tick(seconds=5.0)
    assert publishes(bench, jobs) == [1] * 60


def test_a_message_lost_from_a_deep_queue_is_missed_and_only_that_one_published() -> None:
    bench = Bench()
    jobs = queue_many(bench, 60)
    bench.tick(times=10)
    bench.broker.drop(1)
    bench.tick(times=20)
    assert publishes(bench, jobs) == [2] + [1] * 59
    bench.work_off()
    assert {bench.phase(job) for job in jobs} == {"done"}


def test_a_message_that_is_lost_again_and_again_is_published_ever_more_rarely() -> None:
    bench = Bench()
    jobs = queue_many(bench, 1)
    published_at = [bench.clock.now()]
    for _ in range(400):
        bench.broker.drop(1)
        bench.tick()
        if publishes(bench, jobs)[0] > len(published_at):
            published_at.append(bench.clock.now())
    pauses = [after - before for before, after in pairwise(published_at)]
    base_s = bench.policy.republish_backoff_s
    assert len(pauses) >= 4
    assert all(pause >= base_s * 2**number for number, pause in enumerate(pauses)), pauses


# rule 7


def test_a_message_that_meets_a_live_claim_is_not_lost_when_the_claimant_dies(
    platform: FlowPlatform,
) -> None:
    """A worker's connection breaks while its child runs on; its message comes to another
    worker, is found to be running, and then the first one dies after all."""
    ref = platform.upload("photo.jpg", photo(1))
    platform.announce(ref)
    first, second = platform.worker(), platform.worker()
    with suppress(ProcessKilled):
        first.run(first.consumer.take(), Fuse(2))  # it has claimed, and is still at it
    first.consumer.die()
    platform.broker.requeue(first.name)  # Redis: somebody has taken it for dead
    wait_until(lambda: platform.messages() == 1, "the message has come back")
    second.work_off()
    row = platform.row(platform.job(ref))
    assert row is not None
    assert (row.phase, owner_worker(row.owner)) == ("running", first.name)
    first.die()
    platform.recover()
    platform.judge()
    ended = platform.row(platform.job(ref))
    assert ended is not None
    assert (ended.phase, ended.attempts) == ("done", 1)


# rule 8


def test_a_dead_workers_messages_are_back_within_thirty_seconds_with_no_worker_left(
    start_on_redis: StartPlatform,
) -> None:
    platform = start_on_redis()
    reconciler = platform.reconciler()
    ref = platform.upload("photo.jpg", photo(1))
    platform.announce(ref)
    worker = platform.worker()
    with suppress(ProcessKilled):
        worker.run(worker.consumer.take(), Fuse(2))
    reconciler.tick()
    worker.die()  # right after a heartbeat, the worst moment
    died_at = platform.clock.now()
    while not platform.messages():
        platform.pass_time(platform.settings.reconciler.tick_s)
        reconciler.tick()
        assert platform.clock.now() - died_at < 30.0
    row = platform.row(platform.job(ref))
    assert row is not None
    assert row.phase == "queued"


# rule 9


def test_a_job_that_takes_workers_with_it_even_alone_ends_dead_and_says_why() -> None:
    bench = Bench()
    (job,) = queue_many(bench, 1)
    deaths = []
    while bench.phase(job) != "dead":
        row = bench.ledger.load(job.id)
        assert row is not None
        pool = QUARANTINE_POOL if row.is_quarantined else POOL
        worker = f"{pool}@doomed-{len(deaths)}"
        try:
            run_one(bench, worker, pool, Fuse(2))
        except ProcessKilled:
            deaths.append(pool)
        assert len(deaths) < 10, "it is given workers for ever"
        bench.broker.crash(worker)
        bench.tick(times=40)
    assert deaths == [POOL] * 2 + [QUARANTINE_POOL] * bench.policy.max_attempts
    head = bench.store.head(RESULTS, bench.place.record_key(job))
    assert head is not None
    record = Record.from_json(bench.store.get(head.ref).data)
    assert (record.state, record.code, record.attempts) == ("dead", "worker-lost", 3)
    assert "running it alone" in record.reason
    assert "marea dead replay" in record.reason


@pytest.mark.parametrize("call", [2, 4], ids=["reading the upload", "writing the result"])
def test_trouble_with_the_store_is_never_charged(call: int) -> None:
    bench = Bench()
    (job,) = queue_many(bench, 1)
    for number in range(3 * bench.policy.max_attempts):
        fuse = Fuse(call, "lose-reply")
        assert run_one(bench, "images@w1", fuse=fuse).event == "delayed", (number, fuse.calls)
        bench.tick(seconds=bench.policy.retry_backoff_max_s + 1)
    bench.work_off()
    row = bench.ledger.load(job.id)
    assert row is not None
    assert (row.phase, row.attempts) == ("done", 1)
