"""Turn the picture upright, as EXIF's orientation tag says."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from marea.pipelines.images.picture import Picture

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orient(picture: Picture) -> Picture:
    """The picture upright; its tag is not written again."""
    turn = _TURNS.get(picture.orientation)
    if turn is None:
        return picture
    full_size = picture.full_size
    if full_size is not None and picture.orientation >= 5:
        full_size = (full_size[1], full_size[0])
    turned = picture.map(lambda frame: frame.transpose(turn))
    return replace(turned, orientation=1, full_size=full_size)
