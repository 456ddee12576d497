"""The commit of one job, stepped by hand against the memory store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marea.clock import FakeClock
from marea.errors import CommitContended, MareaError, StoreUnavailable
from marea.lifecycle import effects as fx
from marea.lifecycle.claim import owner_name
from marea.lifecycle.commit import Committed, KeyTaken, Superseded, commit
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.lifecycle.process import Outcome, WorkContext, process_job
from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from marea.perform import Performer, Ports
from marea.pipelines.pipeline import Artifact
from marea.queues.memory import MemoryBroker
from marea.results.memory import MemoryLedger
from marea.storage.memory import MemoryObjectStore
from tests.simulation.world import RESERVED, RESULTS, SOURCE, Stamp

DIGEST = "0123456789abcdef"


class Bench:
    """A store with both buckets, and the means to stop a procedure where one likes."""

    def __init__(self) -> None:
        self.clock = clock = FakeClock()
        self.store = MemoryObjectStore(clock)
        self.store.create_bucket(SOURCE, versioned=True)
        self.store.create_bucket(RESULTS, versioned=True)
        self.pipelines = {"gray": Stamp("gray")}
        self.performer = Performer(
            Ports(clock, self.store, MemoryLedger(clock), MemoryBroker(), self.pipelines)
        )

    def upload(self, body: bytes, key: str = "photo") -> Job:
        return Job(self.store.upload(SOURCE, key, body), "gray", "images")

    def process(self, job: Job, token: str = "t") -> fx.Steps[Outcome]:
        context = WorkContext(
            owner_name("images@w1", token), False, Policy(), Place(RESULTS, RESERVED),
            self.pipelines,
        )  # fmt: skip
        return process_job(job, context)

    def commit(self, job: Job, *keys: str) -> fx.Steps[Any]:
        artifacts = [Artifact(key, b"x:" + key.encode(), "text/plain") for key in keys]
        return commit(job, artifacts, DIGEST, RESULTS)

    def advance(self, steps: fx.Steps[Any], effect: fx.Effect[Any]) -> fx.Effect[Any]:
        """Perform `effect`; the next one."""
        try:
            reply = self.performer.perform(effect)
        except MareaError as exc:
            return steps.throw(exc)
        return steps.send(reply)

    def until(self, steps: fx.Steps[Any], wanted: Callable[[Any], bool]) -> fx.Effect[Any]:
        """Perform effects up to, and without, the first that is `wanted`."""
        effect = next(steps)
        while not wanted(effect):
            effect = self.advance(steps, effect)
        return effect

    def rest(self, steps: fx.Steps[Any], effect: fx.Effect[Any]) -> Any:
        """Go on from `effect` to the end."""
        try:
            while True:
                effect = self.advance(steps, effect)
        except StopIteration as stop:
            return stop.value

    def shown(self, key: str = "photo_gray") -> bytes:
        head = self.store.head(RESULTS, key)
        assert head is not None
        return self.store.get(head.ref).data


def is_swap(effect: Any) -> bool:
    return isinstance(effect, fx.PutObject) and bool(effect.condition.if_etag)


def test_an_older_version_that_swaps_over_equal_bytes_puts_the_newest_back() -> None:
    """A→B→A: B's swap names the ETag of the first A, and the second A has the same."""
    bench = Bench()
    bench.performer.run(bench.process(bench.upload(b"a")))
    older = bench.process(bench.upload(b"b"))
    stopped_at = bench.until(older, is_swap)
    newest = bench.upload(b"a")
    bench.performer.run(bench.process(newest))
    outcome = bench.rest(older, stopped_at)
    assert outcome.event == "superseded"
    assert bench.shown() == b"gray:a"
    head = bench.store.head(RESULTS, "photo_gray")
    assert head is not None
    assert head.metadata["marea-job"] == newest.id


def test_an_older_version_is_superseded_before_it_writes_anything() -> None:
    bench = Bench()
    old = bench.upload(b"old")
    bench.upload(b"new")
    assert isinstance(bench.performer.run(bench.commit(old, "photo_gray")), Superseded)
    assert bench.store.head(RESULTS, "photo_gray") is None


def test_a_deleted_source_supersedes_too() -> None:
    bench = Bench()
    job = bench.upload(b"x")
    bench.store.delete(SOURCE, "photo")
    result = bench.performer.run(bench.commit(job, "photo_gray"))
    assert result == Superseded(None, replaced_newer=False)


def test_an_artifact_of_the_same_job_is_adopted_and_not_written_again() -> None:
    bench = Bench()
    job = bench.upload(b"x")
    first = bench.performer.run(bench.commit(job, "photo_gray"))
    again = bench.performer.run(bench.commit(job, "photo_gray"))
    assert isinstance(again, Committed)
    assert again == first
    rows = bench.store.list_versions(RESULTS).rows
    assert len(rows) == 1


def test_a_put_whose_reply_was_lost_is_adopted() -> None:
    bench = Bench()
    job = bench.upload(b"x")
    steps = bench.commit(job, "photo_gray")
    effect = bench.until(steps, lambda each: isinstance(each, fx.PutObject))
    bench.performer.perform(effect)
    with pytest.raises(StoreUnavailable):
        steps.throw(StoreUnavailable("the reply was lost"))
    assert isinstance(bench.performer.run(bench.commit(job, "photo_gray")), Committed)
    assert len(bench.store.list_versions(RESULTS).rows) == 1


