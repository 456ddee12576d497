"""The demo's report in the terminal: one line per file, then the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from loadtest.demo.watch import Ending


def result_table(endings: Sequence[Ending]) -> Table:
    """File, pipeline, sizes in and out, time, and the result or why there is none."""
    table = Table(
        title="What became of each upload", title_justify="left", box=box.SIMPLE, expand=True
    )
    table.add_column("file", no_wrap=True, min_width=24, ratio=2)
    table.add_column("pipeline", no_wrap=True, min_width=9)
    table.add_column("in", justify="right", no_wrap=True, min_width=9)
    table.add_column("out", justify="right", no_wrap=True, min_width=9)
    table.add_column("time", justify="right", no_wrap=True, min_width=9)
    table.add_column("result or reason", no_wrap=True, min_width=24, ratio=4)
    for ending in endings:
        table.add_row(
            escape(ending.file.key),
            ending.file.pipeline or "–",
            _size(ending.put.size_bytes),
            _size(ending.out_bytes) if ending.results else "–",
            f"{ending.took_s:.2f} s" if ending.took_s is not None else "–",
            _result(ending),
        )
    return table


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f} KiB"


def _result(ending: Ending) -> str:
    if ending.problem:
        return f"[bold red]{escape(ending.problem)}[/]"
    if ending.state == "unrouted":
        return "[dim]left alone: no rule matches[/]"
    if ending.state == "done":
        first, *more = (result.key for result in ending.file.expected)
        return f"[green]{escape(first)}[/]" + (f" and {len(more)} more" if more else "")
    return f"[yellow]{escape(ending.state)}: {escape(ending.code)}[/] {escape(ending.reason)}"


def count_sentence(endings: Sequence[Ending]) -> str:
    """`61 done, 6 rejected, 1 unrouted`."""
    counts = Counter(ending.state or "not ended" for ending in endings)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())
