"""Reads the texts that settings come in: YAML and NAME=value files, JSON in a variable, URLs.

Knows no setting; only `settings.py` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from marea.errors import ConfigError


def read_env_file(file: Path) -> dict[str, str]:
    """The variables of a file of NAME=value lines, values in single quotes or bare.

    Raises `ConfigError` if it cannot be read, or for a line that is none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise ConfigError([f"{file}: cannot be read: {exc}"]) from exc
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, text = line.partition("=")
        if not separator:
            raise ConfigError([f"{file}:{number}: not NAME=value"])
        text = text.strip()
        if len(text) >= 2 and text[0] == text[-1] == "'":
            text = text[1:-1].replace("'\\''", "'")
        variables[name.strip()] = text
    return variables


def read_settings_file(variable: str, path: str | None, problems: list[str]) -> dict[str, Any]:
    """The sections in the YAML file that `variable` names; what is wrong goes to `problems`."""
    if not path:
        return {}
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as exc:
        problems.append(f"{variable}={path}: cannot be read: {exc}")
        return {}
    if not isinstance(tree, dict):
        problems.append(f"{path}: must be a mapping of sections")
        return {}
    return tree


def parse_json(name: str, text: str, problems: list[str]) -> Any:
    """The JSON in the variable `name`; None, and a problem, if it is none."""
    try:
        return yaml.safe_load(text)  # a superset of JSON: `[a, b]` need not be quoted
    except yaml.YAMLError:
        problems.append(f'{name}: must be JSON, e.g. ["uploads"]')
        return None


def merge(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put `changes` over `tree`, section by section; tokens are replaced as a whole."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict) and key != "api_tokens":
            merge(tree[key], value)
        elif isinstance(value, Mapping) and key not in tree:
            tree[key] = {}
            merge(tree[key], value)
        else:
            tree[key] = value


def has_password(url: str) -> bool:
    """Whether any address in `url` names a password; several are separated by `;`."""
    return any(_user_of(address).partition(":")[2] for address in url.split(";"))


def url_user(url: str) -> str:
    """The user that `url` names, as it is written there; empty if none."""
    return _user_of(url).partition(":")[0]


def url_place(url: str) -> str:
    """`url` without user, password and parameters: for logs."""
    places = []
    for address in url.split(";"):
        scheme, separator, rest = address.rpartition("://")
        rest = rest.removeprefix(f"{_user_of(address)}@").partition("?")[0]
        places.append(f"{scheme}{separator}{rest}")
    return ";".join(places)


def with_password(url: str, password: str, user: str = "") -> str:
    """`url` with `password`, percent-encoded, in each of its addresses, which name none yet.
    An address without a user gets `user`, written as in a URL. Without password: `url`."""
    if not password:
        return url
    login = quote(password, safe="")
    addresses = []
    for address in url.split(";"):
        scheme, separator, rest = address.rpartition("://")
        named = _user_of(address)
        rest = rest.removeprefix(f"{named}@")
        addresses.append(f"{scheme}{separator}{named.rstrip(':') or user}:{login}@{rest}")
    return ";".join(addresses)


def _user_of(address: str) -> str:
    """`user:password`, `user` or nothing: what stands before the host."""
    rest = address.rpartition("://")[2]
    ends = [rest.find(mark) for mark in "/?#" if mark in rest]
    return rest[: min(ends, default=len(rest))].rpartition("@")[0]
