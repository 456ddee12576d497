"""What a person sees while a run goes on: a bar for each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LOG_WIDTH = 150
"""Columns where the output goes to a file or a pipe, which have no width of their own."""


def open_console(*, quiet: bool) -> Console:
    """On stderr: stdout is for what was asked for."""
    console = Console(stderr=True, quiet=quiet)
    if console.is_terminal or quiet:
        return console
    return Console(stderr=True, width=LOG_WIDTH)


@contextmanager
def bar(console: Console, name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Yields `show(done, note)`."""
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        task = progress.add_task(name, total=max(total, 1), note="")

        def show(done: int, note: str = "") -> None:
            progress.update(task, completed=done, note=note)

        yield show