def test_a_newer_version_replaces_the_result_of_an_older_one() -> None:
    bench = Bench()
    bench.performer.run(bench.process(bench.upload(b"old")))
    bench.performer.run(bench.process(bench.upload(b"new"), "u"))
    assert bench.shown() == b"gray:new"


def test_the_result_key_of_another_upload_is_left_alone() -> None:
    bench = Bench()
    bench.performer.run(bench.commit(bench.upload(b"x", "photo.jpg"), "photo_gray"))
    taken = bench.performer.run(bench.commit(bench.upload(b"y", "photo.png"), "photo_gray"))
    assert isinstance(taken, KeyTaken)
    assert "photo_gray" in taken.reason


def test_an_object_that_marea_did_not_write_is_left_alone() -> None:
    bench = Bench()
    bench.store.upload(RESULTS, "photo_gray", b"precious")
    taken = bench.performer.run(bench.commit(bench.upload(b"x"), "photo_gray"))
    assert isinstance(taken, KeyTaken)
    assert bench.shown() == b"precious"


def test_a_result_deleted_between_two_looks_is_written() -> None:
    bench = Bench()
    bench.performer.run(bench.process(bench.upload(b"old")))
    job = bench.upload(b"new")
    steps = bench.commit(job, "photo_gray")
    effect = bench.until(steps, is_swap)
    bench.store.delete(RESULTS, "photo_gray")
    assert isinstance(bench.rest(steps, effect), Committed)


def test_a_key_that_never_stands_still_is_left_for_later() -> None:
    bench = Bench()
    job = bench.upload(b"x")
    other = Job(ObjectRef(SOURCE, "photo", "another", "e", 1), "gray", "images")
    steps = bench.commit(job, "photo_gray")

    def contend() -> None:
        effect = next(steps)
        for number in range(1000):
            if isinstance(effect, fx.PutObject):  # somebody is always quicker
                body = str(number).encode()
                bench.store.put(RESULTS, "photo_gray", body, metadata=bench_metadata(other))
            effect = bench.advance(steps, effect)

    with pytest.raises(CommitContended):
        contend()


def bench_metadata(job: Job) -> dict[str, str]:
    from marea.lifecycle.commit import artifact_metadata

    return artifact_metadata(job, DIGEST)


def kinds(bench: Bench, steps: fx.Steps[Any]) -> list[str]:
    """The names of the store's effects, in order; performed to the end."""
    seen: list[str] = []

    def is_last(effect: fx.Effect[Any]) -> bool:
        if not isinstance(effect, fx.ReadClock | fx.LoadState | fx.SaveState):
            seen.append(type(effect).__name__)
        return False

    with pytest.raises(StopIteration):
        bench.until(steps, is_last)
    return seen


def test_a_new_upload_costs_one_read_and_two_writes() -> None:
    bench = Bench()
    seen = kinds(bench, bench.process(bench.upload(b"x")))
    assert seen == ["FetchSource", "RunPipeline", "PutObject", "PutObject"]


def test_of_a_version_that_came_too_late_no_byte_is_read() -> None:
    bench = Bench()
    old = bench.upload(b"old")
    bench.upload(b"new")
    steps = bench.process(old)
    fetch = bench.until(steps, lambda each: isinstance(each, fx.FetchSource))
    with pytest.raises(MareaError):
        bench.performer.perform(fetch)
    assert bench.rest(steps, fetch).event == "superseded"


def test_a_version_of_the_same_bytes_as_the_newest_is_superseded_all_the_same() -> None:
    bench = Bench()
    old = bench.upload(b"same")
    bench.upload(b"same")
    assert bench.performer.run(bench.process(old)).event == "superseded"


def test_a_version_that_was_removed_is_gone_whatever_stands_there_now() -> None:
    for stands in (True, False):
        bench = Bench()
        old = bench.upload(b"old")
        if stands:
            bench.upload(b"new")
        bench.store.delete_version(old.ref)
        assert bench.performer.run(bench.process(old)).event == "gone"


def test_a_version_that_is_read_again_after_the_newer_one_was_removed_is_done() -> None:
    bench = Bench()
    old = bench.upload(b"old")
    newer = bench.upload(b"new")
    steps = bench.process(old)
    look = bench.until(steps, lambda each: isinstance(each, fx.HeadObject))
    bench.store.delete_version(newer.ref)
    assert bench.rest(steps, look).event == "done"
    assert bench.shown() == b"gray:old"


def test_a_job_that_took_long_looks_at_the_source_again_before_it_writes() -> None:
    bench = Bench()
    slow = bench.upload(b"old")
    steps = bench.process(slow)
    run = bench.until(steps, lambda each: isinstance(each, fx.RunPipeline))
    bench.clock.sleep(10)
    bench.upload(b"new")
    assert bench.rest(steps, run).event == "superseded"
    assert bench.store.head(RESULTS, "photo_gray") is None


def test_a_newer_result_written_since_the_source_was_read_stays() -> None:
    bench = Bench()
    older = bench.process(bench.upload(b"old"))
    run = bench.until(older, lambda each: isinstance(each, fx.RunPipeline))
    bench.performer.run(bench.process(bench.upload(b"new")))
    assert bench.rest(older, run).event == "superseded"
    assert bench.shown() == b"gray:new"
