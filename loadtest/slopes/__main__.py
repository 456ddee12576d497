"""What a deep queue and a full bucket cost, and how that grows: bytes, latency, ticks, sweeps.

python -m loadtest.slopes --json slopes.json --plot docs/images/slopes.png --markdown docs/scale.md
python -m loadtest.slopes --quick                        does it work at all?
python -m loadtest.slopes --read slopes.json --plot …    an earlier run's table, picture, page

It starts a Redis for the broker, one for the ledger, a MinIO and a gateway of its own, on free
ports and in a folder of its own. A measure is flat, linear or worse by the slope of its line on
axes of logarithms. Exit status: 0; 1 if one grows faster than it may, if 100,000 jobs take too
much memory, or if something could not be measured; 2 for unusable arguments; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.bench.world import BenchError, world
from loadtest.machine import describe_machine
from loadtest.slopes.ended import bytes_per_ended_job
from loadtest.slopes.ladder import Ladder, LadderPlan, climb
from loadtest.slopes.picture import draw
from loadtest.slopes.results import Run, read_json, write_json
from loadtest.slopes.sweeping import measure_sweeps
from loadtest.slopes.table import PLACE, sentences, slopes_table, write_markdown
from marea.errors import MareaError
from marea.telemetry.logs import configure_logging

LOG_WIDTH = 150
LEVEL_MIN = 50
"""Below it the uploads that only warm up are most of the queue."""
LEVEL_MAX = 1_000_000
"""A gigabyte and a half of Redis, and the same again while its file is rewritten."""
SWEEP_MIN, SWEEP_MAX = 1_000, 1_000_000
QUICK = LadderPlan(levels=(100, 1_000), repeats=2, uploads=50, ended=100)
OBJECTS, QUICK_OBJECTS = 100_000, 1_000
"""As many as there are queued jobs at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    problem = _problem(options)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    if options.read is None:
        return _measure(options, console)
    try:
        run = read_json(options.read)
        return _show(run, options, console)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        print(f"error: {exc!r}; --read wants what --json of a run has written", file=sys.stderr)
        return 2


def _measure(options: argparse.Namespace, console: Console) -> int:
    plan = QUICK if options.quick else LadderPlan()
    plan = replace(plan, levels=tuple(options.levels or plan.levels))
    plan = replace(plan, repeats=options.repeats or plan.repeats)
    objects = options.sweep_objects
    if objects is None:
        objects = QUICK_OBJECTS if options.quick else OBJECTS
    run = Run(describe_machine())
    ladder = Ladder()
    status = 1
    try:
        configure_logging("warning", "console")  # what the parts under measure do is no news here
        _climb(plan, ladder, console)
        run.measures, run.acceptance = ladder.measures(), ladder.acceptance
        console.print(f"==> {plan.ended:,} jobs that end", highlight=False)
        with world() as servers:
            run.ended_bytes = bytes_per_ended_job(servers, plan.ended)
        if objects:
            console.print(f"==> sweeps of up to {objects:,} objects", highlight=False)
            with world() as servers:
                run.measures += measure_sweeps(servers, objects, plan.repeats, console.print)
        run.partial = False
    except KeyboardInterrupt:
        status = 130
        console.print("Interrupted.")
    except (BenchError, MareaError, OSError, redis.RedisError) as exc:
        print(f"error: could not be measured: {exc}", file=sys.stderr)
    run.measures = run.measures or ladder.measures()
    run.acceptance = ladder.acceptance
    if options.json:
        write_json(options.json, run)
        console.print(f"figures{', partial' * run.partial}: {options.json}", highlight=False)
    if run.partial:
        return status
    return _show(run, options, console)


def _climb(plan: LadderPlan, ladder: Ladder, console: Console) -> None:
    told = ", ".join(f"{level:,}" for level in plan.levels)
    console.print(f"==> a queue of {told} jobs, {plan.repeats} times", highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with world() as servers, Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting the servers", total=plan.steps)

        def moved(what: str, count: int) -> None:
            progress.update(bar, description=what, advance=count)

        climb(servers, plan, ladder, moved)


def _show(run: Run, options: argparse.Namespace, console: Console) -> int:
    """Table, picture, verdict. Raises ValueError, OSError."""
    try:
        console.print(slopes_table(run.measures))
        for told in sentences(run):
            console.print(told, highlight=False)
        if options.markdown:
            write_markdown(options.markdown, run)
        if options.plot:
            for path in draw(run.measures, options.plot, _caption(run)):
                console.print(f"picture: {path}", highlight=False)
    except (ValueError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    for each in run.measures:
        if not each.passes:
            console.print(f"[red]{each.name}[/] is {each.growth}, and may be {each.allowed}")
    return 0 if run.passes and not run.partial else 1


def _caption(run: Run) -> str:
    made = run.machine
    repeats = max(len(point.values) for each in run.measures for point in each.points)
    return (
        f"Medians of {repeats} repeats; bars: smallest to largest. Dashed: what flat and linear"
        f" would be. {made['at']}, commit {made['commit']}, {made['cores']} cores ({made['cpu']})."
    )


def _problem(options: argparse.Namespace) -> str:
    """What is wrong with the arguments, as a sentence, or nothing."""
    levels, objects = options.levels, options.sweep_objects
    if levels and (len(levels) < 2 or levels != sorted(set(levels))):
        return f"--levels {levels}: two or more, each larger than the one before"
    if levels and not LEVEL_MIN <= min(levels) <= max(levels) <= LEVEL_MAX:
        return f"--levels {levels}: from {LEVEL_MIN} to {LEVEL_MAX:,} queued jobs"
    if options.repeats is not None and options.repeats < 1:
        return f"--repeats {options.repeats}: 1 or more"
    if objects and not SWEEP_MIN <= objects <= SWEEP_MAX:
        return f"--sweep-objects {objects}: 0 for no sweeps, or {SWEEP_MIN:,} to {SWEEP_MAX:,}"
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        return f"--plot {options.plot}: a name that ends in .png or .svg; both are written"
    for path in (options.json, options.plot):
        if path and not path.parent.is_dir():
            return f"{path}: there is no folder {path.parent}; make it first"
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install 'marea[load]', or leave --plot out"
    if options.markdown:
        try:
            PLACE.parts(options.markdown)
        except (OSError, ValueError) as exc:
            return f"--markdown: {exc}"
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.slopes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 jobs and objects")
    parser.add_argument(
        "--levels",
        type=int,
        nargs="+",
        metavar="N",
        help="queued jobs to measure at (100 1000 10000 100000)",
    )
    parser.add_argument("--repeats", type=int, metavar="N", help="of everything (3)")
    parser.add_argument(
        "--sweep-objects",
        type=int,
        metavar="N",
        help="objects in the largest bucket swept, after a tenth and less (100000); 0: none",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it, as PNG and SVG")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="put the table into this page"
    )
    parser.add_argument("--read", type=Path, metavar="FILE", help="show an earlier run's figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
