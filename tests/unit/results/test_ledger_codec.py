"""Rows, cursors and placements as text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_states import START, make_job, make_state

from marea.errors import LedgerUnavailable
from marea.lifecycle.state import OPEN_PHASES, JobState, Phase, WorkerBeat
from marea.messages.job import Job
from marea.messages.notification import Notification
from marea.messages.objects import ObjectRef
from marea.messages.record import TERMINAL_STATES
from marea.results.codec import (
    decode_beat,
    decode_notification,
    decode_row,
    encode_beat,
    encode_notification,
    encode_row,
)
from marea.results.index import Position, cursor_at, escaped, parse_cursor, placement, unescaped

PHASES: tuple[Phase, ...] = (*OPEN_PHASES, *TERMINAL_STATES)
# Text as object keys hold it: anything UTF-8, and single bytes that are not.
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff\t\n"))
counts = st.integers(0, 1000)
times = st.floats(0, 4e9)
jobs = st.builds(
    Job,
    ref=st.builds(ObjectRef, texts, texts, texts, texts, st.integers(0, 2**50)),
    pipeline=texts,
    pool=st.sampled_from(["images", "a-b-9"]),
    priority=st.sampled_from(["high", "normal"]),
    tenant=texts,
    route=texts,
    not_before=times,
    mode=st.sampled_from(["normal", "refresh", "rerender", "replay"]),
    origin=st.sampled_from(["event", "sweep", "api", "reconciler"]),
)
states = st.builds(
    JobState,
    job=jobs,
    phase=st.sampled_from(PHASES),
    rev=counts,
    attempts=counts,
    suspects=counts,
    deferrals=counts,
    publishes=counts,
    owner=texts,
    created_at=times,
    published_at=times,
    started_at=times,
    finished_at=times,
    due_at=times,
    updated_at=times,
    code=texts,
    reason=texts,
)


@given(states, st.none() | times)
def test_reads_the_row_that_it_wrote(state: JobState, expires_at: float | None) -> None:
    text = encode_row(state, expires_at)
    assert decode_row(text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"))
    assert decode_row(text) == (state, expires_at)


@given(states, times)
def test_writes_the_header_that_the_script_reads(state: JobState, expires_at: float) -> None:
    header = encode_row(state, expires_at).split("\n")[0].split("\t")
    assert header[0] == str(state.rev)
    assert header[1] == placement(state, expires_at).name
    assert unescaped(header[2]) == state.job.tenant
    assert float(header[3]) == expires_at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1\tqueued\tacme\t",
        '1\tqueued\tacme\t\n{"v":99}\n{"p":"queued"}',
        encode_row(make_state(), None).replace("1", "x", 1).replace("0\t", "x\t", 1),
        encode_row(make_state(), None).replace('"p":"queued"', '"q":"queued"'),
    ],
)
def test_says_unavailable_for_a_row_that_it_cannot_read(text: str) -> None:
    with pytest.raises(LedgerUnavailable):
        decode_row(text)


def test_ignores_fields_that_a_newer_version_added() -> None:
    text = encode_row(make_state(), None).replace('"p":"queued"', '"p":"queued","zz":1')
    assert decode_row(text).state == make_state()


def test_writes_no_field_that_has_its_default() -> None:
    state = JobState(job=make_job(), phase="queued", created_at=START)
    assert encode_row(state, None).endswith('\n{"p":"queued","tc":1700000000.0}')


@given(texts)
def test_escapes_a_tenant_to_one_line_and_back(tenant: str) -> None:
    assert not set(escaped(tenant)) & {"\t", "\n"}
    assert unescaped(escaped(tenant)) == tenant


@given(times, st.text("0123456789abcdef", min_size=32, max_size=32))
def test_parses_the_cursor_that_it_gave(score: float, job_id: str) -> None:
    assert parse_cursor(cursor_at(Position(score, job_id))) == (score, job_id)


@pytest.mark.parametrize("phase", PHASES)
def test_places_every_phase_in_an_index_of_its_own(phase: Phase) -> None:
    expires_at = START if phase in TERMINAL_STATES else None
    place = placement(make_state(phase=phase), expires_at)
    assert phase in place.name.split(":")
    assert math.isfinite(place.score)


def test_reads_the_beat_and_the_notification_that_it_wrote() -> None:
    beat = WorkerBeat("w1", "images", 4, START, ("a", "b"), 3, True, START - 9)
    assert decode_beat(encode_beat(beat)) == beat
    notification = Notification("id", "job", "http://x/", {"ñ": [1, None]}, 2, START)
    assert decode_notification(encode_notification(notification)) == notification


@pytest.mark.parametrize("decode", [decode_beat, decode_notification])
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"surprise": 1}'])
def test_says_unavailable_for_other_entries_that_it_cannot_read(decode: Any, text: str) -> None:
    with pytest.raises(LedgerUnavailable):
        decode(text)
