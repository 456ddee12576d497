"""Pipelines of kind `tables`, as far as they show without pandas."""

from __future__ import annotations

from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.definition import Outputs, PipelineKind
from marea.pipelines.guards import MAX_BYTES
from marea.pipelines.pipeline import Produced, Source
from marea.pipelines.step import Parameter, StepCall
from marea.pipelines.tables.steps import TABLE_STEPS

MAX_COLUMNS = 2_000
"""Default cap; gut feeling. A summary has about 500 bytes a column: 1 MB here."""


class TablePipeline(DeclaredPipeline):
    """Read a CSV file, run the user's steps over the table, write the summary."""

    def _produce(self, source: Source) -> Produced:
        # pandas is imported here, by the worker's child, and by nobody who only looks.
        from marea.pipelines.tables.analyse import analyse

        return analyse(self, source)


def _arrange(steps: tuple[StepCall, ...]) -> tuple[tuple[StepCall, ...], list[str]]:
    names = [step.name for step in steps]
    if names.count("summary") != 1 or names[-1] != "summary":
        return steps, ["must have one step 'summary', as the last"]
    return steps, []


def _outputs(_: tuple[StepCall, ...]) -> Outputs:
    return Outputs(extension=".json")


TABLES = PipelineKind(
    name="tables",
    pool="tables",
    steps=TABLE_STEPS,
    limits={
        # A table takes 3 to 10 times its CSV in memory, and is parsed as one block.
        "max_bytes": Parameter("whole", MAX_BYTES, 1, 2**30),
        "max_columns": Parameter("whole", MAX_COLUMNS, 1, 100_000),
    },
    options={
        "delimiter": Parameter(
            "choice", "auto", choices=("auto", "comma", "semicolon", "tab", "pipe")
        ),
    },
    user_steps_take="table",
    libraries=("pandas",),
    arrange=_arrange,
    outputs=_outputs,
    build=TablePipeline,
)
