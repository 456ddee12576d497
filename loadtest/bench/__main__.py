"""`make bench`: every section in turn, on servers of its own, as JSON lines and a table.

python -m loadtest.bench                      everything (see --list for how long)
python -m loadtest.bench images latency       some sections
python -m loadtest.bench --quick              one small repeat of each: does it work at all?
python -m loadtest.bench --table FILE         the table of an earlier run
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from loadtest.bench.figures import Results, read_json_lines, write_json_lines
from loadtest.bench.plan import Plan
from loadtest.bench.sections import SECTIONS
from loadtest.bench.table import figures_table, write_markdown
from loadtest.bench.world import BenchError, world
from loadtest.machine import describe_machine
from marea.errors import MareaError

LOG_WIDTH = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if a section could not be measured, 2 for unusable arguments, 130 after Ctrl-C.
    A missed target is shown and is no failure: the table is what a benchmark is for."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    if options.list:
        for section in SECTIONS.values():
            console.print(f"{section.name:12} {section.minutes:4.1f} min  {section.about}")
        return 0
    if options.table is not None:
        try:
            machine, results = read_json_lines(options.table)
            if options.markdown:
                write_markdown(options.markdown, machine, results)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            print(f"error: {exc!r}; --table wants the figures.jsonl of a run", file=sys.stderr)
            return 2
        console.print(figures_table(results))
        return 0
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        print(f"error: no such section: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    chosen = [SECTIONS[name] for name in options.sections] or list(SECTIONS.values())
    plan = Plan.quick() if options.quick else Plan()
    results = Results()
    failed = False
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.out / "figures.jsonl"
    try:
        for section in chosen:
            began = time.monotonic()
            console.print(f"==> {section.name}: {section.about}", highlight=False)
            # Servers of its own: what one section left in them must not slow the next.
            try:
                with world() as servers:
                    results.figures.extend(section.load()(servers, plan, console.print))
            except (BenchError, MareaError, OSError) as exc:
                failed = True
                console.print(f"[red]{section.name} could not be measured:[/] {exc}")
            write_json_lines(lines, describe_machine(), results.figures)
            console.print(f"    {time.monotonic() - began:.0f} s", highlight=False)
    except KeyboardInterrupt:
        console.print(f"Interrupted; what was measured is in {lines}")
        return 130
    console.print(figures_table(results))
    console.print(f"figures: {lines}", highlight=False)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", help="which sections; all if none is named")
    parser.add_argument("--list", action="store_true", help="show the sections and stop")
    parser.add_argument("--quick", action="store_true", help="one small repeat of each")
    parser.add_argument(
        "--out", type=Path, default=Path("bench-out"), help="folder for the figures (bench-out)"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="show an earlier run's figures")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="with --table: put the table into this page"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
