"""The schedule of a load: drawn from its seed alone, whatever happens in the run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.files import KINDS
from loadtest.scenario import MAX_UPLOADS, Load, ScenarioError
from loadtest.schedule import (
    Arrival,
    arrival_times,
    draw_schedule,
    part_of,
    rate_factor,
    shares,
)
from loadtest.shapes.steady import Steady


def load_of(**settings_: Any) -> Load:
    body = {"about": "a test", "shape": {"name": "steady", "per_s": 100, "for_s": 20}}
    return Load.model_validate({**body, **settings_})


MIXED = {
    "ways": {"s3": 6, "presigned": 3, "job": 1},
    "files": {"tiny": 5, "photo": 3, "table": 1, "note": 1},
    "keys": {"folders": 20, "skew": 1.0, "new_versions": 0.2, "repeats": 0.1},
}


def sent_before(arrivals: list[Arrival]) -> list[tuple[Arrival, Arrival | None]]:
    """Each upload with the one before it to the same key."""
    latest: dict[str, Arrival] = {}
    pairs = []
    for each in arrivals:
        pairs.append((each, latest.get(each.key)))
        latest[each.key] = each
    return pairs


@settings(max_examples=20)
@given(seed=st.integers(), spacing=st.sampled_from(["even", "poisson"]))
def test_one_seed_is_one_schedule(seed: int, spacing: str) -> None:
    load = load_of(**MIXED, seed=seed, spacing=spacing)
    assert draw_schedule(load, "load/a/") == draw_schedule(load, "load/a/")


def test_another_seed_is_another_schedule() -> None:
    first, second = (draw_schedule(load_of(**MIXED, seed=seed), "a/") for seed in (1, 2))
    assert [each.due_s for each in first] != [each.due_s for each in second]


def test_even_spacing_is_due_as_the_shape_says() -> None:
    load = load_of(**MIXED, spacing="even")
    assert [each.due_s for each in draw_schedule(load, "a/")] == arrival_times(load.shape)


@settings(max_examples=20)
@given(workers=st.integers(1, 7))
def test_the_parts_of_all_workers_are_the_whole_and_none_is_sent_twice(workers: int) -> None:
    arrivals = draw_schedule(load_of(**MIXED), "a/")
    parts = [part_of(arrivals, rank, workers) for rank in range(workers)]
    assert sorted(each.number for part in parts for each in part) == list(range(len(arrivals)))
    assert all(part == sorted(part, key=lambda each: each.due_s) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_ways_apart_are_the_whole_each_in_its_order() -> None:
    arrivals = draw_schedule(load_of(**MIXED), "a/")
    apart = dict(shares(arrivals))
    assert set(apart) == {"s3", "presigned", "job"}
    for way, part in apart.items():
        assert part == [each for each in arrivals if each.way == way]


def test_ways_and_kinds_come_in_their_shares() -> None:
    arrivals = draw_schedule(load_of(**MIXED), "a/")
    ways = Counter(each.way for each in arrivals)
    count = len(arrivals)
    assert ways["presigned"] / count == pytest.approx(0.3, abs=0.05)
    assert ways["job"] / count == pytest.approx(0.1, abs=0.03)
    straight = [each for each in arrivals if each.way != "job"]
    kinds = Counter(each.kind for each in straight)
    assert kinds["tiny"] / len(straight) == pytest.approx(0.5, abs=0.1)
    assert kinds["table"] / len(straight) == pytest.approx(0.1, abs=0.05)


def test_replaced_and_repeated_uploads_come_in_their_shares() -> None:
    load = load_of(keys={"folders": 5, "skew": 0.5, "new_versions": 0.2, "repeats": 0.1})
    pairs = sent_before(draw_schedule(load, "a/"))
    again = [(each, before) for each, before in pairs if before is not None]
    repeated = sum(each.serial == before.serial for each, before in again)
    assert len(again) / len(pairs) == pytest.approx(0.3, abs=0.04)
    assert repeated / len(pairs) == pytest.approx(0.1, abs=0.03)


@settings(max_examples=30)
@given(seed=st.integers(), skew=st.floats(0.0, 5.0), repeats=st.floats(0.0, 0.5))
def test_a_repeat_sends_what_its_key_was_sent_last(seed: int, skew: float, repeats: float) -> None:
    keys = {"folders": 3, "skew": skew, "new_versions": 0.5, "repeats": repeats}
    load = load_of(
        shape={"name": "steady", "per_s": 20, "for_s": 10}, keys=keys, seed=seed, files={"tiny": 1}
    )
    for each, before in sent_before(draw_schedule(load, "a/")):
        # A content of its own, or that of the upload just before: never an older one.
        assert each.serial == each.number or (before and each.serial == before.serial)
        assert before is None or each.kind == before.kind


def test_without_a_share_of_them_each_key_is_sent_once() -> None:
    arrivals = draw_schedule(load_of(), "a/")
    assert len({each.key for each in arrivals}) == len(arrivals)
    assert all(each.serial == each.number for each in arrivals)


def test_a_pipeline_of_the_clients_choice_is_for_pictures_that_nobody_sends_again() -> None:
    load = load_of(
        ways={"s3": 1, "job": 1},
        files={"table": 5, "note": 2, "broken": 2, "tiny": 1},
        keys={"folders": 2, "new_versions": 0.4, "repeats": 0.4},
    )
    arrivals = draw_schedule(load, "a/")
    by_key = Counter(each.key for each in arrivals)
    jobs = [each for each in arrivals if each.way == "job"]
    assert jobs
    assert all(KINDS[each.kind].is_picture for each in jobs)
    assert all(by_key[each.key] == 1 for each in jobs)


def test_a_load_without_pictures_submits_small_ones() -> None:
    arrivals = draw_schedule(load_of(ways={"job": 1}, files={"table": 1}), "a/")
    assert {each.kind for each in arrivals} == {"thumb"}


def test_under_skew_some_folders_are_hot_and_without_it_all_are_alike() -> None:
    def folders(skew: float) -> list[int]:
        load = load_of(keys={"folders": 10, "skew": skew})
        counts = Counter(each.key.split("/")[1] for each in draw_schedule(load, "a/"))
        return [count for _, count in counts.most_common()]

    alike, hot = folders(0.0), folders(1.5)
    assert alike[0] < 2 * alike[-1]
    assert hot[0] > 10 * hot[-1]
    assert hot[0] > sum(hot) * 0.4


def test_keys_are_under_the_prefix_and_end_as_their_kind_does() -> None:
    for each in draw_schedule(load_of(**MIXED), "load/x/"):
        assert each.key.startswith("load/x/")
        assert each.key.endswith("." + KINDS[each.kind].extension)


def test_more_uploads_than_a_run_may_have_are_refused_in_a_sentence() -> None:
    with pytest.raises(ScenarioError) as caught:
        arrival_times(Steady(per_s=100_000, for_s=30))
    assert caught.value.problems == [f"shape: more than {MAX_UPLOADS:,} uploads in one run"]


def test_a_share_of_the_stores_rate_is_what_the_highest_rate_becomes() -> None:
    load = load_of(
        shape={"name": "peak", "base_per_s": 2, "times": 20, "before_s": 1, "peak_s": 1,
               "after_s": 1},
        of_store_puts=0.6, measure={"store_puts_s": 5},
    )  # fmt: skip
    assert rate_factor(load, 500.0) * 40 == pytest.approx(300)
    assert load.shape.highest_per_s * rate_factor(load, 500.0) == pytest.approx(300)


def test_a_load_that_names_no_store_share_is_not_multiplied() -> None:
    assert rate_factor(load_of(), None) == 1.0


@pytest.mark.parametrize("rate", [None, 0.0])
def test_a_share_of_a_rate_that_was_not_measured_is_refused(rate: float | None) -> None:
    load = load_of(of_store_puts=0.5, measure={"store_puts_s": 5})
    with pytest.raises(ScenarioError, match="was not measured"):
        rate_factor(load, rate)
