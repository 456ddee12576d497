"""Puts page and picture into a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from loadtest.report.page import page
from loadtest.report.summary import summary_png
from loadtest.runs.data import Run
from loadtest.runs.figures import ABOUT


def write_report(run: Run, figures: Mapping[str, float | None], folder: Path) -> tuple[Path, Path]:
    """`report.html` and `report.png`. Raises OSError if they cannot be written."""
    html, png = folder / "report.html", folder / "report.png"
    write_text(html, page(run, figures, ABOUT))
    png.write_bytes(summary_png(run, figures))
    return html, png


def write_text(path: Path, text: str) -> None:
    # A key may hold half of a surrogate pair, which UTF-8 has no bytes for.
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
