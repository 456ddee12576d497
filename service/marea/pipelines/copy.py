"""Pipelines of kind `none`: the bytes go through unchanged, whatever they are.

To measure everything but the decoding, and to mirror files under another name.
"""

from __future__ import annotations

from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.definition import Outputs, PipelineKind
from marea.pipelines.guards import MAX_BYTES
from marea.pipelines.pipeline import Artifact, Produced, Source
from marea.pipelines.step import Parameter, StepCall


class CopyPipeline(DeclaredPipeline):
    """One artifact, equal to the source. An empty file is copied too."""

    def _produce(self, source: Source) -> Produced:
        # Never the uploader's content type: results may be served to browsers, and bytes
        # that nobody looked at must not come back as text/html.
        artifact = Artifact(self.result_key(source.key), source.data, "application/octet-stream")
        return Produced((artifact,), {"size_bytes": len(source.data)})


def _arrange(steps: tuple[StepCall, ...]) -> tuple[tuple[StepCall, ...], list[str]]:
    return steps, []


def _outputs(_: tuple[StepCall, ...]) -> Outputs:
    return Outputs()


NONE = PipelineKind(
    name="none",
    pool="images",
    steps={},
    limits={"max_bytes": Parameter("whole", MAX_BYTES, 1, 2**30)},
    options={},
    user_steps_take=None,
    libraries=(),
    arrange=_arrange,
    outputs=_outputs,
    build=CopyPipeline,
)
