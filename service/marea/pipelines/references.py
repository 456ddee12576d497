"""`module:function` references to a user's code.

A step's reference is checked by reading the module's source, not by importing it: the gateway
loads the catalog too, and the module may import Pillow. The first run imports it. A whole
pipeline is an object, so its module is imported when the catalog loads.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from marea.errors import ConfigError

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


def resolve(reference: str) -> Any:
    """Import and return what `module:name` names. Raises `ConfigError` if it is not there."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigError([f"{reference} cannot be imported: {exc}"]) from exc


@functools.cache
def resolve_function(reference: str) -> Callable[..., Any]:
    """The same for what will be called; imported once per process."""
    found = resolve(reference)
    if not callable(found):
        raise ConfigError([f"{reference} is not a function"])
    function: Callable[..., Any] = found
    return function


def reference_problems(reference: Any, keywords: Iterable[str] | None) -> list[str]:
    """What is wrong with a reference, as sentences without a subject, found without import.

    `keywords` are the names it will be called with; None = not called with any known.
    Parent packages are imported, as Python must to find a module.
    """
    if not isinstance(reference, str) or not _REFERENCE.match(reference):
        return [f"must be 'package.module:function' (given: {reference!r})"]
    module, _, name = reference.partition(":")
    origin = _origin(module)
    if origin is None:
        return [f"names the module {module!r}, which is not installed"]
    if origin.suffix != ".py":
        return []  # Compiled: its names show at the first run only.
    try:
        tree = ast.parse(origin.read_bytes())
    except (OSError, SyntaxError, ValueError) as exc:
        return [f"names the module {module!r}, which cannot be read: {exc}"]
    function, is_named = _top_level(tree, name)
    if not is_named:
        return [f"names {name!r}, which {module} does not define"]
    if function is None or keywords is None:
        return []
    if function.args.kwarg is not None:
        return []
    taken = {argument.arg for argument in (*function.args.args[1:], *function.args.kwonlyargs)}
    return [
        f"passes {keyword!r}, which {reference} does not take"
        for keyword in sorted(set(keywords) - taken)
    ]


def source_hash(reference: str) -> str:
    """16 hex digits over the module's file, so that edited code changes the digest."""
    origin = _origin(reference.partition(":")[0])
    content = origin.read_bytes() if origin is not None and origin.is_file() else b""
    return hashlib.sha256(content).hexdigest()[:16]


def _origin(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin)


def _top_level(tree: ast.Module, name: str) -> tuple[ast.FunctionDef | None, bool]:
    """The function called `name` if the module defines it plainly, and whether it has the
    name at all (imports, assignments and star imports count)."""
    is_named = False
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=found) if found == name and node in tree.body:
                return node, True
            case ast.ClassDef(name=found) if found == name:
                is_named = True
            case ast.ImportFrom(names=names):
                is_named = is_named or any(
                    alias.name == "*" or (alias.asname or alias.name) == name for alias in names
                )
            case ast.Name(id=found, ctx=ast.Store()) if found == name:
                is_named = True
            case _:
                pass
    return None, is_named
