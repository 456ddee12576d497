"""Every image step with its parameters, as data; the code is in the file of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marea.pipelines.images.geometry import GRAVITIES
from marea.pipelines.step import Parameter, StepSpec

MAX_SIDE_PX = 16_383
"""Largest width or height a definition may ask for: WebP's own limit."""

CONVERT_TARGETS = ("jpeg", "png", "webp", "avif")

_SIDE = Parameter("whole", None, 1, MAX_SIDE_PX)


def _resize_rule(parameters: Mapping[str, Any]) -> list[str]:
    width, height, mode = (parameters[name] for name in ("width", "height", "mode"))
    if width is None and height is None:
        return ["needs width, height, or both"]
    if mode in ("fill", "pad") and (width is None or height is None):
        return [f"mode {mode} needs both width and height"]
    if mode == "limit" and parameters["upscale"]:
        return ["mode limit never enlarges; take fit, or leave upscale out"]
    return []


def _crop_rule(parameters: Mapping[str, Any]) -> list[str]:
    if (parameters["x"] is None) != (parameters["y"] is None):
        return ["needs x and y together, or neither (then gravity places the box)"]
    return []


def _convert_rule(parameters: Mapping[str, Any]) -> list[str]:
    form = parameters["format"]
    problems = []
    if parameters["quality"] is not None and form == "png":
        problems.append("quality has no meaning for png, which loses nothing")
    if parameters["lossless"] and form != "webp":
        problems.append("lossless is a choice of webp only")
    return problems


IMAGE_STEPS: dict[str, StepSpec] = {
    spec.name: spec
    for spec in (
        StepSpec(
            "orient",
            "marea.pipelines.images.orient:orient",
            takes="picture",
            about="Turn upright by the EXIF tag. Always done first, named or not.",
        ),
        StepSpec(
            "grayscale",
            "marea.pipelines.images.grayscale:grayscale",
            about="Luma of ITU-R 601; alpha is kept.",
        ),
        StepSpec(
            "resize",
            "marea.pipelines.images.resize:resize",
            takes="picture",
            parameters={
                "width": _SIDE,
                "height": _SIDE,
                "mode": Parameter("choice", "fit", choices=("fit", "fill", "limit", "pad")),
                "upscale": Parameter("flag", False),
                "gravity": Parameter("choice", "center", choices=GRAVITIES),
                "background": Parameter("colour", "#ffffff"),
            },
            rule=_resize_rule,
            about="Fit into, fill, or pad to a box; no enlarging unless told.",
        ),
        StepSpec(
            "crop",
            "marea.pipelines.images.crop:crop",
            parameters={
                "width": Parameter("whole", minimum=1, maximum=MAX_SIDE_PX),
                "height": Parameter("whole", minimum=1, maximum=MAX_SIDE_PX),
                "x": Parameter("whole", None, 0, 1_000_000),
                "y": Parameter("whole", None, 0, 1_000_000),
                "gravity": Parameter("choice", "center", choices=GRAVITIES),
            },
            rule=_crop_rule,
            about="Cut a box out, at x and y or by gravity.",
        ),
        StepSpec(
            "watermark",
            "marea.pipelines.images.watermark:watermark",
            parameters={
                "text": Parameter("text"),
                "size": Parameter("number", 0.05, 0.005, 0.5),
                "opacity": Parameter("number", 0.6, 0.05, 1),
                "position": Parameter("choice", "southeast", choices=GRAVITIES),
                "colour": Parameter("colour", "#ffffff"),
            },
            main="text",
            about="A line of text; size is a fraction of the shorter side.",
        ),
        StepSpec(
            "sizes",
            "marea.pipelines.images.sizes:sizes",
            takes="picture",
            parameters={"widths": Parameter("wholes", minimum=1, maximum=MAX_SIDE_PX)},
            main="widths",
            about="One result per width from one decode; none is enlarged.",
        ),
        StepSpec(
            "blurhash",
            "marea.pipelines.images.blurhash:blurhash",
            takes="picture",
            parameters={
                "columns": Parameter("whole", 4, 1, 9),
                "rows": Parameter("whole", 3, 1, 9),
            },
            about="A placeholder of about 30 characters, in the record's details.",
        ),
        StepSpec(
            "strip",
            "marea.pipelines.images.strip:strip",
            takes="picture",
            parameters={"keep": Parameter("choices", ("copyright",), choices=("copyright", "icc"))},
            main="keep",
            about="What survives of the metadata. Without this step: copyright only.",
        ),
        StepSpec(
            "convert",
            "marea.pipelines.images.convert:convert",
            takes="picture",
            parameters={
                "format": Parameter("choice", choices=CONVERT_TARGETS),
                "quality": Parameter("whole", None, 1, 100),
                "progressive": Parameter("flag", False),
                "lossless": Parameter("flag", False),
            },
            main="format",
            rule=_convert_rule,
            about="The result's format. Without this step: the one the key's extension says.",
        ),
    )
}
