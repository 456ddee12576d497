"""A scenario's expectations, held against a run's figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.evidence import VIOLATIONS
from loadtest.runs.data import Limit, Run
from loadtest.scenario import Bound

PROMISE = "a promise: no upload is lost, none has two results, each result is the right one"


def judge_limits(
    run: Run, figures: Mapping[str, float | None], bounds: Sequence[Bound]
) -> tuple[Limit, ...]:
    """What always holds, by the stand-alone checker, and then the scenario's own limits."""
    counts = run.checker
    always = tuple(
        Limit(kind, "at most", 0.0, _number(counts.get(kind)), PROMISE) for kind in VIOLATIONS
    )
    checked = Limit(
        "checked",
        "at least",
        1.0,
        _number(counts.get("checked")),
        "a run that checked nothing has proved nothing",
    )
    kind = str(run.target.get("kind", ""))
    own = tuple(
        Limit(
            bound.figure,
            "at most" if bound.at_most is not None else "at least",
            float(bound.at_most if bound.at_most is not None else bound.at_least or 0.0),
            figures.get(bound.figure),
            bound.why,
        )
        for bound in bounds
        if not bound.only_at or bound.only_at == kind
    )
    return (*always, checked, *own)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
