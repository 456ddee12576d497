"""A line of text over the picture, in Pillow's bundled font (Latin letters)."""

from __future__ import annotations

from PIL import Image, ImageColor, ImageDraw, ImageFont

from marea.pipelines.images.geometry import offset

_MIN_FONT_PX = 8
"""Smaller is not legible."""
_MARGIN = 0.5
"""Distance to the edge, in font sizes."""


def watermark(
    image: Image.Image, *, text: str, size: float, opacity: float, position: str, colour: str
) -> Image.Image:
    """`size` is a fraction of the shorter side; text too wide for the picture shrinks to fit."""
    mode = "RGBA" if image.mode in ("LA", "RGBA") else "RGB"
    font_px = max(_MIN_FONT_PX, round(min(image.size) * size))
    box = _text_box(text, font_px)
    room = image.width - 2 * _MARGIN * font_px
    if box[2] - box[0] > room > 0:
        font_px = max(_MIN_FONT_PX, int(font_px * room / (box[2] - box[0])))
        box = _text_box(text, font_px)
    margin = round(_MARGIN * font_px)
    inner = (round(box[2] - box[0]) + 2 * margin, round(box[3] - box[1]) + 2 * margin)
    left, top = offset(image.size, inner, position)
    red, green, blue = ImageColor.getrgb(colour)[:3]
    layer = _text_layer(text, font_px, inner, (margin - box[0], margin - box[1]), colour)
    layer.putalpha(layer.getchannel("A").point(lambda alpha: alpha * opacity))
    # Only the text's own rectangle is blended: a whole layer would be four bytes a pixel.
    ground = image.crop((left, top, left + inner[0], top + inner[1])).convert("RGBA")
    ground.alpha_composite(layer)
    is_gray = image.mode in ("L", "LA") and red == green == blue
    marked = image.copy() if is_gray else image.convert(mode)
    marked.paste(ground.convert(marked.mode), (left, top))
    return marked


def _text_layer(
    text: str, font_px: int, size: tuple[int, int], place: tuple[float, float], colour: str
) -> Image.Image:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    # A thin edge in the opposite shade keeps the text legible on any ground.
    edge = (0, 0, 0) if red + green + blue > 382 else (255, 255, 255)
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).text(
        place,
        text,
        fill=(red, green, blue, 255),
        font=ImageFont.load_default(font_px),
        stroke_width=max(1, font_px // 24),
        stroke_fill=(*edge, 128),
    )
    return layer


def _text_box(text: str, font_px: int) -> tuple[float, float, float, float]:
    canvas = ImageDraw.Draw(Image.new("L", (1, 1)))
    return canvas.textbbox(
        (0, 0),
        text,
        font=ImageFont.load_default(font_px),
        stroke_width=max(1, font_px // 24),
    )
