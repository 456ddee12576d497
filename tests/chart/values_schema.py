"""The schema of the chart's values, walked: every key it knows, and values that it must refuse.

Used by the tests of refusals, which set each of these values and expect Helm to name it, and by
those that compare the schema with values.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from render import CHART

Path = tuple[str | int, ...]
MISSPELT = "misspeltKey"


@dataclass(frozen=True)
class Node:
    """One place in the values, with the schema that holds there, references followed."""

    path: Path
    schema: Mapping[str, Any]

    @property
    def pointer(self) -> str:
        """As Helm names it: `/pools/0/name`."""
        return "".join(f"/{part}" for part in self.path)

    @property
    def is_closed(self) -> bool:
        return self.schema.get("additionalProperties") is False


@cache
def load_schema() -> dict[str, Any]:
    text = (CHART / "values.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def load_defaults() -> dict[str, Any]:
    """values.yaml as it is."""
    return dict(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))


def nodes(schema: Mapping[str, Any] | None = None, path: Path = ()) -> Iterator[Node]:
    """Every place that the schema describes; of a list, its first entry."""
    schema = resolve(load_schema() if schema is None else schema)
    yield Node(path, schema)
    for key, below in schema.get("properties", {}).items():
        yield from nodes(below, (*path, key))
    if "items" in schema:
        yield from nodes(schema["items"], (*path, 0))


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = load_schema()["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def wrong_value(schema: Mapping[str, Any]) -> Any:
    """A value that the schema of a leaf refuses, or ... where it takes everything."""
    if "enum" in schema:
        return "none-of-these"
    if "anyOf" in schema:
        return "neither"
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if not kinds:
        return ...
    return next(
        wrong
        for kind, wrong in (
            ("boolean", True),
            ("object", {"a": 1}),
            ("array", [1]),
            ("string", "text"),
        )
        if kind not in kinds
    )


def bounds(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Values of the right type just outside what the schema allows."""
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "pattern" in schema:
        yield "\u00e9 \u00e9"
    if "minItems" in schema:
        yield []
    if "minLength" in schema:
        yield ""
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if schema.get("uniqueItems"):
        yield ["aaa", "aaa"]


def place(tree: dict[str, Any], path: Path, value: Any) -> None:
    """Put `value` at `path`; lists and objects on the way are made as needed."""
    node: Any = tree
    for part, following in zip(path, (*path[1:], None), strict=True):
        below: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(node, list):
            if not node:
                node.append(below)
            elif following is None:
                node[0] = value
        elif following is None:
            node[part] = value
        else:
            node.setdefault(part, below)
        node = node[part]
