"""The page's tables and lists. Pure; everything from outside is escaped in `_cell` or at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from loadtest.report import series, words
from loadtest.report.verdict import BROKEN, count, is_promise, said
from loadtest.runs.data import Job, Limit, Run
from loadtest.runs.figures import percentile

MOST_ROWS = 200
"""Arbitrary: a page of more is not read; the run's folder has them all."""
OPEN_ROWS = 12
"""So many decisions are shown at once, the rest after a click."""
MEANINGS = {
    "lost": "uploads that the bucket lists and that have no result",
    "duplicated": "results made more than once for one upload",
    "wrong": "results with the wrong content or a record that is not true",
    "unexpected": "results or records of no upload",
    "out_of_order": "an older upload's result over a newer one's",
    "vanished": "uploads that the store itself had taken and no longer lists",
}


def limits(run: Run, about: Mapping[str, str]) -> str:
    """Not kept ones first. Promises that hold in every scenario have rows only if they are not
    kept: otherwise the checker's own table says as much."""
    promised = [x.figure for x in run.limits if x.figure in BROKEN and x.is_kept]
    shown = [limit for limit in run.limits if not (is_promise(limit) and limit.is_kept)]
    rows = [_limit_row(limit, about) for limit in sorted(shown, key=lambda x: x.is_kept)]
    text = (
        table(("Figure", "Was", "Wanted", "Kept", "Why this limit"), rows)
        if rows
        else "<p>This scenario sets no limits of its own.</p>"
    )
    if promised:
        names = ", ".join(said(name) for name in promised)
        text += f'<p class="quiet">Kept as in every scenario, by the checker: {escape(names)}.</p>'
    return text


def _limit_row(limit: Limit, about: Mapping[str, str]) -> str:
    what = about.get(limit.figure, "")
    kept = '<span class="yes">✓ kept</span>' if limit.is_kept else '<span class="no">✗ no</span>'
    value = escape(words.figure(limit.figure, limit.value))
    bound = escape(f"{limit.relation} {words.figure(limit.figure, limit.bound)}")
    name = f"<code>{escape(limit.figure)}</code>"
    name += f'<span class="what">{escape(what)}</span>' if what else ""
    cells = (
        f'<td class="text">{name}</td>',
        f'<td class="fixed" data-name="was">{value}</td>',
        f'<td class="fixed" data-name="wanted">{bound}</td>',
        f'<td class="fixed">{kept}</td>',
        _cell(limit.why, "text"),
    )
    return f'<tr class="{"" if limit.is_kept else "broken"}">{"".join(cells)}</tr>'


def checker(run: Run) -> str:
    """Counts, then the findings. The checker knows the buckets only, nothing of the platform."""
    if not run.checker:
        return (
            "<p>The checker did not judge this run, so nothing is known of lost or wrong"
            " results.</p>"
        )
    rows = []
    for name in (*BROKEN, "vanished"):
        value = count(run.checker, name)
        shown = "not known" if value is None else f"{value:,}"
        css = "no" if value is None or value > 0 else "yes"
        rows.append(
            f'<tr><td class="fixed"><b>{escape(said(name))}</b></td>'
            f'<td class="number"><span class="{css}">{shown}</span></td>'
            f"{_cell(MEANINGS[name], 'text')}</tr>"
        )
    checked, acknowledged = count(run.checker, "checked"), count(run.checker, "acknowledged")
    lead = (
        "<p>A program of its own, which knows nothing of the platform, compared what the"
        f" buckets list: {_count(checked)} uploads judged, {_count(acknowledged)} answered by"
        " the store.</p>"
    )
    return lead + table(("", "", ""), rows, is_headed=False) + _findings(run)


def _findings(run: Run) -> str:
    found = run.checker.get("findings") or ()
    if not isinstance(found, list | tuple) or not found:
        return ""
    rows = [
        "<tr>"
        + _cell(finding.get("kind"), "fixed")
        + _cell(finding.get("key"), "text")
        + _cell(finding.get("reason"), "text")
        + "</tr>"
        for finding in found[:MOST_ROWS]
        if isinstance(finding, Mapping)
    ]
    return "<h3>Findings</h3>" + _folded(("What", "Key", "Why"), rows, len(found), "findings")


