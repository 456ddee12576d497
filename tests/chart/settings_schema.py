"""The part of values.schema.json that is `settings`, from the settings themselves.

`python tests/chart/settings_schema.py` writes it anew (`make docs` runs it); a test keeps both
equal. So a misspelt setting is refused by Helm, not by a pod that does not start. Keys that have
a value of their own in the chart stay open here: the guard that refuses them says where to.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from render import CHART

from marea.settings import Settings

SCHEMA = CHART / "values.schema.json"
GUARDS = CHART / "templates" / "_guards.tpl"
DROPPED = ("title", "description", "default", "writeOnly", "format", "from_file")


def settings_schema() -> dict[str, Any]:
    """The tree of `marea.settings` as a JSON schema, closed, in the order of the code."""
    whole = Settings.model_json_schema()
    owned = owned_settings()
    properties: dict[str, Any] = {}
    for name, field in whole["properties"].items():
        if "$ref" not in field:
            properties[name] = {} if name in owned else reduced(field)
            continue
        section = whole["$defs"][field["$ref"].rpartition("/")[2]]
        fields = {
            key: {} if f"{name}.{key}" in owned else reduced(value)
            for key, value in section["properties"].items()
        }
        properties[name] = {
            "type": "object",
            "additionalProperties": False,
            "properties": fields,
        }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def owned_settings() -> set[str]:
    """The settings that the guards refuse: `broker.url`, `rules_file`…"""
    text = GUARDS.read_text(encoding="utf-8")
    table = re.search(r"\$owned := dict(.*?)-}}", text, re.DOTALL)
    assert table is not None, "the guards have no table of owned settings any more"
    words = re.findall(r'"([^"]*)"', table[1])
    return {*words[::2], "rules_file", "pipelines_file"}


def reduced(schema: Any) -> Any:
    """Without what a person reads in docs/settings.md."""
    if isinstance(schema, dict):
        return {key: reduced(value) for key, value in schema.items() if key not in DROPPED}
    if isinstance(schema, list):
        return [reduced(value) for value in schema]
    return schema


def main() -> int:
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    whole["properties"]["settings"] = settings_schema()
    SCHEMA.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
