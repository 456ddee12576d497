"""Figures as a table for the terminal, and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from loadtest.bench.figures import Figure, Results, Verdict
from loadtest.bench.pages import Place
from loadtest.bench.sections import TARGETS

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def figures_table(results: Results) -> Table:
    table = Table(title="What was measured (median, and smallest to largest of the repeats)")
    for name in ("section", "measure", "contender"):
        table.add_column(name)
    for name in ("median", "spread", "target"):
        table.add_column(name, justify="right")
    before = ""
    for figure in results.figures:
        if figure.section != before and before:
            table.add_section()
        before = figure.section
        told = [_told(verdict, rich=True) for verdict in _verdicts(results, figure)]
        table.add_row(
            figure.section,
            figure.measure,
            figure.contender,
            f"{number(figure.median)} {figure.unit}",
            spread(figure),
            "\n".join(told),
        )
    return table


def write_markdown(page: Path, machine: dict[str, Any], results: Results) -> None:
    """Replace what stands between the two marks of `page`. Raises ValueError without them."""
    Place(BEGIN, END).fill(page, _markdown(machine, results))


def _markdown(machine: dict[str, Any], results: Results) -> Iterator[str]:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield (
        f"{machine['at']}, commit {machine['commit']}, {machine['cores']} cores"
        f" ({machine['cpu']}), {machine['memory_gib']} GiB, Python {machine['python']};"
        f" {packages}."
    )
    yield ""
    yield "| measure | contender | median | spread | target |"
    yield "|---|---|---:|---:|---|"
    notes = []
    for figure in results.figures:
        mark = ""
        if figure.note:
            if figure.note not in notes:
                notes.append(figure.note)
            mark = f" [{notes.index(figure.note) + 1}]"
        told = "; ".join(_told(verdict, rich=False) for verdict in _verdicts(results, figure))
        yield (
            f"| {figure.section}: {figure.measure} | {figure.contender}{mark} |"
            f" {number(figure.median)} {figure.unit} | {spread(figure)} | {told} |"
        )
    yield ""
    for index, note in enumerate(notes, 1):
        yield f"{index}. {note}"


def _verdicts(results: Results, figure: Figure) -> Iterator[Verdict]:
    for target in TARGETS:
        place = (target.section, target.measure, target.contender)
        if place == (figure.section, figure.measure, figure.contender):
            verdict = results.judge(target)
            if verdict is not None:
                yield verdict


def _told(verdict: Verdict, *, rich: bool) -> str:
    target = verdict.target
    sign = "≥" if target.is_floor else "≤"
    against = f" × {target.against}" if target.against else ""
    text = f"{number(verdict.value)} {sign} {number(target.bound)}{against}"
    if rich:
        return f"[green]{text}[/]" if verdict.is_reached else f"[red]missed: {text}[/]"
    return text if verdict.is_reached else f"**missed**: {text}"


def spread(figure: Figure) -> str:
    low, high = figure.spread
    return "" if len(figure.values) == 1 else f"{number(low)} – {number(high)}"


def number(value: float) -> str:
    """Three digits that count; whole above a thousand."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