def decisions(run: Run) -> str:
    all_marks = series.marks(run)
    if not all_marks:
        return "<p>No change of scale was made, or none could be seen.</p>"
    rows = []
    for mark in all_marks[:MOST_ROWS]:
        wanted = mark.decision.wanted
        now = "not known" if wanted is None else str(wanted)
        change = now if mark.before is None else f"{mark.before} → {now}"
        rows.append(
            "<tr>"
            + _cell(mark.number, "fixed", "no.")
            + _cell(words.clock(mark.decision.at_s), "fixed", "at")
            + _cell(mark.decision.pool, "fixed", "pool")
            + _cell(change, "fixed", "replicas")
            + _cell(mark.decision.reason, "text")
            + "</tr>"
        )
    names = ("No.", "When", "Pool", "Replicas", "Why, in the autoscaler's words")
    return "<h3>Decisions</h3>" + _folded(names, rows, len(all_marks), "decisions")


def setting(run: Run) -> str:
    """Shape, files, target, machine and what was measured before."""
    parts = [
        ("Load", {"shape": run.shape.get("name", "not known"), **_without_name(run.shape)}),
        ("Uploads", _uploads(run)),
        ("Target", run.target),
        ("Machine of the load", run.machine),
        ("Measured before", run.calibration),
        ("Read at the end", run.gateway),
        (
            "Times",
            {
                "load ended": words.clock(run.load_ended_s),
                "every upload had its record": "not seen"
                if run.settled_s is None
                else words.clock(run.settled_s),
                "last look": words.clock(run.ended_s),
            },
        ),
    ]
    rows = [
        f"<tr>{_cell(title if number == 0 else '', 'fixed quiet')}{_cell(_spaced(name), 'fixed')}"
        f"{_cell(words.setting(name, value), 'text')}</tr>"
        for title, values in parts
        for number, (name, value) in enumerate(values.items())
    ]
    return table(("", "", ""), rows, is_headed=False) + _refused(run)


def _uploads(run: Run) -> dict[str, str]:
    if not run.sends:
        return {"sent": "none"}
    volume = sum(send.size_bytes for send in run.sends)
    outcomes = Counter(str(send.outcome) for send in run.sends)
    return {
        "sent": f"{len(run.sends):,}, {words.size(volume)} in all",
        "outcome": _tally(outcomes),
        "kinds of file": _tally(Counter(send.kind for send in run.sends)),
        "ways": _tally(Counter(send.way for send in run.sends)),
        "jobs by end": _tally(Counter(job.state for job in series.loaded_jobs(run)))
        or "no record was seen",
        "without a record": _without_record(run),
    }


def _without_record(run: Run) -> str:
    keys = {job.key for job in run.jobs}
    missing = sum(1 for send in run.sends if send.outcome == "ok" and send.key not in keys)
    return f"{missing:,} uploads whose key has none" if missing else "none"


def _refused(run: Run) -> str:
    """Why uploads failed, the most frequent words first."""
    problems = Counter(
        f"{send.outcome}: {send.problem or 'no reason was given'}"
        for send in run.sends
        if send.outcome != "ok"
    )
    if not problems:
        return ""
    rows = [
        f'<tr><td class="number">{times:,}</td>{_cell(problem, "text")}</tr>'
        for problem, times in problems.most_common(10)
    ]
    rest = len(problems) - 10
    more = f'<p class="quiet">and {rest:,} other reasons</p>' if rest > 0 else ""
    return "<h3>Uploads that did not succeed</h3>" + table(("Times", "Why"), rows) + more


def stages(run: Run) -> str:
    """The latency picture in numbers."""
    rows = []
    for name, values in series.latencies(run).items():
        cells = "".join(
            f'<td class="number">{escape(words.seconds(percentile(values, share)))}</td>'
            for share in (0.5, 0.95, 0.99, 1.0)
        )
        rows.append(
            f'<tr>{_cell(name, "fixed")}{cells}<td class="number">{len(values):,}</td></tr>'
        )
    return table(("Stage", "50 %", "95 %", "99 %", "Slowest", "Jobs"), rows, is_numeric=True)


