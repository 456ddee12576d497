"""Does a result show what its upload showed? The demo's own eyes, with Pillow alone.

The stand-alone checker knows sizes and modes from headers; this compares the pictures, so a
result of the wrong photograph, or one lying on its side, does not pass.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageStat

from loadtest.demo.corpus import upright
from loadtest.demo.watch import Ending

SIDE_PX = 24
TOLERANCE = 6.0
"""Mean difference of 8-bit luma at 24 x 24. Measured over this corpus, one run of every built-in
pipeline: right results differ by at most 1.0, different photographs by at least 17 (gravel and
bricks), a wrong orientation by at least 70."""


def luma_difference(first: Image.Image, second: Image.Image) -> float:
    """Mean absolute difference of the two as small gray pictures, 0 to 255."""
    small = [
        image.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
        for image in (first, second)
    ]
    return float(ImageStat.Stat(ImageChops.difference(small[0], small[1])).mean[0])


def judge_looks(ending: Ending) -> None:
    """Set `ending.problem` where the end is not what the oracle says, or looks otherwise."""
    if ending.problem:
        return
    file = ending.file
    wanted = {"good": ("done",), "bad": ("rejected", "dead"), "unrouted": ("unrouted",)}
    if ending.state not in wanted.get(file.oracle, ()):
        ending.problem = f"the oracle calls it {file.oracle}, it ended {ending.state}"
    elif file.oracle == "bad" and not ending.code:
        ending.problem = "rejected without a code"
    elif file.picture is not None:
        for key, body in ending.results.items():
            result = upright(body)
            if luma_difference(file.picture, result) > TOLERANCE:
                ending.problem = f"{key} shows another picture"
            elif file.pipeline == "grayscale" and not is_gray(result):
                ending.problem = f"{key} is in colour"


def is_gray(image: Image.Image) -> bool:
    """Whether all channels agree, within what lossy chroma coding leaves (WebP, AVIF)."""
    red, green, blue = image.convert("RGB").split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(green, blue))
    return all(ImageStat.Stat(difference).mean[0] < 2.0 for difference in differences)
