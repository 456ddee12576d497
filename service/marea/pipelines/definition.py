"""A pipeline as declared: name, kind, steps, result template, limits. Plain data.

`parse_definition` turns one entry of the YAML list (or of the built-in table, which has the
same form) into a `Definition`, or tells every problem it has. Called by `catalog.py`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from marea.pipelines.pipeline import Pipeline
from marea.pipelines.references import reference_problems, source_hash
from marea.pipelines.result_keys import (
    DEFAULT_SIZES_TEMPLATE,
    DEFAULT_TEMPLATE,
    ResultTemplate,
    template_problems,
)
from marea.pipelines.step import Parameter, StepCall, StepSpec, call_step, check_parameters

NAME = re.compile(r"[a-z0-9-]{1,40}\Z")
_KEYS = ("name", "kind", "steps", "result", "limits", "manifest", "pool")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the steps will write, as far as it shows without any content."""

    roles: tuple[str, ...] = ("",)
    extension: str | None = None
    """With dot; None = that of the source."""


@dataclass(frozen=True, slots=True)
class PipelineKind:
    """`images`, `tables` or `none`: which steps and limits exist and what runs them."""

    name: str
    pool: str
    steps: Mapping[str, StepSpec]
    limits: Mapping[str, Parameter]
    options: Mapping[str, Parameter]
    """Further keys of an entry, e.g. `animation`."""
    user_steps_take: str | None
    """What a `python:` step is given; None = no such steps."""
    libraries: tuple[str, ...]
    """Distributions whose major version may change the outputs."""
    arrange: Callable[[tuple[StepCall, ...]], tuple[tuple[StepCall, ...], list[str]]]
    """Puts implied steps in place; problems of the order, as sentences."""
    outputs: Callable[[tuple[StepCall, ...]], Outputs]
    build: Callable[[Definition], Pipeline]


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked pipeline."""

    name: str
    kind: str
    pool: str
    steps: tuple[StepCall, ...]
    result: ResultTemplate
    outputs: Outputs
    limits: Mapping[str, int]
    options: Mapping[str, Any]
    manifest: bool
    libraries: tuple[str, ...]

    def digest(self) -> str:
        """16 hex digits over all that the outputs depend on.

        Limits and pool are left out: they decide whether and where a job runs, never what
        it writes, and raising a limit must not make every result look stale.
        """
        content = {
            "name": self.name,
            "kind": self.kind,
            "steps": [step.canonical() for step in self.steps],
            "result": self.result.text,
            "options": dict(self.options),
            "manifest": self.manifest,
            "libraries": {name: _major(name) for name in self.libraries},
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def parse_definition(
    entry: Any, position: int, kinds: Mapping[str, PipelineKind], problems: list[str]
) -> Definition | None:
    """One entry of the list, the `position`-th from 1; None if it added to `problems`."""
    known = len(problems)
    if not isinstance(entry, Mapping):
        problems.append(f"pipeline {position}: must be a mapping with name and steps")
        return None
    name = entry.get("name")
    where = f"pipeline {name!r}" if isinstance(name, str) else f"pipeline {position}"
    if not isinstance(name, str) or not NAME.match(name):
        problems.append(
            f"{where}: name must be 1 to 40 of a-z, 0-9 and '-' (given: {name!r})",
        )
    kind_name = entry.get("kind", "images")
    kind = kinds.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        problems.append(f"{where}: kind must be one of {', '.join(kinds)} (given: {kind_name!r})")
        return None
    allowed = {*_KEYS, *kind.options}
    problems.extend(
        f"{where}: unknown key {key!r}; known are {', '.join(sorted(allowed))}"
        for key in entry
        if key not in allowed
    )
    steps = _steps(entry.get("steps", []), where, kind, problems)
    steps, order_problems = kind.arrange(steps)
    problems.extend(f"{where}: {problem}" for problem in order_problems)
    outputs = kind.outputs(steps)
    limits = _mapping(entry, "limits", where, problems)
    limit_values, wrong = check_parameters(kind.limits, limits)
    problems.extend(f"{where}, limits: {problem}" for problem in wrong)
    option_values, wrong = check_parameters(
        kind.options, {key: entry[key] for key in kind.options if key in entry}
    )
    problems.extend(f"{where}: {problem}" for problem in wrong)
    has_roles = outputs.roles != ("",)
    template = entry.get("result", DEFAULT_SIZES_TEMPLATE if has_roles else DEFAULT_TEMPLATE)
    _check_template(template, has_roles, where, problems)
    manifest = entry.get("manifest", False)
    if not isinstance(manifest, bool):
        problems.append(f"{where}: manifest must be true or false (given: {manifest!r})")
    pool = entry.get("pool", kind.pool)
    if not isinstance(pool, str) or not NAME.match(pool):
        problems.append(f"{where}: pool must be 1 to 40 of a-z, 0-9 and '-' (given: {pool!r})")
    if len(problems) > known:
        return None
    return Definition(
        name=str(name),
        kind=kind.name,
        pool=str(pool),
        steps=steps,
        result=ResultTemplate(template),
        outputs=outputs,
        limits=MappingProxyType(limit_values),
        options=MappingProxyType(option_values),
        manifest=manifest,
        libraries=kind.libraries,
    )


def _check_template(template: Any, has_roles: bool, where: str, problems: list[str]) -> None:
    if not isinstance(template, str):
        problems.append(f"{where}: result must be a text (given: {template!r})")
        return
    problems.extend(
        f"{where}: result {template!r} {problem}"
        for problem in template_problems(template, has_roles=has_roles)
    )


def _mapping(
    entry: Mapping[str, Any], key: str, where: str, problems: list[str]
) -> Mapping[str, Any]:
    value = entry.get(key) or {}
    if not isinstance(value, Mapping):
        problems.append(f"{where}: {key} must be a mapping (given: {value!r})")
        return {}
    return value


def _steps(
    entries: Any, where: str, kind: PipelineKind, problems: list[str]
) -> tuple[StepCall, ...]:
    if not isinstance(entries, list | tuple):
        problems.append(f"{where}: steps must be a list (given: {entries!r})")
        return ()
    calls = []
    for number, entry in enumerate(entries, start=1):
        call, wrong = _step(entry, kind)
        label = next(iter(entry), "?") if isinstance(entry, Mapping) else entry
        problems.extend(f"{where}, step {number} ({label}): {problem}" for problem in wrong)
        if call is not None:
            calls.append(call)
    return tuple(calls)


def _step(entry: Any, kind: PipelineKind) -> tuple[StepCall | None, list[str]]:
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or not entry:
        return None, ["must be a step's name, or a mapping of it to its parameters"]
    if "python" in entry:
        return _user_step(entry, kind)
    if len(entry) != 1:
        return None, ["must have one name only; indent the parameters below it"]
    name, given = next(iter(entry.items()))
    spec = kind.steps.get(name)
    if spec is None:
        known = ", ".join(sorted(kind.steps)) or "none"
        return None, [f"unknown step; steps of kind {kind.name} are: {known}"]
    return call_step(spec, given)


def _user_step(entry: Mapping[str, Any], kind: PipelineKind) -> tuple[StepCall | None, list[str]]:
    if kind.user_steps_take is None:
        return None, [f"pipelines of kind {kind.name} have no steps of their own"]
    reference = entry["python"]
    parameters = {key: value for key, value in entry.items() if key != "python"}
    problems = reference_problems(reference, parameters)
    try:
        json.dumps(parameters)
    except (TypeError, ValueError):
        problems.append("parameters must be plain YAML values (no dates, no binary)")
    if problems:
        return None, problems
    return (
        StepCall(
            name=f"python:{reference}",
            function=reference,
            takes=kind.user_steps_take,
            parameters=MappingProxyType(parameters),
            version=source_hash(reference),
        ),
        [],
    )


def _major(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution).split(".", 1)[0]
    except importlib.metadata.PackageNotFoundError:
        return "absent"
