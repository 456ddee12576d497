"""Gateways killed between every two of their steps, and replies lost at every step, on both
brokers: what was uploaded, or promised to a client, is done once, heard of again or not.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from marea.errors import TransientError
from marea.gateway.ports import Submission
from marea.lifecycle.state import JobState
from marea.messages.objects import ObjectRef
from tests.flow.flow_platform import FlowPlatform
from tests.flow.fuse import Fuse, ProcessKilled
from tests.flow.photos import photo


def fuses_for(calls: list[str]) -> list[Fuse]:
    """A death before each call and after the last one, and each reply lost."""
    deaths = [Fuse(place) for place in range(len(calls) + 1)]
    return deaths + [Fuse(place, "lose-reply") for place in range(len(calls))]


def upload_two(platform: FlowPlatform, name: str) -> list[ObjectRef]:
    """Two uploads of one event; for the second a rule must ask the store."""
    return [
        platform.upload(f"{name}.jpg", photo(1)),
        platform.upload(f"typed/{name}.jpg", photo(2)),
    ]


def is_answered(platform: FlowPlatform, refs: list[ObjectRef], fuse: Fuse) -> bool:
    """Send the event of `refs` to a gateway with `fuse`; whether a 2xx comes back."""
    try:
        confirmed = platform.announce(*refs, fuse=fuse)
    except (ProcessKilled, TransientError):
        return False
    # A gateway that is killed after its last call has done everything but answer.
    answers = fuse.blows_at is None or fuse.kind == "lose-reply"
    return answers and all(confirmed.values())


@pytest.mark.parametrize("is_sent_again", [True, False], ids=("sent again", "never sent again"))
def test_an_event_cut_short_anywhere_leads_to_its_results(
    platform: FlowPlatform, is_sent_again: bool
) -> None:
    rehearsal = Fuse()
    assert is_answered(platform, upload_two(platform, "rehearsal"), rehearsal)
    for name in ("store.head_version", "ledger.save_many", "publisher.publish_many"):
        assert name in rehearsal.calls
    for fuse in fuses_for(rehearsal.calls):
        refs = upload_two(platform, f"{fuse.kind}-{fuse.blows_at}")
        if not is_answered(platform, refs, fuse) and is_sent_again:
            assert is_answered(platform, refs, Fuse())
    platform.recover()
    assert platform.judge().checked == 2 * (len(fuses_for(rehearsal.calls)) + 1)
    for job in platform.uploaded:
        row = platform.row(job)
        assert row is not None
        assert (row.phase, row.attempts) == ("done", 1)


def submit(platform: FlowPlatform, ref: ObjectRef, fuse: Fuse) -> JobState | None:
    """A client asks for a pipeline that no rule names; None if it gets no 202."""
    with suppress(ProcessKilled, TransientError):
        return platform.gateway(fuse).submit(Submission(ref, "square", tenant="api"))
    return None


def test_a_submission_cut_short_after_its_intent_is_done_though_nobody_asks_again(
    platform: FlowPlatform,
) -> None:
    rehearsal = Fuse()
    unrouted = ("square",)
    ref = platform.upload("rehearsal.raw", photo(3), pipelines=unrouted)
    assert submit(platform, ref, rehearsal) is not None
    intended = rehearsal.calls.index("store.put")
    for fuse in fuses_for(rehearsal.calls):
        name = f"{fuse.kind}-{fuse.blows_at}.raw"
        ref = platform.upload(name, photo(4), pipelines=unrouted)
        answer = submit(platform, ref, fuse)
        first_after = intended if fuse.kind == "lose-reply" else intended + 1
        if answer is None and (fuse.blows_at or 0) < first_after:
            assert submit(platform, ref, Fuse()) is not None
    platform.recover()
    platform.judge()
    platform.pass_time(2 * platform.settings.reconciler.sweep_interval_s)
    platform.reconciler().tick()
    assert platform.intents() == []
