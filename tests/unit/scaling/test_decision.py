"""A decision survives being written down."""

from __future__ import annotations

import json

from marea.scaling.backlog import Unreadable
from marea.scaling.decision import Decision


def test_reads_back_what_it_wrote() -> None:
    decision = Decision(
        "images", 5.0, 3, "drain", "because", 1, {"ready": 7, "oldest_s": None}, {"work": 2.5}
    )
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision


def test_a_later_versions_words_are_left_out() -> None:
    body = {**Decision("images", 5.0, None, "hold", "because").as_json(), "mood": "calm"}
    assert Decision.from_json(body).replicas is None


def test_an_unreadable_backlog_has_no_numbers_that_could_be_taken_for_zero() -> None:
    unreadable = Unreadable("images", 5.0, "the broker did not answer")
    assert not hasattr(unreadable, "ready")
    assert unreadable.wanted is None
