"""`docs/promises.md` tells which tests hold what; it must not tell of tests that are not there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_names_exists() -> None:
    named: dict[str, set[str]] = defaultdict(set)
    for file, name in NAMED.findall(PAGE):
        named[file].add(name)
    assert named
    missing = {file: names - functions_in(file) for file, names in named.items()}
    assert not any(missing.values()), {file: names for file, names in missing.items() if names}


@pytest.mark.parametrize(("heading", "count"), [("## Promises", 6), ("## Rules", 13)])
def test_every_promise_and_every_rule_has_a_test(heading: str, count: int) -> None:
    section = PAGE.split(heading, 1)[1].split("\n## ", 1)[0]
    numbers = re.findall(r"^\| (\d+)\. .+`tests/[\w/]+\.py::\w+`", section, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, count + 1)]
