"""Design rules 11 to 13, where no other test holds them: what waits, keys, tenants."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from marea.errors import TransientError
from marea.gateway.ports import Submission
from marea.lifecycle import duties
from marea.lifecycle.commands import submit_job
from marea.lifecycle.policy import Policy
from marea.messages.job import Job
from marea.messages.notification import Notification
from marea.messages.objects import ObjectRef
from marea.notify.memory import MemoryNotifier
from marea.routing.route import Plan, UploadFacts
from marea.settings import NotifySettings, Settings
from tests.flow.conftest import StartPlatform
from tests.flow.flow_platform import FlowPlatform
from tests.flow.photos import photo
from tests.simulation.world import POOL
from tests.unit.reconciler.reconciler_bench import Bench

# rule 11


def test_a_job_for_later_is_published_when_its_time_has_come_and_not_before(
    platform: FlowPlatform,
) -> None:
    ref = platform.upload("later.raw", photo(1), pipelines=("thumbnail",))
    asked_at = platform.clock.now()
    platform.gateway().submit(Submission(ref, "thumbnail", not_before=asked_at + 90.0))
    reconciler = platform.reconciler()
    while platform.clock.now() + 1.0 < asked_at + 90.0:
        platform.pass_time(1.0)
        reconciler.tick()
        assert platform.messages() == 0
    platform.pass_time(1.5)
    reconciler.tick()
    assert platform.messages() == 1
    platform.recover()
    platform.judge()


def test_a_job_that_comes_due_while_the_broker_is_away_is_published_when_it_is_back() -> None:
    bench = Bench()
    bench.tick()
    job = replace(bench.job(bench.upload("photo")), not_before=bench.clock.now() + 30.0)
    _, is_on_its_way = bench.performer.run(submit_job(job, bench.place, bench.policy))
    assert is_on_its_way
    bench.broker.available = False
    bench.tick(times=60)
    assert bench.phase(job) in ("delayed", "accepted")
    bench.broker.available = True
    bench.tick(times=15)
    assert [outcome.event for outcome in bench.work_off()] == ["done"]


def test_a_webhook_that_hangs_up_costs_no_worker_a_moment_and_no_job_its_result() -> None:
    calls: list[Notification] = []

    def hang_up(notification: Notification) -> None:
        calls.append(notification)
        raise TransientError("nobody answers")

    settings = Settings(notify=NotifySettings(url="http://subscriber.invalid/"))
    bench = Bench(settings, MemoryNotifier(hang_up))
    jobs = [bench.hear_of(bench.upload(f"photo{number}")) for number in range(10)]
    bench.work_off()
    assert {bench.phase(job) for job in jobs} == {"done"}
    assert calls == [], "a worker has waited for a subscriber"
    bench.tick()
    assert {notification.job_id for notification in calls} == {job.id for job in jobs}


# rule 12


def test_of_two_uploads_that_share_a_result_the_second_is_rejected_and_told_why(
    start_on_redis: StartPlatform,
) -> None:
    platform = start_on_redis()
    first = platform.upload("web/photo.jpg", photo(1))
    platform.announce(first)
    platform.worker().work_off()
    second = platform.upload("web/photo.png", photo(2), oracle="bad")
    platform.announce(second)
    platform.recover()
    platform.judge()
    assert platform.record(platform.job(first)).state == "done"
    record = platform.record(platform.job(second))
    assert (record.state, record.code) == ("rejected", "result-key-taken")
    assert "web/photo_web_320.webp" in record.reason
    assert "another result template" in record.reason


def test_a_key_in_any_script_gets_its_result(start_on_redis: StartPlatform) -> None:
    """Metadata is ASCII only: the key is in it as its hash."""
    platform = start_on_redis()
    for key in ("fotos/año 2024 ✓ (1).jpg", "写真/海 潮.jpg", "a+b&c=%20d.jpg"):
        platform.announce(platform.upload(key, photo(3)))
    platform.recover()
    platform.judge()
    assert {platform.record(job).state for job in platform.uploaded} == {"done"}


# rule 13


class TenantBench(Bench):
    """The first folder of a key is its tenant."""

    def plan(self, facts: UploadFacts) -> Plan:
        return Plan("routed", "test", (self.job(facts.ref),))

    def job(self, ref: ObjectRef) -> Job:
        return Job(ref, "gray", POOL, tenant=ref.key.split("/")[0])


def test_a_tenant_never_has_more_than_its_quota_in_the_broker_and_holds_up_nobody() -> None:
    bench = TenantBench()
    bench.policy = Policy(tenant_quota=2)
    bench.restart_reconciler()
    jobs = [bench.hear_of(bench.upload(f"big/{number:02}")) for number in range(10)]
    jobs += [bench.hear_of(bench.upload(f"small/{number}")) for number in range(2)]
    turns = 0
    while Counter(bench.phase(job) for job in jobs) != {"done": len(jobs)}:
        assert bench.ledger.tenants_in_broker(["big"])["big"] <= 2
        bench.work_off()
        if turns == 0:
            assert [bench.phase(job) for job in jobs[-2:]] == ["done", "done"]
        bench.tick()
        turns += 1
        assert turns <= len(jobs), "somebody waits for ever"


def test_waiting_jobs_are_released_a_turn_per_tenant() -> None:
    bench = TenantBench()
    bench.policy = Policy(tenant_quota=1)
    jobs = [
        bench.hear_of(bench.upload(f"{tenant}/{number}"))
        for tenant in ("early", "late")
        for number in range(10)
    ]
    assert Counter(bench.phase(job) for job in jobs) == {"queued": 2, "waiting": 18}
    bench.performer.run(duties.release_waiting(Policy(tenant_quota=100), 6))
    released = Counter(job.tenant for job in jobs if bench.phase(job) == "queued")
    assert released == {"early": 4, "late": 4}
