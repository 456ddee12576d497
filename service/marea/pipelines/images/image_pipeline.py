"""Pipelines of kind `images`, as far as they show without Pillow."""

from __future__ import annotations

from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.definition import Outputs, PipelineKind
from marea.pipelines.guards import MAX_BYTES, MAX_FRAMES, MAX_PIXELS
from marea.pipelines.images.formats import FORMATS
from marea.pipelines.images.steps import IMAGE_STEPS
from marea.pipelines.pipeline import Produced, Source
from marea.pipelines.step import Parameter, StepCall, call_step


class ImagePipeline(DeclaredPipeline):
    """Decode once, run the steps, encode each result."""

    def _produce(self, source: Source) -> Produced:
        # Pillow is imported here, or by a worker before it forks, and by nobody who only looks.
        from marea.pipelines.images.render import render

        return render(self, source)


def _arrange(steps: tuple[StepCall, ...]) -> tuple[tuple[StepCall, ...], list[str]]:
    """`orient` first (put there if unnamed); `sizes` and `convert` at most once."""
    problems = []
    names = [step.name for step in steps]
    for once in ("orient", "sizes", "convert", "strip"):
        if names.count(once) > 1:
            problems.append(f"has {names.count(once)} steps {once!r}; one is all it can have")
    if "orient" in names[1:]:
        problems.append("orient must be the first step: the others work on upright images")
    if "sizes" in names and "blurhash" in names[names.index("sizes") :]:
        problems.append("blurhash must come before sizes: one hash stands for all of them")
    if not steps or names[0] != "orient":
        orient, _ = call_step(IMAGE_STEPS["orient"], None)
        if orient is not None:
            steps = (orient, *steps)
    return steps, problems


def _outputs(steps: tuple[StepCall, ...]) -> Outputs:
    roles: tuple[str, ...] = ("",)
    extension = None
    for step in steps:
        if step.name == "sizes":
            roles = tuple(str(width) for width in step.parameters["widths"])
        elif step.name == "convert":
            extension = FORMATS[str(step.parameters["format"]).upper()].extension
    return Outputs(roles, extension)


IMAGES = PipelineKind(
    name="images",
    pool="images",
    steps=IMAGE_STEPS,
    limits={
        "max_bytes": Parameter("whole", MAX_BYTES, 1, 2**30),
        "max_pixels": Parameter("whole", MAX_PIXELS, 1, 1_000_000_000),
        "max_frames": Parameter("whole", MAX_FRAMES, 1, 100_000),
    },
    options={
        # Animated GIF, WebP, PNG and AVIF: the first frame, unless all are asked for.
        "animation": Parameter("choice", "first", choices=("first", "all")),
    },
    user_steps_take="image",
    libraries=("pillow",),
    arrange=_arrange,
    outputs=_outputs,
    build=ImagePipeline,
)
