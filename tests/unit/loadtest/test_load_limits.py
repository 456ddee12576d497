"""Limits of a run: what is not known is not kept, and the checker's counts are always asked."""

from __future__ import annotations

from typing import Any

import pytest
from load_runs import run_of

from loadtest.evidence import VIOLATIONS, Verdict
from loadtest.runs.data import Limit
from loadtest.runs.limits import judge_limits
from loadtest.scenario import Bound

WELL: dict[str, Any] = {**Verdict(checked=3).summary()}


def kept(limits: tuple[Limit, ...]) -> dict[str, bool]:
    return {limit.figure: limit.is_kept for limit in limits}


@pytest.mark.parametrize(
    ("bound", "value", "is_kept"),
    [
        ({"at_most": 1.0}, 1.0, True),
        ({"at_most": 1.0}, 1.01, False),
        ({"at_least": 1.0}, 1.0, True),
        ({"at_least": 1.0}, 0.99, False),
        ({"at_least": 0.0}, 0.0, True),
        ({"at_most": 1.0}, None, False),
        ({"at_least": 0.0}, None, False),
    ],
)
def test_a_bound_is_kept_up_to_itself_and_never_by_what_is_not_known(
    bound: dict[str, float], value: float | None, is_kept: bool
) -> None:
    bounds = [Bound(figure="late_share", why="a test", **bound)]
    limits = judge_limits(run_of(checker=WELL), {"late_share": value}, bounds)
    assert kept(limits)["late_share"] is is_kept


def test_a_figure_that_is_missing_is_not_kept() -> None:
    limits = judge_limits(run_of(), {}, [Bound(figure="done", at_most=1, why="a test")])
    assert limits[-1].value is None
    assert not limits[-1].is_kept


def test_what_the_checker_counts_is_always_asked() -> None:
    limits = judge_limits(run_of(checker=WELL), {}, [])
    assert kept(limits) == dict.fromkeys((*VIOLATIONS, "checked"), True)
    assert all(limit.why for limit in limits)


@pytest.mark.parametrize("kind", VIOLATIONS)
def test_one_violation_is_too_many(kind: str) -> None:
    verdict = Verdict(checked=3)
    verdict.add(kind, "a.jpg", "v1", "a test")
    limits = judge_limits(run_of(checker=verdict.summary()), {}, [])
    assert [figure for figure, is_kept in kept(limits).items() if not is_kept] == [kind]


def test_a_run_that_nobody_checked_keeps_none_of_it() -> None:
    assert not any(limit.is_kept for limit in judge_limits(run_of(), {}, []))


def test_a_run_that_checked_nothing_has_proved_nothing() -> None:
    limits = judge_limits(run_of(checker=Verdict().summary()), {}, [])
    assert [figure for figure, is_kept in kept(limits).items() if not is_kept] == ["checked"]


@pytest.mark.parametrize(
    ("kind", "asked"), [("up", ["done", "dead"]), ("cluster", ["done"]), ("", ["done"])]
)
def test_a_limit_of_one_kind_of_platform_is_asked_there_alone(kind: str, asked: list[str]) -> None:
    bounds = [
        Bound(figure="done", at_least=1, why="a test"),
        Bound(figure="dead", at_most=0, why="a test", only_at="up"),
    ]
    limits = judge_limits(run_of(target={"kind": kind}), {}, bounds)
    assert [limit.figure for limit in limits[len(VIOLATIONS) + 1 :]] == asked


def test_a_limit_says_what_it_wants_and_why() -> None:
    bounds = [Bound(figure="drain_share", at_least=0.9, why="the pool's own rate")]
    limit = judge_limits(run_of(), {"drain_share": 0.95}, bounds)[-1]
    assert limit == Limit("drain_share", "at least", 0.9, 0.95, "the pool's own rate")
