"""Steps as plain data: what a step is called, which parameters it takes, where its code is.

A definition is checked against these tables, so reading the catalog never imports Pillow or
pandas; the code itself is imported by the first run. Called by `definition.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

REQUIRED: Any = object()
"""Default of a parameter that must be given."""

Kind = Literal["whole", "number", "flag", "text", "choice", "wholes", "choices", "colour"]

_NAMED_COLOURS = {"black": "#000000", "gray": "#808080", "white": "#ffffff"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_TEXT_LIMIT = 200
_LIST_LIMIT = 20
"""Texts and lists of a definition; gut feeling, far above any sensible pipeline."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a step, or one limit of a pipeline."""

    kind: Kind
    default: Any = REQUIRED
    minimum: float = 0
    maximum: float = 0
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What a right value looks like, for the error's sentence."""
        span = f"{self.minimum:g} to {self.maximum:g}"
        if self.kind in ("whole", "wholes", "number"):
            span = f"{_plain(self.minimum)} to {_plain(self.maximum)}"
        return {
            "whole": f"a whole number from {span}",
            "number": f"a number from {span}",
            "flag": "true or false",
            "text": f"a text of 1 to {_TEXT_LIMIT} characters",
            "choice": "one of " + ", ".join(self.choices),
            "wholes": f"a list of 1 to {_LIST_LIMIT} different whole numbers from {span}",
            "choices": "a list of " + ", ".join(self.choices),
            "colour": "a colour such as '#ff8800', or " + ", ".join(_NAMED_COLOURS),
        }[self.kind]

    def canonical(self, value: Any) -> Any:
        """`value` in the one form that code and digest see. Raises ValueError if it is wrong."""
        match self.kind:
            case "whole":
                return _whole(value, self)
            case "number" if isinstance(value, int | float) and not isinstance(value, bool):
                if self.minimum <= value <= self.maximum:
                    return float(value)
            case "flag" if isinstance(value, bool):
                return value
            case "text" if isinstance(value, str) and 1 <= len(value) <= _TEXT_LIMIT:
                return value
            case "choice" if isinstance(value, str) and value in self.choices:
                return value
            case "wholes" if isinstance(value, list | tuple):
                wholes = tuple(_whole(item, self) for item in value)
                if 1 <= len(wholes) <= _LIST_LIMIT and len(set(wholes)) == len(wholes):
                    return wholes
            case "choices" if isinstance(value, list | tuple):
                if all(isinstance(item, str) and item in self.choices for item in value):
                    return tuple(sorted(set(value)))
            case "colour" if isinstance(value, str):
                colour = _NAMED_COLOURS.get(value.lower(), value.lower())
                if _COLOUR.match(colour):
                    return colour
        raise ValueError(value)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:g}"


def _whole(value: Any, parameter: Parameter) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not parameter.minimum <= value <= parameter.maximum:
        raise ValueError(value)
    return int(value)


def _no_rule(_: Mapping[str, Any]) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A built-in step. To change what its code produces, raise `version`."""

    name: str
    function: str
    """`module:function`; the parameters arrive as keywords."""
    takes: str = "image"
    """`image`: Image -> Image, called per frame. `picture`: Picture -> Picture(s). `table`."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    main: str | None = None
    """The parameter that a bare value means: `convert: webp`, `sizes: [320, 640]`."""
    rule: Callable[[Mapping[str, Any]], list[str]] = _no_rule
    """Checks parameters against each other: sentences without a subject."""
    version: int = 1
    about: str = ""


@dataclass(frozen=True, slots=True)
class StepCall:
    """A step with its parameters, checked and complete."""

    name: str
    function: str
    takes: str
    parameters: Mapping[str, Any]
    version: int | str
    """The built-in's number, or the hash of a user's module."""

    def canonical(self) -> dict[str, Any]:
        """JSON-able, for the digest and for `marea pipelines show`."""
        return {
            "step": self.name,
            "parameters": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in sorted(self.parameters.items())
            },
            "version": self.version,
        }


def call_step(spec: StepSpec, given: Any) -> tuple[StepCall | None, list[str]]:
    """`given` is None, a mapping of parameters, or the value of the step's main parameter.

    Returns the call, or None and every problem as a sentence without a subject.
    """
    if given is None:
        given = {}
    elif not isinstance(given, Mapping):
        if spec.main is None:
            return None, [f"takes parameters by name (given: {given!r})"]
        given = {spec.main: given}
    parameters, problems = check_parameters(spec.parameters, given)
    if not problems:
        problems = spec.rule(parameters)
    if problems:
        return None, problems
    values = MappingProxyType(parameters)
    return StepCall(spec.name, spec.function, spec.takes, values, spec.version), []


def check_parameters(
    specs: Mapping[str, Parameter], given: Mapping[Any, Any]
) -> tuple[dict[str, Any], list[str]]:
    """All of `specs` with defaults filled in, and every problem with what was given."""
    problems = [
        f"has no parameter {name!r}" + (f"; it takes {', '.join(sorted(specs))}" if specs else "")
        for name in given
        if name not in specs
    ]
    values: dict[str, Any] = {}
    for name, parameter in specs.items():
        value = given.get(name, parameter.default)
        if value is REQUIRED:
            problems.append(f"needs {name}: {parameter.expected}")
        elif value is None and parameter.default is None:
            values[name] = None
        else:
            try:
                values[name] = parameter.canonical(value)
            except ValueError:
                problems.append(f"{name} must be {parameter.expected} (given: {value!r})")
    return values, problems
