"""The restricted rules admit and refuse the pods that Kubernetes tests its own with."""

from __future__ import annotations

import json
import re
from typing import Any

import pod_security
import pytest
from validation import SCHEMAS

CASES = json.loads((SCHEMAS / "pod-security-cases.json").read_text(encoding="utf-8"))
WINDOWS = {"base_windows"}
"""Admitted upstream for being a Windows pod, which nothing of this chart is."""


def as_check(rule: str) -> str:
    """`run_as_user` and `seccompprofile_baseline2` in one spelling."""
    name = re.sub(r"(_(baseline|restricted))?\d+$", "", rule)
    name = "restrictedvolumes" if name == "hostpathvolumes" else name
    return name.replace("_", "")


@pytest.mark.parametrize("name", sorted(CASES["pass"].keys() - WINDOWS))
def test_admits_what_kubernetes_admits(name: str) -> None:
    assert pod_security.violations(CASES["pass"][name]) == []


@pytest.mark.parametrize("name", sorted(CASES["fail"]))
def test_refuses_what_kubernetes_refuses_and_by_the_same_rule(name: str) -> None:
    found = pod_security.violations(CASES["fail"][name])
    assert as_check(name) in {as_check(sentence.split(":")[0]) for sentence in found}


def test_every_rule_has_a_pod_that_only_it_would_catch_or_that_it_helps_to() -> None:
    covered = {as_check(name) for name in CASES["fail"]}
    assert {as_check(rule.__name__) for rule in pod_security.RULES} == covered


def test_a_rule_says_where_and_what() -> None:
    pod: dict[str, Any] = CASES["fail"]["runasuser0"]
    assert pod_security.violations(pod) == ["run_as_user: securityContext.runAsUser is 0"]
