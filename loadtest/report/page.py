"""`report.html`: one page that stands alone and tells what a run did. Pure: a Run to a text.

Nothing is fetched: style and pictures are in the page, and a content policy forbids the rest.
Whatever comes from a run (keys, reasons, names) is escaped where it is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from loadtest.report import canvas, key_figures, page_tables, pictures, series, words
from loadtest.report.canvas import NARROW, WIDE, Drawing, Look
from loadtest.report.page_style import STYLE
from loadtest.report.summary import VERDICT_COLOURS, VERDICT_SIGNS, target_line
from loadtest.report.verdict import counts_line, verdict_of
from loadtest.runs.data import Run

Figures = Mapping[str, float | None]
Draw = Callable[[Run, Look], Drawing]

READ_TIMELINE = (
    "Time runs to the right, the same in every panel. A bump in the first panel becomes a hill"
    " in the second; the hill ends sooner the faster replicas follow in the third. Numbered discs"
    " are the autoscaler's decisions, listed below. A break in a line means that nobody could"
    " look, not that there was nothing."
)
READ_LATENCY = (
    "Read upwards: at the height of 95 % a curve stands over the time within which 95 of 100 jobs"
    " had that stage behind them. Dots mark 50, 95 and 99 of 100. Further left is faster."
)
READ_GANTT = (
    "A few jobs spread over the run, one a line, the slowest among them. Long orange is waiting"
    " for a free slot; long blue is slow work; grey is an upload that nobody had taken on yet."
)
READ_MACHINES = (
    "Who used the machine. Dark grey on top is the load itself: where the stack touches the black"
    " line, the load and the platform took cores from one another."
)


def page(run: Run, figures: Figures, about: Mapping[str, str] | None = None) -> str:
    """The whole report; `about` tells the meaning of each figure by its name."""
    meanings = key_figures.meanings(about or {})
    sections = [
        _section("What happened", _sentences(figures)),
        _section("Limits", page_tables.limits(run, meanings)),
        _section("What the checker found", page_tables.checker(run)),
        _section(
            "The run on one time axis",
            picture(run, "timeline", pictures.timeline_picture, READ_TIMELINE)
            + page_tables.decisions(run),
        ),
        _section("How long it took", _latency(run)),
        _section("Single jobs", _jobs(run)),
        _section("The machine, and who used it", _machine(run)),
        _section("What was run, and against what", page_tables.setting(run)),
        _section("What could not be seen", page_tables.notes(run)),
        _section("Every figure", page_tables.every_figure(figures, meanings)),
    ]
    title = f"Load run: {run.scenario}"
    return document(title, _top(run, title) + "\n".join(filter(None, sections)))


def document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{STYLE}</style></head><body>
{body}
</body></html>
"""


def picture(run: Run, name: str, draw: Draw, how_to_read: str) -> str:
    """Drawn twice, for a desktop and for a telephone; the style shows one of them."""
    wide = canvas.to_svg(draw(run, WIDE), f"{name}-w")
    narrow = canvas.to_svg(draw(run, NARROW), f"{name}-n")
    return figure_block(name, wide, narrow, how_to_read)


def figure_block(name: str, wide: str, narrow: str, how_to_read: str) -> str:
    return (
        f'<figure id="{escape(name)}"><div class="wide">{wide}</div>'
        f'<div class="narrow">{narrow}</div>'
        f"<figcaption>{escape(how_to_read)}</figcaption></figure>"
    )


def banner(run: Run) -> str:
    """The verdict: a word, the checker's counts and a sentence."""
    verdict = verdict_of(run)
    return (
        f'<div class="verdict" style="background:{VERDICT_COLOURS[verdict.word]}">'
        f'<p class="word"><span aria-hidden="true">{VERDICT_SIGNS[verdict.word]}</span>'
        f" {verdict.word}</p>"
        f'<p><span class="counts">{escape(counts_line(run))}</span><br>'
        f"{escape(verdict.sentence)}</p></div>"
    )


def _top(run: Run, title: str) -> str:
    lines = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{escape(words.moment(run.began_at))} · {escape(target_line(run))}</p>',
    ]
    if run.partial:
        lines.append(
            '<p class="partial"><strong>This run is not whole:</strong> '
            f"{escape(run.partial)}. Everything below tells of the part that there is.</p>"
        )
    lines.append(banner(run))
    if run.about:
        lines.append(f"<p>{escape(run.about)}</p>")
    if run.command:
        lines.append(
            '<p class="quiet">To run it again:</p>'
            f'<pre class="command"><code>{escape(run.command)}</code></pre>'
        )
    return "\n".join(lines)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>" if body else ""


def _sentences(figures: Figures) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in key_figures.sentences(figures))
    return f'<ul class="told">{items}</ul>'


def _latency(run: Run) -> str:
    if not any(series.latencies(run).values()):
        return "<p>Not known: no job was seen with its times.</p>"
    drawn = picture(run, "latency", pictures.latency_picture, READ_LATENCY)
    return drawn + page_tables.stages(run)


def _jobs(run: Run) -> str:
    if not series.job_sample(run):
        return "<p>No job was seen.</p>"
    return picture(run, "jobs", pictures.gantt_picture, READ_GANTT)


def _machine(run: Run) -> str:
    if not any(sample.cpu or sample.memory for sample in run.samples):
        return "<p>Not seen: there is no sample of CPU or memory.</p>"
    return picture(run, "machine", pictures.machines_picture, READ_MACHINES)
