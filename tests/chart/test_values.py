"""values.yaml, its schema and the README know the same keys, and every one is explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from chart_readme import chart_readme
from render import CHART
from settings_schema import SCHEMA, settings_schema
from values_schema import Node, load_defaults, load_schema, nodes

README = CHART / "README.md"
GENERATED_OPEN = {("global",)}
"""Helm's own, for charts that have this one inside; not a value of this chart."""


def default_paths(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that values.yaml names."""
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from default_paths(value, (*path, key))


def is_of_the_users(path: tuple[str | int, ...]) -> bool:
    """Below a key whose contents are not the chart's to name."""
    return path[0] in ("settings", "rules", "pipelines") and len(path) > 1


def test_the_defaults_are_valid() -> None:
    validator = jsonschema.Draft7Validator(load_schema())
    assert [error.message for error in validator.iter_errors(load_defaults())] == []


def test_the_schema_knows_every_default_and_no_other_key() -> None:
    known: dict[tuple[str | int, ...], Node] = {node.path: node for node in nodes()}
    in_values = set(default_paths(load_defaults()))
    free = {
        path
        for path in in_values
        if any(
            isinstance(known[path[:n]].schema.get("additionalProperties"), dict)
            for n in range(len(path))
            if path[:n] in known
        )
    }
    assert in_values - known.keys() - free == set()
    in_schema = {
        path
        for path in known.keys() - {(), *GENERATED_OPEN}
        if 0 not in path and not is_of_the_users(path)
    }
    # A pool's own keys are those of the defaults, and optional ones of a map.
    optional = {("store", "external", "processSecrets", name) for name in PROCESS_KEYS}
    assert in_schema - in_values - optional == set()


PROCESS_KEYS = ("gateway", "worker", "reconciler", "uploader", "loadtest")


def test_a_pool_takes_what_its_defaults_have_and_a_name() -> None:
    pool = load_schema()["definitions"]["pool"]["properties"]
    defaults = load_schema()["properties"]["worker"]["properties"]["poolDefaults"]["properties"]
    assert (
        pool.keys() - {"name", "celery"}
        == defaults.keys()
        == load_defaults()["worker"]["poolDefaults"].keys()
    )
    assert {key: pool[key] for key in defaults} == defaults


def test_an_app_pool_takes_what_its_defaults_have_and_an_application() -> None:
    app = load_schema()["definitions"]["pool"]["properties"]["celery"]["properties"]
    defaults = load_schema()["properties"]["worker"]["properties"]["appDefaults"]["properties"]
    assert (
        app.keys() - {"image", "app"}
        == defaults.keys()
        == load_defaults()["worker"]["appDefaults"].keys()
    )
    assert {key: app[key] for key in defaults} == defaults


def test_the_settings_in_the_schema_are_those_of_the_processes() -> None:
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]["settings"]
    assert written == settings_schema(), "run `make docs`"


def test_the_readme_is_what_the_values_say() -> None:
    assert README.read_text(encoding="utf-8") == chart_readme(), "run `make docs`"


def rows() -> list[tuple[str, str]]:
    """Key and description of every row of the README's table of values."""
    text = README.read_text(encoding="utf-8").partition("## Values")[2]
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) >= 6 and cells[1] not in ("Key", "") and not cells[1].startswith("-"):
            found.append((cells[1], cells[-2]))
    return found


def test_every_value_is_explained() -> None:
    assert len(rows()) > 150
    assert [key for key, words in rows() if len(words) < 4] == []


def test_every_value_is_in_the_table() -> None:
    listed = {key for key, _ in rows()}
    for path in default_paths(load_defaults()):
        names = [".".join(path[:n]) for n in range(1, len(path) + 1)]
        below = ".".join(path) + "."
        assert listed & set(names) or any(key.startswith(below) for key in listed), names[-1]


@pytest.mark.parametrize(
    "line", README.read_text(encoding="utf-8").split("## Values")[0].split("\n")
)
def test_what_the_readme_links_to_is_there(line: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", line):
        assert (CHART / target).exists(), target