def notes(run: Run) -> str:
    """What nobody could see, the runner's own notes first."""
    told = [*run.notes, *_blind_spots(run)]
    if not told:
        return ""
    return '<ul class="told">' + "".join(f"<li>{escape(note)}</li>" for note in told) + "</ul>"


def _blind_spots(run: Run) -> Iterable[str]:
    grid = series.grid_of(run)
    jobs: list[Job] = series.loaded_jobs(run)
    if not run.samples:
        yield "No look at the platform succeeded: replicas, the broker's counts and the machine."
    if jobs and (left := series.waiting(run, grid).left_out):
        yield f"{left:,} of {len(jobs):,} jobs have no known time in the queue."
    early = sum(1 for v in series.latencies(run)[series.UPLOAD_TO_ACCEPTED] if v < 0)
    if early:
        yield (
            f"{early:,} jobs were accepted before their upload by the two clocks: the store tells"
            " times in whole seconds, or the clocks differ. They stand at the left edge."
        )
    if run.settled_s is None:
        yield "It was not seen that every upload got its record: what waits may be more than shown."


def every_figure(figures: Mapping[str, float | None], about: Mapping[str, str]) -> str:
    if not figures:
        return ""
    rows = [
        f"<tr>{_code_cell(name)}"
        f'<td class="number">{escape(words.figure(name, value))}</td>'
        f"{_cell(about.get(name, ''), 'text')}</tr>"
        for name, value in figures.items()
    ]
    inner = table(("Figure", "Value", "What it is"), rows)
    return (
        f"<details><summary>{len(figures)} figures, as limits name them</summary>{inner}</details>"
    )


def table(
    names: Sequence[str],
    rows: Sequence[str],
    *,
    is_headed: bool = True,
    is_numeric: bool = False,
    is_cards: bool | None = None,
) -> str:
    """Numeric: all but the first column are numbers. Cards: on a telephone each row stands by
    itself; so do wide tables of words."""
    is_cards = len(names) > 3 and not is_numeric if is_cards is None else is_cards
    css = ' class="number"' if is_numeric else ""
    cells = "".join(f"<th{css if n else ''}>{escape(name)}</th>" for n, name in enumerate(names))
    top = f"<thead><tr>{cells}</tr></thead>" if is_headed else ""
    body = "\n".join(rows)
    css = "cards" if is_cards else ""
    return f'<div class="table"><table class="{css}">{top}<tbody>{body}</tbody></table></div>'


def _folded(names: Sequence[str], rows: Sequence[str], total: int, what: str) -> str:
    """The first rows, the others after a click, and how many are not in the page at all."""
    text = table(names, rows[:OPEN_ROWS])
    if len(rows) > OPEN_ROWS:
        rest = table(names, rows[OPEN_ROWS:])
        text += f"<details><summary>{len(rows) - OPEN_ROWS:,} more {what}</summary>{rest}</details>"
    if total > len(rows):
        rest = f"{total - len(rows):,} further {what} are in the folder of the run."
        text += f'<p class="quiet">{rest}</p>'
    return text


def _cell(value: Any, css: str, name: str = "") -> str:
    named = f' data-name="{escape(name)}"' if name else ""
    return f'<td class="{css}"{named}>{escape(words.plain(value))}</td>'


def _code_cell(name: str) -> str:
    return f'<td class="fixed"><code>{escape(name)}</code></td>'


def _count(value: int | None) -> str:
    return "an unknown number of" if value is None else f"{value:,}"


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common(8))


def _without_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "name"}


def _spaced(name: str) -> str:
    for ending, word in (("_per_s", "_rate"), ("_bytes", ""), ("_s", "_time")):
        if name.endswith(ending):
            name = name.removesuffix(ending) + word
            break
    return name.replace("_", " ")
