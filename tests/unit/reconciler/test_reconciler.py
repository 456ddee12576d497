"""The reconciler's process on memory adapters: what each duty puts right."""

from __future__ import annotations

import pytest

from marea.errors import StoreUnavailable, TransientError
from marea.lifecycle.commands import run_again, submit_job
from marea.messages.job import Job
from marea.messages.notification import Notification
from marea.notify.memory import MemoryNotifier
from marea.settings import NotifySettings, ReconcilerSettings, Settings
from marea.storage.naming import intent_key
from tests.simulation.world import POOL, RESERVED, RESULTS, SOURCE
from tests.unit.reconciler.reconciler_bench import Bench


def test_finds_an_upload_that_no_event_announced() -> None:
    bench = Bench()
    job = bench.job(bench.upload("photo"))
    bench.tick(seconds=bench.settings.reconciler.sweep_grace_s + 1)
    assert bench.phase(job) == "queued"
    assert [outcome.event for outcome in bench.work_off()] == ["done"]


def test_leaves_a_young_upload_to_its_event() -> None:
    bench = Bench()
    job = bench.job(bench.upload("photo"))
    bench.tick()
    assert bench.phase(job) is None


def test_looks_again_soon_after_it_met_young_uploads() -> None:
    bench = Bench()
    job = bench.job(bench.upload("photo"))
    bench.tick()
    bench.tick(seconds=bench.settings.reconciler.sweep_grace_s + 1)
    assert bench.phase(job) == "queued"


def test_rebuilds_all_work_from_the_bucket_when_broker_and_ledger_are_emptied() -> None:
    bench = Bench()
    jobs = [bench.hear_of(bench.upload(f"photo{number}")) for number in range(5)]
    bench.tick()
    bench.broker.wipe()
    bench.ledger.__init__(bench.clock)  # type: ignore[misc]  # emptied, as by FLUSHALL
    bench.tick(times=2, seconds=bench.settings.reconciler.sweep_grace_s + 1)
    bench.work_off()
    assert [bench.phase(job) for job in jobs] == ["done"] * 5


def test_publishes_what_the_broker_alone_lost() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo"))
    bench.tick()
    bench.broker.wipe()
    bench.tick(times=6, seconds=6.0)
    assert [outcome.event for outcome in bench.work_off()] == ["done"]
    assert bench.phase(job) == "done"


def test_returns_a_dead_workers_message_within_thirty_seconds_with_no_worker_left() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo"))
    bench.beat("images@w1")
    assert bench.broker.take("images@w1", [POOL]) is not None
    died_at = bench.clock.now()
    while not any(depth.ready for depth in bench.broker.depths([POOL]).values()):
        bench.tick()
        assert bench.clock.now() - died_at < 30
    assert bench.phase(job) == "queued"


def test_publishes_a_dead_workers_job_when_its_lease_ends_though_its_message_is_gone() -> None:
    """RabbitMQ delivers a dead worker's messages again at once; the claims still live then."""
    bench = Bench(redelivers=True)
    job = bench.hear_of(bench.upload("photo"))
    bench.beat("images@w1")
    assert bench.broker.take("images@w1", [POOL]) is not None
    row = bench.ledger.load(job.id)
    assert row is not None
    claim = row.but(phase="running", owner="images@w1#1", attempts=1, started_at=bench.clock.now())
    assert bench.ledger.save(claim) is not None
    bench.broker.crash("images@w1")
    assert [outcome.event for outcome in bench.work_off("images@w2")] == ["dropped"]
    bench.tick(times=int(bench.policy.lease_s) + 2)
    assert [outcome.event for outcome in bench.work_off("images@w2")] == ["done"]
    row = bench.ledger.load(job.id)
    assert row is not None
    assert (row.attempts, row.suspects) == (1, 1)  # one start charged, the lost one not


def test_leaves_a_live_workers_message_where_it_is() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("photo"))
    assert bench.broker.take("images@w1", [POOL]) is not None
    for _ in range(40):
        bench.beat("images@w1")
        bench.tick()
    assert sum(depth.ready for depth in bench.broker.depths([POOL]).values()) == 0


