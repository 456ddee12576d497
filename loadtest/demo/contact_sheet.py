"""Before and after of every upload in one picture, the rejected ones with their code."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from loadtest.demo.corpus import upright
from loadtest.demo.watch import Ending

COLUMNS = 6
TILE = (322, 196)
GAP = 14
MARGIN = 36
HEADER_PX = 104
FRAME = (141, 122)
"""One of a tile's two pictures."""

INK, QUIET, PAPER, GROUND = "#15202b", "#66727f", "#ffffff", "#e9edf1"
LINE, FRAME_GROUND = "#d5dbe1", "#f4f6f8"
RED, RED_GROUND = "#b3261e", "#fbeceb"
TEAL = "#0b6e74"


def draw_contact_sheet(endings: Sequence[Ending], title: str, subtitle: str) -> Image.Image:
    """One tile per upload, in the given order, `COLUMNS` to a row."""
    rows = -(-len(endings) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * TILE[0] + (COLUMNS - 1) * GAP
    height = HEADER_PX + rows * TILE[1] + (rows - 1) * GAP + MARGIN
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 26), title, INK, _font(32))
    draw.text((MARGIN, 66), subtitle, QUIET, _font(18))
    for at, ending in enumerate(endings):
        row, column = divmod(at, COLUMNS)
        left = MARGIN + column * (TILE[0] + GAP)
        top = HEADER_PX + row * (TILE[1] + GAP)
        sheet.paste(_tile(ending), (left, top))
    return sheet


def save_contact_sheet(sheet: Image.Image, path: Path) -> None:
    """As JPEG, small enough to send around."""
    sheet.save(path, quality=85, optimize=True)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _tile(ending: Ending) -> Image.Image:
    tile = Image.new("RGB", TILE, PAPER)
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, TILE[0] - 1, TILE[1] - 1), outline=RED if ending.problem else LINE)
    before, after = (9, 9), (TILE[0] - 9 - FRAME[0], 9)
    tile.paste(_before(ending), before)
    tile.paste(_after(ending), after)
    middle, height = TILE[0] // 2, 9 + FRAME[1] // 2
    draw.polygon([(middle - 4, height - 6), (middle + 5, height), (middle - 4, height + 6)], QUIET)
    line = 9 + FRAME[1] + 8
    draw.text((9, line), _fit(draw, ending.file.key, 15, TILE[0] - 18), INK, _font(15))
    colour = RED if ending.problem or ending.state in ("rejected", "dead") else TEAL
    draw.text((9, line + 22), _fit(draw, _caption(ending), 14, TILE[0] - 18), colour, _font(14))
    return tile


def _caption(ending: Ending) -> str:
    if ending.problem:
        return ending.problem
    if ending.state == "unrouted":
        return "left alone: no rule matches"
    took = f", {ending.took_s:.1f} s" if ending.took_s is not None else ""
    if ending.state != "done":
        return f"{ending.state}: {ending.code}{took}"
    many = f" x {len(ending.results)}" if len(ending.results) > 1 else ""
    return f"{ending.file.pipeline}{many}{took}, {_kib(ending)}"


def _kib(ending: Ending) -> str:
    sizes = (ending.put.size_bytes, ending.out_bytes)
    first, second = (
        f"{size / 1024:,.0f}" if size >= 10_240 else f"{size / 1024:.1f}" for size in sizes
    )
    return f"{first} > {second} KiB"


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int, room_px: int) -> str:
    """`text` without what the font lacks, its middle left out where it is too long."""
    shown = _drawable(text)
    if draw.textlength(shown, _font(size)) <= room_px:
        return shown
    for kept in range(len(shown) - 1, 4, -1):
        head = shown[: kept // 2] + "..." + shown[len(shown) - (kept - kept // 2) :]
        if draw.textlength(head, _font(size)) <= room_px:
            return head
    return shown[:4]


def _drawable(text: str) -> str:
    """Without accents, and "?" for other letters: the font that Pillow brings knows ASCII."""
    plain = unicodedata.normalize("NFKD", text)
    kept = (char for char in plain if not unicodedata.combining(char))
    return "".join(char if char.isascii() else "?" for char in kept)


def _framed(picture: Image.Image) -> Image.Image:
    frame = Image.new("RGB", FRAME, FRAME_GROUND)
    small = ImageOps.contain(picture, FRAME, Image.Resampling.LANCZOS)
    frame.paste(small, ((FRAME[0] - small.width) // 2, (FRAME[1] - small.height) // 2))
    return frame


def _text_card(lines: Sequence[str], ink: str, ground: str, size: int = 11) -> Image.Image:
    frame = Image.new("RGB", FRAME, ground)
    draw = ImageDraw.Draw(frame)
    step = size + 3
    for at, line in enumerate(lines[: (FRAME[1] - 10) // step]):
        draw.text((8, 6 + at * step), _drawable(line)[:40], ink, _font(size))
    return frame


def _before(ending: Ending) -> Image.Image:
    file = ending.file
    if file.picture is not None:
        return _framed(file.picture)
    if not file.body:
        return _text_card(["(0 bytes)"], QUIET, FRAME_GROUND)
    try:
        lines = file.body[:2_000].decode("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = textwrap.wrap(file.body[:96].hex(" ", 2), 20)
    return _text_card(lines, QUIET, FRAME_GROUND)


def _after(ending: Ending) -> Image.Image:
    if ending.state in ("rejected", "dead"):
        lines = [ending.state.upper(), "", *textwrap.wrap(ending.code.replace("-", "- "), 13)]
        return _text_card([line.replace("- ", "-") for line in lines], RED, RED_GROUND, 16)
    if ending.state == "unrouted" or not ending.results:
        note = "no result, as asked" if ending.state == "unrouted" else "no result"
        return _text_card([note], QUIET, FRAME_GROUND, 13)
    body = max(ending.results.values(), key=len)
    if ending.file.picture is not None:
        return _framed(upright(body))
    return _text_card(body[:4_000].decode("utf-8", "replace").splitlines(), INK, FRAME_GROUND)
