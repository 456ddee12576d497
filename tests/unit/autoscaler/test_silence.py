"""Which replica of an app pool hangs, and when nobody may be sure of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.autoscaler.silence import BOOT_PATIENCE, REPLACE_EVERY_S, Sign, replica_to_replace

NOW = 1_700_000_000.0
LONG_AGO = NOW - 10_000.0
SILENT_S = 90.0
HUNG = Sign("hung", LONG_AGO, NOW - SILENT_S - 1, answers=False)
BUSY = Sign("busy", LONG_AGO, NOW - 1, answers=True)


def replaced(*signs: Sign, **but: Any) -> str:
    known: dict[str, Any] = {
        "silent_s": SILENT_S,
        "hearing_since": LONG_AGO,
        "have_spoken": True,
        "replaced_at": None,
        "now": NOW,
    }
    return replica_to_replace(signs, **(known | but))


def test_one_that_neither_beats_nor_answers_for_too_long_is_replaced() -> None:
    assert replaced(BUSY, HUNG) == "hung"


def test_one_that_never_said_anything_may_be_loading_and_is_waited_for() -> None:
    patience_s = SILENT_S * BOOT_PATIENCE
    mute = replace(HUNG, heard_at=None, ready_at=NOW - patience_s - 1)
    assert replaced(BUSY, mute) == "hung"
    assert replaced(BUSY, replace(mute, ready_at=NOW - patience_s + 1)) == ""


def test_the_one_that_has_been_silent_for_longest_goes_first() -> None:
    longer = replace(HUNG, replica="longer", heard_at=NOW - SILENT_S - 50)
    assert replaced(HUNG, longer) == "longer"


@pytest.mark.parametrize(
    "sign",
    [
        replace(HUNG, answers=True),
        replace(HUNG, heard_at=NOW - SILENT_S + 1),
        replace(HUNG, ready_at=NOW - SILENT_S + 1),
    ],
    ids=["answers", "was heard lately", "is young"],
)
def test_one_sign_of_life_is_enough(sign: Sign) -> None:
    assert replaced(sign) == ""


def test_with_0_nobody_is_ever_replaced() -> None:
    assert replaced(HUNG, silent_s=0.0) == ""


def test_after_an_outage_silence_begins_anew() -> None:
    assert replaced(HUNG, hearing_since=NOW - SILENT_S + 1) == ""
    assert replaced(HUNG, hearing_since=NOW - SILENT_S - 1) == "hung"


def test_an_application_whose_workers_never_speak_is_left_alone() -> None:
    assert replaced(replace(HUNG, heard_at=None), have_spoken=False) == ""


def test_one_at_a_time() -> None:
    assert replaced(HUNG, replaced_at=NOW - REPLACE_EVERY_S + 1) == ""
    assert replaced(HUNG, replaced_at=NOW - REPLACE_EVERY_S) == "hung"


times = st.floats(NOW - 1000.0, NOW)
signs = st.builds(Sign, st.sampled_from("abc"), times, st.none() | times, st.booleans())


@given(st.lists(signs, max_size=4), st.floats(0.0, 300.0), times)
def test_whoever_is_replaced_has_shown_no_life_for_as_long_as_is_allowed(
    shown: list[Sign], silent_s: float, hearing_since: float
) -> None:
    name = replaced(*shown, silent_s=silent_s, hearing_since=hearing_since)
    if name:
        assert NOW - hearing_since > silent_s > 0.0
        assert any(
            not sign.answers and NOW - max(sign.ready_at, sign.heard_at or 0.0) > silent_s
            for sign in shown
            if sign.replica == name
        )
