"""How figures are judged and kept: ratios by pair of repeats, targets either way, JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.bench.figures import (
    Figure,
    Results,
    Target,
    paired_ratios,
    read_json_lines,
    write_json_lines,
)

MACHINE = {"cpu": "a processor", "cores": 2, "packages": {"celery": "5.6"}}


def figure(contender: str, *values: float) -> Figure:
    return Figure("images", "grayscale", contender, "images/s", values)


def test_a_ratio_is_taken_of_two_repeats_that_ran_side_by_side() -> None:
    # The machine was twice as slow in the second repeat, for both.
    assert paired_ratios([40.0, 20.0, 44.0], [20.0, 10.0, 40.0]) == [2.0, 2.0, 1.1]


def test_noise_that_hits_a_pair_cancels_out_of_the_verdict() -> None:
    results = Results([figure("marea", 44.0, 11.0, 33.0), figure("bare loop", 40.0, 10.0, 30.0)])
    verdict = results.judge(Target("images", "grayscale", 1.0, against="bare loop"))
    assert verdict is not None
    assert (verdict.value, verdict.low, verdict.high) == pytest.approx((1.1, 1.1, 1.1))


def test_the_verdict_is_the_median_of_the_ratios_not_the_ratio_of_the_medians() -> None:
    results = Results([figure("marea", 10.0, 20.0, 90.0), figure("bare loop", 10.0, 40.0, 30.0)])
    verdict = results.judge(Target("images", "grayscale", 1.0, against="bare loop"))
    assert verdict is not None
    assert (verdict.value, verdict.low, verdict.high) == (1.0, 0.5, 3.0)


def test_contenders_with_unequal_numbers_of_repeats_are_compared_by_their_medians() -> None:
    assert paired_ratios([10.0, 20.0, 60.0], [40.0]) == [0.5]


@pytest.mark.parametrize(
    ("bound", "is_floor", "is_reached"),
    [
        (49.0, True, True),
        (50.0, True, True),
        (51.0, True, False),
        (49.0, False, False),
        (50.0, False, True),
        (51.0, False, True),
    ],
)
def test_a_target_is_at_least_or_at_most(bound: float, is_floor: bool, is_reached: bool) -> None:
    results = Results([figure("marea", 40.0, 50.0, 90.0)])
    verdict = results.judge(Target("images", "grayscale", bound, is_floor=is_floor))
    assert verdict is not None
    assert verdict.value == 50.0
    assert verdict.is_reached is is_reached


@pytest.mark.parametrize(
    "target",
    [
        Target("images", "web sizes", 1.0),
        Target("images", "grayscale", 1.0, against="bare loop"),
        Target("images", "grayscale", 1.0, contender="plain Celery"),
    ],
)
def test_what_was_not_measured_is_not_judged(target: Target) -> None:
    assert Results([figure("marea", 50.0)]).judge(target) is None


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    figures = [
        figure("marea", 44.5, 43.25),
        Figure("memory", "worker PSS", "marea", "MB", (158.0,), "after 20 images: “at rest”"),
    ]
    path = tmp_path / "figures.jsonl"
    write_json_lines(path, MACHINE, figures)
    assert read_json_lines(path) == (MACHINE, Results(figures))


def test_each_line_is_json_and_the_machine_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    write_json_lines(path, MACHINE, [figure("marea", 44.5)])
    first, second = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert first == {"machine": MACHINE}
    assert (second["section"], second["values"]) == ("images", [44.5])


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"cpu": "x"}', '{"machine": {}}\n{"a": 1}'])
def test_a_file_of_another_kind_is_no_run(tmp_path: Path, text: str) -> None:
    """With errors that the command tells as a sentence."""
    path = tmp_path / "figures.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_json_lines(path)
