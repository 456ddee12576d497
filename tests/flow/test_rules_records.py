"""Design rules 1 to 5, where no other test holds them: identity, records, order, no locks.

On the memory adapters, which pass the same contract suite as the servers.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from marea.errors import ConfigError, PermanentError
from marea.lifecycle.commands import cancel_job, run_again
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.messages.record import Record
from marea.perform import Performer
from marea.pipelines.pipeline import Produced, Source
from marea.reconciler.stale import stale_jobs
from marea.settings import Settings, StoreSettings
from marea.wiring import check_store
from tests.flow.fuse import Fuse, fused
from tests.simulation.world import POOL, RESULTS, SOURCE, Stamp
from tests.unit.reconciler.reconciler_bench import Bench
from tests.unit.storage.test_probing import OlderStore

OTHER_DIGEST = "fedcba9876543210"


@dataclass(frozen=True)
class Refusing(Stamp):
    """The same pipeline after a change for the worse."""

    def run(self, source: Source) -> Produced:
        raise PermanentError("nothing is good enough any more", code="too-strict")


def done(bench: Bench, key: str = "photo", body: bytes = b"x") -> Job:
    job = bench.hear_of(bench.upload(key, body))
    bench.work_off()
    assert record(bench, job).state == "done"
    return job


def record(bench: Bench, job: Job) -> Record:
    head = bench.store.head(RESULTS, bench.place.record_key(job))
    assert head is not None
    return Record.from_json(bench.store.get(head.ref).data)


def shown(bench: Bench, key: str = "photo_gray") -> bytes | None:
    head = bench.store.head(RESULTS, key)
    return None if head is None else bench.store.get(head.ref).data


def sweep(bench: Bench) -> None:
    """A whole sweep by a reconciler that has just started, past every grace."""
    bench.clock.sleep(bench.settings.reconciler.sweep_interval_s)
    bench.restart_reconciler().tick()


def queued(bench: Bench) -> int:
    return sum(depth.ready for depth in bench.broker.depths([POOL]).values())


# rule 1


def test_a_changed_pipeline_does_not_make_a_sweep_find_the_bucket_missing() -> None:
    bench = Bench()
    for number in range(5):
        done(bench, f"photo{number}")
    bench.pipelines["gray"] = Stamp("gray", digest=OTHER_DIGEST)
    sweep(bench)
    assert queued(bench) == 0


def test_a_rerender_makes_stale_results_anew_and_retires_what_is_no_longer_made() -> None:
    bench = Bench()
    bench.pipelines["gray"] = Stamp("gray", roles=("", "-big"))
    job = done(bench)
    bench.pipelines["gray"] = Stamp("gray", digest=OTHER_DIGEST)
    stale = list(stale_jobs(bench.performer, bench.place, "gray", OTHER_DIGEST, (SOURCE,), POOL))
    assert [one.id for one in stale] == [job.id]
    assert bench.performer.run(run_again(stale[0], "rerender", bench.place, bench.policy))
    bench.work_off()
    assert record(bench, job).digest == OTHER_DIGEST
    assert shown(bench, "photo_gray-big") is not None, "a worker has no right to delete"
    bench.tick()
    assert shown(bench, "photo_gray-big") is None
    assert shown(bench) == b"gray:x"
    assert not list(stale_jobs(bench.performer, bench.place, "gray", OTHER_DIGEST, (SOURCE,), POOL))


# rule 2


def test_a_deleted_result_is_made_again_by_command_only() -> None:
    bench = Bench()
    job = done(bench)
    bench.store.delete(RESULTS, "photo_gray")
    sweep(bench)
    bench.hear_of(job.ref)
    bench.work_off()
    assert shown(bench) is None
    assert bench.performer.run(run_again(job, "rerender", bench.place, bench.policy))
    bench.work_off()
    assert shown(bench) == b"gray:x"


@pytest.mark.parametrize("is_heard_of", [True, False], ids=("heard of", "found by the sweep"))
def test_content_that_comes_back_without_versions_gets_its_result_back(is_heard_of: bool) -> None:
    """A→B→A: the third upload has the identity, and so the record, of the first."""
    bench = Bench()
    bench.store.set_versioning(SOURCE, False)
    for body in (b"a", b"b", b"a"):
        bench.clock.sleep(60.0)
        ref = bench.upload("photo", body)
        if is_heard_of:
            bench.hear_of(ref)
        else:
            sweep(bench)
        bench.work_off()
        assert shown(bench) == b"gray:" + body


def test_a_dead_job_is_done_after_its_replay() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo"))
    row = bench.ledger.load(job.id)
    assert row is not None
    assert bench.ledger.save(row.but(phase="verdict", attempts=3, code="child-killed"))
    bench.tick()
    assert record(bench, job).state == "dead"
    assert bench.performer.run(run_again(job, "replay", bench.place, bench.policy))
    bench.work_off()
    assert record(bench, job).state == "done"
    assert shown(bench) == b"gray:x"


def test_a_cancelled_job_stays_cancelled_until_it_is_replayed() -> None:
    bench = Bench()
    job = bench.hear_of(bench.upload("photo"))
    row = bench.ledger.load(job.id)
    assert row is not None
    bench.performer.run(cancel_job(row, bench.place))
    bench.work_off()
    sweep(bench)
    bench.hear_of(job.ref)
    bench.work_off()
    assert (record(bench, job).state, shown(bench)) == ("cancelled", None)
    assert bench.performer.run(run_again(job, "replay", bench.place, bench.policy))
    bench.work_off()
    assert (record(bench, job).state, shown(bench)) == ("done", b"gray:x")


def test_a_result_is_never_given_up_for_a_lesser_ending() -> None:
    bench = Bench()
    job = done(bench)
    before = record(bench, job)
    bench.pipelines["gray"] = Refusing("gray", digest=OTHER_DIGEST)
    assert bench.performer.run(run_again(job, "rerender", bench.place, bench.policy))
    bench.work_off()
    assert record(bench, job) == before
    assert bench.phase(job) == "done"


def test_a_record_outlives_the_ledger_and_its_result() -> None:
    bench = Bench()
    done(bench)
    bench.ledger.__init__(bench.clock)  # type: ignore[misc]  # emptied, as by FLUSHALL
    bench.store.delete(RESULTS, "photo_gray")
    sweep(bench)
    assert queued(bench) == 0


def test_a_sweep_compares_listings_and_looks_at_no_object() -> None:
    bench = Bench()
    for number in range(30):
        done(bench, f"photo{number:02}")
    fuse = Fuse()
    bench.performer = Performer(fused(bench.performer.ports, fuse))
    sweep(bench)
    asked = [call for call in fuse.calls if call.startswith("store.")]
    assert set(asked) == {"store.list_versions", "store.list_objects"}
    assert len(asked) <= 4  # the intents, one page of versions, one or two of records


# rule 4


@pytest.mark.parametrize("first", ["older", "newer"])
def test_the_newest_by_the_listing_is_shown_whatever_the_clock_says(first: str) -> None:
    """The store's clock was set back an hour between the two uploads."""
    bench = Bench()
    older = bench.upload("photo", b"old")
    bench.clock.set(bench.clock.now() - 3600.0)
    newer = bench.upload("photo", b"new")
    order: list[ObjectRef] = [older, newer] if first == "older" else [newer, older]
    for ref in order:
        bench.hear_of(ref)
        bench.work_off()
    assert shown(bench) == b"gray:new"
    assert record(bench, bench.job(older)).state == "superseded"
    assert record(bench, bench.job(newer)).state == "done"


# rule 5


def test_a_store_that_cannot_swap_is_refused_unless_order_is_given_up() -> None:
    store = OlderStore("If-Match")
    settings = Settings(store=StoreSettings(source_buckets=("uploads",), results_bucket="results"))
    with pytest.raises(ConfigError, match="ignores If-Match on PUT"):
        check_store(settings, store)
    unordered = settings.store.model_copy(update={"allow_unordered": True})
    check_store(settings.model_copy(update={"store": unordered}), store)
