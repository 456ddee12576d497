"""Runs a table pipeline: guards, read, the user's steps, summary. Imported by the first run."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import pandas as pd

from marea.errors import MareaError, PermanentError
from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.pipeline import Artifact, Produced, Source
from marea.pipelines.references import resolve_function
from marea.pipelines.step import StepCall
from marea.pipelines.tables.read import read_table

_STEP_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
"""What table code is known to raise over unexpected content. Not `Exception`: the worker's soft
time limit is one, and must reach the worker."""


def analyse(pipeline: DeclaredPipeline, source: Source) -> Produced:
    """One JSON artifact. Raises `PermanentError`."""
    definition = pipeline.definition
    began = perf_counter()
    table, separator = read_table(
        source.data,
        delimiter=definition.options["delimiter"],
        max_columns=definition.limits["max_columns"],
    )
    timings_s = {"read": perf_counter() - began}
    value: Any = table
    for step in definition.steps:
        began = perf_counter()
        value = _run_step(step, value)
        timings_s[step.name] = timings_s.get(step.name, 0.0) + perf_counter() - began
    content = {"source": source.key, "delimiter": separator, **value}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    artifact = Artifact(
        pipeline.result_key(source.key),
        text.encode("utf-8", "surrogateescape"),
        "application/json",
    )
    details = {"rows": value["rows"], "columns": value["column_count"]}
    return Produced((artifact,), details, timings_s)


def _run_step(step: StepCall, value: pd.DataFrame) -> Any:
    function = resolve_function(step.function)
    try:
        returned = function(value, **step.parameters)
        if step.name != "summary" and not isinstance(returned, pd.DataFrame):
            raise TypeError(f"it returned {type(returned).__name__}, not a DataFrame")
    except MareaError:
        raise
    except _STEP_ERRORS as exc:
        raise PermanentError(
            f"step {step.name!r} failed on this table ({type(exc).__name__}: {exc!s:.200}); try"
            " another file, and tell whoever runs this service",
            code="step-failed",
        ) from exc
    return returned
