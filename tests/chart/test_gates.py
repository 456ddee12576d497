"""Other people's checkers find nothing in any shape but what waivers.yaml answers with a reason."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from render import CHART, EXTENSIONS, KUBE_VERSION, find_tool, render, shape_file, shapes

WAIVERS = yaml.safe_load((Path(__file__).parent / "waivers.yaml").read_text(encoding="utf-8"))
OF_A_SHAPE = WAIVERS["kube-score-of-a-shape"]
FINE = 10
"""kube-score's grade of a check that found nothing."""


@cache
def scored(shape: str) -> dict[str, list[str]]:
    """Check → what kube-score says about which objects of the shape."""
    objects = render(shape=shape, api_versions=EXTENSIONS)
    minor = KUBE_VERSION.rpartition(".")[0]
    answer = subprocess.run(
        [
            find_tool("kube-score"),
            "score",
            f"--kubernetes-version=v{minor}",
            "--output-format=json",
            "-",
        ],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
    )
    found: dict[str, list[str]] = {}
    judged = json.loads(answer.stdout)
    assert judged, answer.stderr
    for thing in judged:
        for check in thing["checks"]:
            if check["grade"] < FINE and not check["skipped"]:
                said = [each["summary"] for each in check["comments"] or ()]
                name = f"{thing['type_meta']['kind']} {thing['object_meta']['name']}: {said}"
                found.setdefault(check["check"]["id"], []).append(name)
    return found


@pytest.mark.parametrize("shape", shapes())
def test_kube_score_finds_nothing_that_is_not_waived(shape: str) -> None:
    found = scored(shape)
    waived = WAIVERS["kube-score"].keys() | OF_A_SHAPE.get(shape, {}).keys()
    assert {check: found[check] for check in found.keys() - waived} == {}


def test_every_waiver_is_needed_and_has_a_reason() -> None:
    found = {check for shape in shapes() for check in scored(shape)}
    assert WAIVERS["kube-score"].keys() - found == set()
    for shape, waivers in OF_A_SHAPE.items():
        assert waivers.keys() - scored(shape).keys() == set(), shape
    reasons = {
        name: reason
        for part in (WAIVERS["kube-score"], *OF_A_SHAPE.values())
        for name, reason in part.items()
    }
    assert [name for name, reason in reasons.items() if len(reason) < 60] == []


@pytest.mark.parametrize("shape", shapes())
def test_helm_lints_it_strictly(shape: str) -> None:
    answer = subprocess.run(
        [find_tool("helm"), "lint", "--strict", "--values", shape_file(shape), CHART],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
