"""The verdict of a run in a word and a sentence: what failed is named, what is not known fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_run import example_run

from loadtest.report import key_figures, words
from loadtest.report.verdict import counts_line, verdict_of
from loadtest.runs.data import Limit, Run
from loadtest.runs.figures import ABOUT

RUN = example_run()


def test_a_whole_run_that_keeps_all_has_passed() -> None:
    verdict = verdict_of(RUN)
    assert verdict.word == "PASSED"
    assert "all 5 limits kept" in verdict.sentence
    assert counts_line(RUN) == "0 lost · 0 duplicated · 0 wrong"


def test_a_limit_that_was_not_kept_is_named_with_its_value_and_bound() -> None:
    limit = Limit("accepted_p99_s", "at most", 0.25, 0.412, "the design")
    verdict = verdict_of(replace(RUN, limits=(*RUN.limits, limit)))
    assert verdict.word == "FAILED"
    assert "1 limit not kept (accepted_p99_s is 412 ms, wanted at most 250 ms)" in verdict.sentence


def test_a_figure_that_is_not_known_keeps_no_limit() -> None:
    limit = Limit("restarts", "at most", 0.0, None, "nothing dies")
    verdict = verdict_of(replace(RUN, limits=(limit,)))
    assert verdict.word == "FAILED"
    assert "restarts is not known, wanted at most 0" in verdict.sentence


@pytest.mark.parametrize("kind", ["lost", "duplicated", "wrong", "unexpected", "out_of_order"])
def test_whatever_the_checker_found_fails_the_run(kind: str) -> None:
    run = replace(RUN, checker={**RUN.checker, "valid": False, kind: 3})
    verdict = verdict_of(run)
    assert verdict.word == "FAILED"
    assert f"3 {kind.replace('_', ' ')}" in verdict.sentence
    assert f"3 {kind.replace('_', ' ')}" in counts_line(run)


@pytest.mark.parametrize("checker", [{}, {"valid": True, "checked": 0}])
def test_a_run_that_nobody_checked_has_not_passed(checker: dict[str, object]) -> None:
    verdict = verdict_of(replace(RUN, checker=checker))
    assert verdict.word == "FAILED"
    assert "nothing is proved" in verdict.sentence


def partial(**checker: object) -> Run:
    return replace(
        RUN, partial="interrupted after 12 s", checker={**RUN.checker, "valid": False, **checker}
    )


def test_a_broken_off_run_is_partial_though_uploads_have_no_result_yet() -> None:
    verdict = verdict_of(partial(lost=40))
    assert verdict.word == "PARTIAL"
    assert "interrupted after 12 s" in verdict.sentence


def test_a_broken_off_run_with_a_wrong_result_has_failed_all_the_same() -> None:
    assert verdict_of(partial(wrong=1)).word == "FAILED"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("put_p99_s", 0.0612, "61 ms"),
        ("latency_p95_s", 39.2, "39.2 s"),
        ("latency_p95_s", 3700.0, "61 min 40 s"),
        ("drain_jobs_per_s", 14.12, "14.1/s"),
        ("drain_share", 0.953, "95.3 %"),
        ("worker_memory_max_mb", 612.4, "612 MB"),
        ("generator_cores_mean", 0.3141, "0.314 cores"),
        ("uploads", 3000.0, "3,000"),
        ("uploads", 0.0, "0"),
        ("restarts", None, "not known"),
    ],
)
def test_a_figure_is_told_in_the_unit_of_its_name(
    name: str, value: float | None, said: str
) -> None:
    assert words.figure(name, value) == said


def test_every_key_figure_is_one_that_runs_have() -> None:
    assert set(key_figures.LABELS) <= set(ABOUT)


def test_each_meaning_stands_alone() -> None:
    told = key_figures.meanings(ABOUT)
    assert told["latency_p95_s"] == "seconds from the upload to its result, 95th percentile"
    assert not [text for text in told.values() if text.startswith("the same,")]
