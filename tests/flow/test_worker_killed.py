"""Workers killed between every two of their steps, and replies lost at every step, on both
brokers: each upload still has one right result and one record.

A rehearsal counts a job's calls to its servers; then one upload per call is cut short there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from marea.messages.job import Job
from marea.messages.objects import ObjectRef
from tests.flow.flow_platform import FlowPlatform
from tests.flow.fuse import Fuse, ProcessKilled
from tests.flow.photos import photo


@dataclass(frozen=True)
class Story:
    """One kind of job. `begin` uploads and announces it and returns what is to be cut short;
    everything else that it needs has happened by then."""

    begin: Callable[[FlowPlatform, str], ObjectRef]
    state: str
    must_call: tuple[str, ...]
    """Calls of its rehearsal that make it the story it is."""


def first_upload(platform: FlowPlatform, name: str) -> ObjectRef:
    return platform.upload(f"{name}.jpg", photo(1))


def several_outputs(platform: FlowPlatform, name: str) -> ObjectRef:
    return platform.upload(f"web/{name}.jpg", photo(2))


def overwritten(platform: FlowPlatform, name: str) -> ObjectRef:
    """The result of the older version stands, and must be replaced."""
    older = platform.upload(f"{name}.jpg", photo(3))
    platform.announce(older)
    platform.workers[0].work_off()
    return platform.upload(f"{name}.jpg", photo(4))


def overtaken(platform: FlowPlatform, name: str) -> ObjectRef:
    """The older version is worked on when the newer is there already."""
    older = platform.upload(f"{name}.jpg", photo(5))
    platform.upload(f"{name}.jpg", photo(6))
    return older


def not_an_image(platform: FlowPlatform, name: str) -> ObjectRef:
    return platform.upload(f"{name}.jpg", b"not an image", oracle="bad")


STORIES = {
    "first upload": Story(first_upload, "done", ("store.get", "store.put", "ledger.save")),
    "several outputs": Story(several_outputs, "done", ("store.put",) * 4),
    "overwritten": Story(overwritten, "done", ("store.put",) * 3),
    "overtaken": Story(overtaken, "superseded", ("store.head", "store.put")),
    "not an image": Story(not_an_image, "rejected", ("store.get", "store.put")),
}


def begin(platform: FlowPlatform, story: Story, name: str) -> Job:
    ref = story.begin(platform, name)
    assert all(platform.announce(ref).values())
    return platform.job(ref)


def rehearse(platform: FlowPlatform, story: Story) -> list[str]:
    """The calls that one whole job makes."""
    worker = platform.worker()
    begin(platform, story, "rehearsal")
    message = worker.consumer.take()
    fuse = Fuse()
    worker.run(message, fuse)
    for name in story.must_call:
        assert fuse.calls.count(name) >= story.must_call.count(name), fuse.calls
    return fuse.calls


def cut_short(platform: FlowPlatform, story: Story, fuses: list[Fuse]) -> list[Job]:
    """One job per fuse, all of them in the hands of a worker that dies in the end."""
    worker = platform.worker()
    jobs = []
    for fuse in fuses:
        jobs.append(begin(platform, story, f"{fuse.kind}-{fuse.blows_at}"))
        message = worker.consumer.take()
        if fuse.kind == "lose-reply":
            worker.run(message, fuse)
            continue
        with pytest.raises(ProcessKilled):
            worker.run(message, fuse, acknowledge=False)
    worker.die()
    return jobs


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_job_cut_short_anywhere_ends_once_and_right(platform: FlowPlatform, story: Story) -> None:
    calls = rehearse(platform, story)
    fuses = [Fuse(place) for place in range(len(calls) + 1)]
    fuses += [Fuse(place, "lose-reply") for place in range(len(calls))]
    jobs = cut_short(platform, story, fuses)
    assert [fuse for fuse in fuses if not fuse.has_blown] == [fuses[len(calls)]]
    assert "store.delete" not in {call for fuse in fuses for call in fuse.calls}
    platform.recover()
    verdict = platform.judge()
    assert verdict.checked == len(platform.operations())
    assert Counter(platform.stored_results()) == Counter(
        output.key for job in platform.uploaded for output in platform.record(job).outputs
    )
    for job, fuse in zip(jobs, fuses, strict=True):
        record, row = platform.record(job), platform.row(job)
        assert record.state == story.state, (fuse, record)
        assert row is not None
        assert (row.phase, row.attempts) == (story.state, 1), (fuse, row)


def test_a_job_that_takes_two_workers_with_it_is_done_alone_in_quarantine(
    platform: FlowPlatform,
) -> None:
    story = STORIES["first upload"]
    calls = rehearse(platform, story)
    fuses = [Fuse(place) for place in range(len(calls) + 1)]
    jobs = cut_short(platform, story, fuses)
    platform.take_from_dead_workers(len(jobs))
    second = platform.worker()
    place_of = {job.id: place for place, job in enumerate(jobs)}
    while (message := second.consumer.take()) is not None:
        # A job that had ended is only acknowledged: its fuse does not come to blow.
        with suppress(ProcessKilled):
            second.run(message, Fuse(place_of[message.headers["id"]]))
    second.die()
    platform.recover()
    platform.judge()
    claim, end = calls.index("ledger.save"), len(calls) - 1
    assert calls[end] == "ledger.save"
    for place, job in enumerate(jobs):
        row = platform.row(job)
        assert row is not None
        was_running = claim < place <= end
        assert (row.phase, row.attempts) == ("done", 1)
        assert row.suspects == (2 if was_running else 0), place
        if row.suspects and place <= calls.index("store.put"):
            assert platform.record(job).worker.startswith("quarantine@")
