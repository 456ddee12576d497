"""How the CLI writes for people: safe text, aligned columns, colours of states.

Nothing is cut. Lines of keys and commands are not wrapped by us either: the terminal continues
them, so what is copied is whole, and the last column may have any length. Sentences are
wrapped to the terminal's width, or left on one line where `grep` reads them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from marea.lifecycle.state import JobState

COLOURS = {
    "done": "green",
    "rejected": "yellow",
    "dead": "red",
    "superseded": "cyan",
    "cancelled": "magenta",
    "gone": "magenta",
    "running": "blue",
}

GAP = "  "
ID_DIGITS = 12
"""Of a job id in tables: 48 bits, so that ids of a million jobs are unlikely to collide."""


def plain(text: object) -> str:
    """`text` as rich markup that shows it as it is.

    Keys come from uploaders: brackets are no markup, and what a terminal would obey (escape
    sequences, line breaks, reversed writing) is shown as `\\x1b`.
    """
    from rich.markup import escape

    return escape(
        "".join(
            character
            if character.isprintable()
            else character.encode("unicode_escape", "surrogatepass").decode("ascii")
            for character in str(text)
        )
    )


def coloured(state: str) -> str:
    """A state's name as markup."""
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Cells of markup, aligned to the left; the last column has any length."""
    from rich.text import Text

    widths: list[int] = []
    for row in rows:
        for position, cell in enumerate(row[:-1]):
            width = Text.from_markup(cell, emoji=False).cell_len
            if position == len(widths):
                widths.append(width)
            widths[position] = max(widths[position], width)
    lines = []
    for row in rows:
        padded = [
            cell + " " * (width - Text.from_markup(cell, emoji=False).cell_len)
            for cell, width in zip(row[:-1], widths, strict=False)
        ]
        lines.append(GAP.join([*padded, *row[-1:]]).rstrip())
    return "\n".join(lines)


def prose(console: Console, text: str, indent: int = 2) -> str:
    """A sentence as markup, indented by `indent` cells on every line."""
    margin = " " * indent
    if not console.is_terminal:
        return margin + plain(text)
    lines = textwrap.wrap(
        text,
        max(40, console.width),
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(plain(line) for line in lines)


def heading(*names: str) -> tuple[str, ...]:
    """The first row of `columns`."""
    return tuple(f"[bold]{name}[/]" if name else "" for name in names)


def why(state: JobState) -> str:
    """`code: sentence` of how a job ended, or ""."""
    return f"{state.code}: {state.reason}" if state.code else ""


def jobs_table(console: Console, states: Sequence[JobState]) -> str:
    """One line per job, and one more with the reason where there is one."""
    table = columns(
        [
            heading("job", "state", "pipeline", "key"),
            *(
                (
                    state.job.id[:ID_DIGITS],
                    coloured(state.phase),
                    plain(state.job.pipeline),
                    plain(state.job.ref.key),
                )
                for state in states
            ),
        ]
    ).splitlines()
    lines = table[:1]
    for line, state in zip(table[1:], states, strict=True):
        lines.append(line)
        if state.code:
            lines.append(prose(console, why(state), ID_DIGITS + len(GAP)))
    return "\n".join(lines)


def counts(numbers: dict[str, int]) -> str:
    """`done 7, rejected 2`, without the zeros; "" if there is nothing."""
    return ", ".join(f"{coloured(name)} {count}" for name, count in numbers.items() if count)


def state_json(state: JobState) -> dict[str, Any]:
    """A ledger row as the CLI and scripts see it."""
    from marea.clock import to_iso

    job = state.job
    return {
        "id": job.id,
        "state": state.phase,
        "bucket": job.ref.bucket,
        "key": job.ref.key,
        "version_id": job.ref.version_id,
        "pipeline": job.pipeline,
        "pool": job.pool,
        "priority": job.priority,
        "tenant": job.tenant,
        "attempts": state.attempts,
        "code": state.code,
        "reason": state.reason,
        "created_at": to_iso(state.created_at) if state.created_at else None,
        "finished_at": to_iso(state.finished_at) if state.finished_at else None,
    }