def test_one_failing_duty_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.hear_of(bench.upload("photo"))
    bench.beat("images@w1")
    bench.broker.take("images@w1", [POOL])

    def away(*_arguments: object, **_named: object) -> None:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(bench.store, "list_versions", away)
    bench.tick(times=40)
    assert sum(depth.ready for depth in bench.broker.depths([POOL]).values()) == 1


def test_a_sweep_goes_on_where_an_earlier_reconciler_stopped() -> None:
    settings = Settings(reconciler=ReconcilerSettings(page_size=1, sweep_grace_s=0))
    bench = Bench(settings)
    bench.tick()
    jobs = [bench.job(bench.upload(f"photo{number}")) for number in range(10)]
    bench.clock.sleep(1)
    sweeper = bench.reconciler.sweeper
    sweeper._begin(bench.clock.now())
    assert sweeper._sweep is not None
    sweeper._go_on(sweeper._sweep)  # four pages of one object each
    done = [job for job in jobs if bench.phase(job)]
    assert len(done) == 4
    listed_before = _source_listings(bench)
    bench.restart_reconciler().tick()
    assert all(bench.phase(job) for job in jobs)
    assert _source_listings(bench) - listed_before <= 7


def _source_listings(bench: Bench) -> int:
    counter = getattr(bench.store, "_counted", None)
    if counter is None:
        original, counter = bench.store.list_versions, [0]

        def counting(bucket: str, **named: object) -> object:
            counter[0] += bucket == SOURCE
            return original(bucket, **named)  # type: ignore[arg-type]

        bench.store.list_versions = counting  # type: ignore[method-assign,assignment]
        bench.store._counted = counter  # type: ignore[attr-defined]
    return int(counter[0])


def test_a_submitted_job_survives_the_loss_of_the_ledger_and_its_intent_is_removed() -> None:
    bench = Bench()
    bench.plan = lambda _facts: _unrouted()  # type: ignore[method-assign]
    bench.restart_reconciler()
    job = Job(bench.upload("raw"), "gray", POOL, origin="api")
    bench.performer.run(submit_job(job, bench.place, bench.policy))
    bench.broker.wipe()
    bench.ledger.__init__(bench.clock)  # type: ignore[misc]
    bench.tick(times=2, seconds=11)
    assert [outcome.event for outcome in bench.work_off()] == ["done"]
    bench.tick(times=70)
    assert bench.store.head(RESULTS, intent_key(RESERVED, job.id)) is None


def _unrouted() -> object:
    from marea.routing.route import Plan

    return Plan("unrouted", "no rule matches")


def test_a_replay_ends_its_intent_with_a_younger_record() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo", b"bad"))
    bench.work_off()
    assert bench.phase(job) == "rejected"
    bench.clock.sleep(1)
    bench.performer.run(run_again(job, "replay", bench.place, bench.policy))
    bench.clock.sleep(1)
    bench.work_off()
    bench.tick(times=70)
    assert bench.phase(job) == "rejected"
    assert bench.store.head(RESULTS, intent_key(RESERVED, job.id)) is None


def test_a_dead_webhook_is_tried_again_with_pauses_and_then_given_up() -> None:
    settings = Settings(notify=NotifySettings(url="http://hook", max_tries=3))

    def away(_notification: Notification) -> None:
        raise TransientError("the receiver is away")

    bench = Bench(settings, MemoryNotifier(away))
    job = bench.hear_of(bench.upload("photo"))
    assert [outcome.event for outcome in bench.work_off()] == ["done"]
    assert bench.phase(job) == "done"  # nobody waited for the webhook
    bench.tick(times=60)
    given_up = bench.ledger.notes("notifications-given-up")
    assert [note["job_id"] for note in given_up] == [job.id]


def test_the_sweeps_report_counts_every_class() -> None:
    bench = Bench()
    bench.hear_of(bench.upload("queued"))
    done = bench.hear_of(bench.upload("done"))
    bench.work_off()
    assert bench.phase(done) == "done"
    bench.hear_of(bench.upload("queued-2"))
    bench.tick(seconds=11)
    report = bench.ledger.value("sweep-report")
    assert report is not None
    assert report["classes"] == {"recorded": 2, "in_flight": 1}
