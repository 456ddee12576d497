"""Every table step with its parameters, as data; the code is in the file of the same name."""

from __future__ import annotations

from marea.pipelines.step import Parameter, StepSpec

TABLE_STEPS: dict[str, StepSpec] = {
    spec.name: spec
    for spec in (
        StepSpec(
            "summary",
            "marea.pipelines.tables.summary:summary",
            takes="table",
            parameters={
                "top": Parameter("whole", 5, 0, 100),
                "max_distinct": Parameter("whole", 10_000, 1, 10_000_000),
            },
            about="Per column: type, counts, range, mean, most frequent values. Comes last.",
        ),
    )
}
