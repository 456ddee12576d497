"""A page that stands alone: the table of all scalers, and their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from marea.simulator.score import Score
from marea.simulator.table import COLUMNS, cells

_STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", Arial, sans-serif; color: #222; margin: 2rem auto;
       max-width: 1040px; padding: 0 1rem; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .25rem .5rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid #e3e6ea; }
th:first-child, td:first-child { text-align: left; } tr.own { background: #f2f7f3; }
svg { max-width: 100%; height: auto; } .table { overflow-x: auto; } .note { color: #666; }
"""


def page(parts: Mapping[str, tuple[str, Mapping[str, Score], str]], note: str, command: str) -> str:
    """`parts`: by trace, what it is, the scores and the picture as SVG."""
    sections = "\n".join(
        f"<h2>{escape(name)}</h2>\n<p>{escape(about)}</p>\n{_table(scores)}\n{svg}"
        for name, (about, scores, svg) in parts.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Autoscaling, simulated</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>Autoscaling, simulated</h1>
<p class="note">{escape(note)} Made by <code>{escape(command)}</code></p>
{sections}
</body></html>
"""


def _table(scores: Mapping[str, Score]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("policy", *COLUMNS))
    rows = "\n".join(
        ('<tr class="own">' if name == "builtin" else "<tr>")
        + "".join(f"<td>{escape(cell)}</td>" for cell in (name, *cells(score)))
        + "</tr>"
        for name, score in scores.items()
    )
    return f'<div class="table"><table><tr>{head}</tr>\n{rows}</table></div>'
