"""Runs an image pipeline: guards, decode, steps, encode. Imported by the first run only,
or by a worker that is about to fork."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import quote

from PIL import Image

from marea.errors import MareaError, PermanentError
from marea.pipelines.declared import DeclaredPipeline
from marea.pipelines.images.colour import to_srgb
from marea.pipelines.images.decode import DECODER_ERRORS, DecodeLimits, Draft, decode, read_format
from marea.pipelines.images.encode import encode, on_white
from marea.pipelines.images.formats import FORMATS, Format, format_to_write
from marea.pipelines.images.geometry import GAP, Size, plan_resize
from marea.pipelines.images.picture import Picture
from marea.pipelines.pipeline import Artifact, Produced, Source
from marea.pipelines.references import resolve_function
from marea.pipelines.result_keys import split_key
from marea.pipelines.step import StepCall

_DRAFT_NEUTRAL = ("orient", "blurhash", "convert", "strip", "grayscale")
"""Steps that may come before the first resize without needing the full size."""


_ALPHA_NEUTRAL = ("orient", "grayscale", "crop", "sizes", "blurhash", "strip", "convert")
"""Steps that come to the same on white as with alpha. `resize` does, unless it pads; a watermark
is drawn by the picture's mode, and a user's step may look at anything."""


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage, summed where a stage runs more than once."""

    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            self.timings_s[name] = self.timings_s.get(name, 0.0) + perf_counter() - began


def render(pipeline: DeclaredPipeline, source: Source) -> Produced:
    """All artifacts of one source. Raises `PermanentError`."""
    definition = pipeline.definition
    limits = DecodeLimits(
        definition.limits["max_pixels"],
        definition.limits["max_frames"],
        definition.options["animation"] == "all",
    )
    watch = Stopwatch()
    with watch.stage("decode"):
        form = read_format(source.data, limits)
        target = format_to_write(split_key(source.key).ext, form)
        picture = decode(source.data, form, target, _draft(definition.steps), limits)
    stored = picture.size if picture.orientation < 5 else picture.size[::-1]
    details: dict[str, Any] = {
        "source_format": form,
        "source_width_px": stored[0],
        "source_height_px": stored[1],
    }
    if len(picture.frames) > 1:
        details["frames"] = len(picture.frames)
    for step in definition.steps:
        if step.name == "strip":  # Decides below whether the colours are converted.
            picture = _run_step(step, picture)[0]
    if "icc" not in picture.keep:
        with watch.stage("colour"):
            picture = to_srgb(picture)
    if _loses_alpha(definition.steps, target) and picture.frames[0].mode in ("LA", "RGBA"):
        with watch.stage("alpha"):
            picture = picture.map(on_white)
    pictures: tuple[Picture, ...] = (picture,)
    for step in definition.steps:
        with watch.stage(step.name):
            pictures = tuple(made for each in pictures for made in _run_step(step, each))
    details |= pictures[0].notes
    artifacts = []
    with watch.stage("encode"):
        for made in pictures:
            artifacts.append(_artifact(pipeline, source.key, made))
    if len(artifacts) > 1:
        details["srcset"] = _srcset(artifacts)
    return Produced(tuple(artifacts), details, watch.timings_s)


def _draft(steps: tuple[StepCall, ...]) -> Draft:
    """How much of a JPEG the steps will look at."""
    first = next((step for step in steps if step.name != "orient"), None)
    shrinking = next((step for step in steps if step.name not in _DRAFT_NEUTRAL), None)
    return Draft(
        needed_size=lambda upright: _needed_size(shrinking, upright),
        gray=first is not None and first.name == "grayscale",
    )


def _needed_size(step: StepCall | None, upright: Size) -> Size | None:
    if step is None or step.name not in ("resize", "sizes"):
        return None
    if step.name == "sizes":
        plan = plan_resize(upright, max(step.parameters["widths"]), None, "fit", upscale=False)
    else:
        box = {name: step.parameters[name] for name in ("width", "height", "mode", "upscale")}
        plan = plan_resize(upright, **box)
    return (plan.scaled[0] * GAP, plan.scaled[1] * GAP)


def _loses_alpha(steps: tuple[StepCall, ...], target: Format) -> bool:
    """Whether alpha may be laid on white before the steps: half as much then to scale, once."""
    for step in steps:
        if step.name == "convert":
            target = FORMATS[str(step.parameters["format"]).upper()]
        elif step.name == "resize":
            if step.parameters["mode"] == "pad":
                return False
        elif step.name not in _ALPHA_NEUTRAL:
            return False
    return "RGBA" not in target.modes


def _run_step(step: StepCall, picture: Picture) -> tuple[Picture, ...]:
    function = resolve_function(step.function)
    try:
        if step.takes == "image":
            return (picture.map(lambda frame: _checked(function(frame, **step.parameters))),)
        made = function(picture, **step.parameters)
    except MareaError:
        raise
    except DECODER_ERRORS as exc:
        raise PermanentError(
            f"step {step.name!r} failed on this image ({type(exc).__name__}: {exc!s:.200}); try"
            " another image, and tell whoever runs this service",
            code="step-failed",
        ) from exc
    return made if isinstance(made, tuple) else (made,)


def _checked(returned: Any) -> Image.Image:
    if not isinstance(returned, Image.Image):
        raise TypeError(f"it returned {type(returned).__name__}, not an Image")
    return returned


def _artifact(pipeline: DeclaredPipeline, key: str, picture: Picture) -> Artifact:
    try:
        content = encode(picture)
    except DECODER_ERRORS as exc:
        raise PermanentError(
            f"the result cannot be written as {picture.target.name} ({exc!s:.200}); try another"
            " image, or another format in the pipeline's convert step",
            code="encode-failed",
        ) from exc
    width, height = picture.frames[0].size
    return Artifact(
        pipeline.result_key(key, picture.role),
        content,
        picture.target.content_type,
        width,
        height,
        picture.role,
    )


def _srcset(artifacts: list[Artifact]) -> str:
    """For an HTML `srcset` on a page beside the results; one candidate per real width."""
    by_width = {artifact.width_px: artifact for artifact in reversed(artifacts)}
    return ", ".join(
        f"{quote(by_width[width].key.rsplit('/', 1)[-1])} {width}w"
        for width in sorted(width for width in by_width if width is not None)
    )
