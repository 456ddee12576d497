"""Scenarios: read whole or refused with everything that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.files import KINDS
from loadtest.runs.figures import ABOUT
from loadtest.scenario import Load, ScenarioError, load_scenario, scenario_names
from loadtest.schedule import arrival_times
from loadtest.shapes import SHAPES

GOOD_LOAD = """
about: A test.
shape: {name: steady, per_s: 2, for_s: 3}
"""
GOOD_EXPECT = """
provenance: none, a test
limits: [{figure: late_share, at_most: 0.1, why: a test}]
"""


def written(folder: Path, load: str = GOOD_LOAD, expect: str = GOOD_EXPECT) -> Path:
    place = folder / "tried"
    place.mkdir()
    (place / "load.yaml").write_text(load, encoding="utf-8")
    (place / "expect.yaml").write_text(expect, encoding="utf-8")
    return folder


def problems_of(folder: Path, load: str = GOOD_LOAD, expect: str = GOOD_EXPECT) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("tried", written(folder, load, expect))
    return caught.value.problems


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_of_this_repository_loads_and_sends_something(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.load.about.endswith(".")
    assert set(scenario.load.files) <= set(KINDS)
    assert {bound.figure for bound in scenario.expect.limits} <= set(ABOUT)
    assert len(arrival_times(scenario.load.shape)) > 10


def test_every_shape_has_a_scenario() -> None:
    used = {type(load_scenario(name).load.shape) for name in scenario_names()}
    assert used == set(SHAPES.values())


def test_a_scenario_of_ones_own_is_found_by_its_folder(tmp_path: Path) -> None:
    folder = written(tmp_path)
    scenario = load_scenario(str(folder / "tried"))
    assert (scenario.name, scenario.load.about) == ("tried", "A test.")
    assert scenario.expect.limits[0].figure == "late_share"


def test_all_that_is_wrong_is_told_at_once_with_file_and_place(tmp_path: Path) -> None:
    load = """
about: ""
shape: {name: steady, per_s: -1, color: red}
senders: many
keys: {folders: 0}
"""
    expect = """
provenance: none
limits: [{figure: speed, at_most: 1, why: a test}, {figure: done, at_most: 1}]
"""
    problems = problems_of(tmp_path, load, expect)
    for place in (
        "tried/load.yaml: about:",
        "tried/load.yaml: shape.per_s:",
        "tried/load.yaml: shape.for_s:",
        "tried/load.yaml: shape.color:",
        "tried/load.yaml: senders:",
        "tried/load.yaml: keys.folders:",
        "tried/expect.yaml: limits.0.figure: 'speed' is no figure; there are uploads,",
        "tried/expect.yaml: limits.1.why:",
    ):
        assert sum(problem.startswith(place) for problem in problems) == 1, (place, problems)
    assert len(problems) == 8
    assert all("\n" not in problem for problem in problems)


def test_a_scenario_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario("spyke")
    assert caught.value.problems[0].startswith("there is no scenario 'spyke'; there are ")
    assert all(name in caught.value.problems[0] for name in scenario_names())
    with pytest.raises(ScenarioError, match="no scenario 'other'; there are tried"):
        load_scenario("other", written(tmp_path))


@pytest.mark.parametrize("name", ["wave", "[steady]", "null", "{a: 1}"])
def test_a_shape_that_nobody_knows_is_answered_with_those_that_are(
    tmp_path: Path, name: str
) -> None:
    (problem,) = problems_of(tmp_path, f"about: A test.\nshape: {{name: {name}, for_s: 3}}\n")
    assert problem.startswith("tried/load.yaml: shape: name: ")
    assert problem.endswith(f"is none of {', '.join(SHAPES)}")


@pytest.mark.parametrize("part", ["ways: {s3: 0, job: 0}", "files: {tiny: 0}", "files: {}"])
def test_weights_that_are_all_zero_are_refused(tmp_path: Path, part: str) -> None:
    (problem,) = problems_of(tmp_path, GOOD_LOAD + part)
    place = part.partition(":")[0]
    assert problem == f"tried/load.yaml: {place}: at least one weight has to be above 0"


def test_a_kind_of_file_that_nobody_makes_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD_LOAD + "files: {tiny: 1, film: 1}")
    assert problem == f"tried/load.yaml: files: 'film' is none of {', '.join(KINDS)}"


def test_a_way_that_nobody_goes_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD_LOAD + "ways: {ftp: 1}")
    assert problem.startswith("tried/load.yaml: ways.ftp")


def test_a_share_of_a_rate_that_is_never_measured_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD_LOAD + "of_store_puts: 0.5")
    assert problem == "tried/load.yaml: of_store_puts needs measure.store_puts_s, which is 0"


def test_a_load_that_never_sends_anything_is_refused(tmp_path: Path) -> None:
    load = "about: A test.\nshape: {name: steady, per_s: 0, for_s: 3}\n"
    (problem,) = problems_of(tmp_path, load)
    assert problem == (
        "tried/load.yaml: shape: its rate is 0 all the time, so that nothing is ever sent"
    )


def test_more_uploads_again_than_uploads_are_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD_LOAD + "keys: {new_versions: 0.7, repeats: 0.4}")
    assert problem == "tried/load.yaml: keys: new_versions and repeats together are more than 1"


@pytest.mark.parametrize("relation", ["", ", at_most: 1, at_least: 0"])
def test_a_limit_has_one_bound(tmp_path: Path, relation: str) -> None:
    expect = f"provenance: none\nlimits: [{{figure: done, why: a test{relation}}}]\n"
    (problem,) = problems_of(tmp_path, expect=expect)
    assert problem == "tried/expect.yaml: limits.0: done: give either at_most or at_least"


def test_a_limit_says_where_it_comes_from(tmp_path: Path) -> None:
    expect = 'provenance: none\nlimits: [{figure: done, why: "", at_most: 1}]\n'
    (problem,) = problems_of(tmp_path, expect=expect)
    assert problem.startswith("tried/expect.yaml: limits.0.why:")


@pytest.mark.parametrize("text", ["about: [", "", "- a\n- b\n"])
def test_a_file_that_is_no_scenario_is_named(tmp_path: Path, text: str) -> None:
    problems = problems_of(tmp_path, load=text)
    assert len(problems) == 1
    assert "tried/load.yaml" in problems[0]


def test_a_scenario_without_its_limits_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "tried/expect.yaml").unlink()
    with pytest.raises(ScenarioError, match=r"tried/expect\.yaml: cannot be read"):
        load_scenario("tried", folder)


def test_ways_without_weight_need_no_gateway() -> None:
    body = {"about": "a", "shape": {"name": "steady", "per_s": 1, "for_s": 1}}
    assert not Load.model_validate({**body, "ways": {"s3": 1, "presigned": 0}}).gateway_ways
    load = Load.model_validate({**body, "ways": {"s3": 1, "presigned": 1, "job": 1}})
    assert load.gateway_ways == ("presigned", "job")
