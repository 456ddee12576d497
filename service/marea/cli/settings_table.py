"""The settings as a table: for `marea settings`, and for docs/settings.md.

The docstring under each field of `marea.settings` is its description, so there is one text.
`python -m marea.cli.settings_table > docs/settings.md` writes the page anew; a test keeps
both equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from marea.settings import SETTINGS_FILE_VARIABLE, Settings, variable_name

HIDDEN = "(secret)"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `default` is as it would be written in the environment; "" = none."""

    variable: str
    default: str
    description: str
    secret: bool
    path: tuple[str, ...]
    """Names from the root of the tree, e.g. `("store", "region")`."""


def settings_table(settings: type[Settings] = Settings) -> list[Row]:
    """Every setting in the order of the file; secrets' defaults are shown only if empty."""
    return list(_rows(settings, ()))


def effective_values(settings: Settings) -> dict[str, str]:
    """Variable → the value in effect, as in the environment; secrets that were set are hidden."""
    values: dict[str, str] = {}
    for row in settings_table():
        value: Any = settings
        for part in row.path:
            value = getattr(value, part)
        written = _written(value)
        values[row.variable] = HIDDEN if row.secret and written != row.default else written
    return values


def to_markdown(rows: Sequence[Row]) -> str:
    """The page docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Precedence: default < YAML file named by"
        f" `{SETTINGS_FILE_VARIABLE}` < environment < command line.",
        "A secret can also be given as a file, by its variable with `_FILE` at the end.",
        "An unknown `MAREA_` variable is an error. `marea settings` prints what is in effect.",
    ]
    section: tuple[str, ...] | None = None
    for row in rows:
        if row.path[:-1] != section:
            section = row.path[:-1]
            title = section[0] if section else "general"
            lines += ["", f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        default = f"`{row.default}`" if row.default else "none"
        description = row.description.replace("\n", " ").replace("|", "\\|")
        secret = " Secret." if row.secret else ""
        lines.append(f"| `{row.variable}` | {default} | {description}{secret} |")
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Row]:
    # The root's own fields come first: in a table, a section ends where the next begins.
    for name, field in sorted(model.model_fields.items(), key=lambda item: _is_section(item[1])):
        if _is_section(field):
            assert isinstance(field.annotation, type)
            yield from _rows(field.annotation, (*path, name))
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        yield Row(
            variable=variable_name(*path, name),
            default=_written(default),
            description=" ".join((field.description or "").split()),
            secret="SecretStr" in str(field.annotation),
            path=(*path, name),
        )


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _written(value: Any) -> str:
    """As in the environment. A default is no secret, whatever the type of its field."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | dict):
        return json.dumps(value, default=_written) if value else ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


if __name__ == "__main__":
    print(to_markdown(settings_table()), end="")
