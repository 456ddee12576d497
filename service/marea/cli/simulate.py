"""`marea scaling simulate`: what would which autoscaler have done? Needs no platform."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from marea.cli.render import heading, plain
from marea.cli.session import JsonFlag, print_json, session_of
from marea.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from marea.simulator.cluster import Cluster
    from marea.simulator.drawing import Drawing
    from marea.simulator.runs import TraceMaker
    from marea.simulator.score import Score
    from marea.simulator.trace import Trace

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Of a trace: its 200,000 jobs at 320 bytes, which a load test's history takes."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What is shown besides figures: the traces as they are for the first seed."""

    makers: Sequence[TraceMaker]
    seed: int
    cluster: Cluster


def simulate(
    context: typer.Context,
    trace: list[str] = typer.Option(
        [],
        help="A named trace (burst, small-burst, spikes, ramp, trickle, long, mixed, outage,"
        " outage-at-peak, cold, cap) or a file of JSON lines; may be repeated.",
    ),
    every: bool = typer.Option(False, "--all", help="All named traces."),
    policy: list[str] = typer.Option(
        [],
        help="builtin, keda, keda-tuned, hpa, airflow, knative, lambda or oracle, and keda-steep"
        " (tuned, without a limit to the rise); may be repeated. Without it, the first eight.",
    ),
    seeds: int = typer.Option(5, min=1, max=1000, help="Runs of each; figures are medians."),
    first_seed: int = typer.Option(0, min=0, help="Seeds are this one and those after it."),
    start_s: float = typer.Option(
        6.0, min=0.1, max=3600.0, help="Median of a pod's start; one of twenty takes 2.5 times it."
    ),
    work_s: float | None = typer.Option(
        None, min=0.001, help="Seconds a job takes, for a history that does not tell."
    ),
    drain_s: float = typer.Option(60.0, min=1.0, help="Promise of a file's pools, in seconds."),
    slots: int = typer.Option(4, min=1, max=1000, help="Slots a replica, of a file's pools."),
    max_replicas: int = typer.Option(50, min=1, max=1000, help="Of each of a file's pools."),
    report: Path | None = typer.Option(None, help="Write tables and pictures to this HTML file."),
    plot: Path | None = typer.Option(None, help="Write the picture of one trace to this PNG."),
    as_json: bool = JsonFlag,
) -> None:
    """Play a trace of jobs under several autoscalers and compare."""
    from marea.simulator.cluster import P95_OF_MEDIAN, Cluster
    from marea.simulator.runs import compare

    wanted, names = _wanted(trace, every), _policies(policy)
    if plot is not None and len(wanted) > 1:
        raise typer.BadParameter("a picture shows one trace; use --report", param_hint="--plot")
    for path in (report, plot):
        _refuse_unwritable(path)
    cluster = Cluster(start_median_s=start_s, start_p95_s=start_s * P95_OF_MEDIAN)
    makers = [_maker(name, (drain_s, slots, max_replicas), work_s) for name in wanted]
    results: dict[str, Mapping[str, Score]] = {}
    progress = _progress(session_of(context).stderr, wanted)
    for name, make in zip(progress, makers, strict=True):
        results[name] = compare(make, names, range(first_seed, first_seed + seeds), cluster)
    stage = Stage(makers, first_seed, cluster)
    if report is not None:
        _write_report(report, stage, results, seeds)
    if plot is not None:
        _write_plot(plot, stage, names)
    _print(session_of(context).console, stage, results, as_json)


def _wanted(traces: list[str], every: bool) -> list[str]:
    from marea.simulator.traces import TRACES

    wanted = list(dict.fromkeys([*traces, *(TRACES if every else ())]))
    if not wanted:
        raise typer.BadParameter(
            f"say which: {', '.join(TRACES)}, a file, or --all", param_hint="--trace"
        )
    return wanted


def _policies(policies: list[str]) -> list[str]:
    from marea.simulator.scalers.catalog import EXTRA, NAMES

    unknown = [name for name in policies if name not in (*NAMES, *EXTRA)]
    if unknown:
        raise typer.BadParameter(
            f"no policy {unknown[0]!r}; there are {', '.join((*NAMES, *EXTRA))}",
            param_hint="--policy",
        )
    return list(dict.fromkeys(policies)) or list(NAMES)


def _maker(name: str, pool: tuple[float, int, int], work_s: float | None) -> TraceMaker:
    """The named trace, else the file's."""
    from marea.simulator.trace import PoolSpec
    from marea.simulator.trace_files import parse_trace
    from marea.simulator.traces import TRACES

    if name in TRACES:
        return TRACES[name]
    path = Path(name)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ConfigError(
                [f"{name} has {size:,} bytes, and at most {MAX_FILE_BYTES:,} are read"]
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as exc:
        raise typer.BadParameter(
            f"{name!r} is neither a file nor one of {', '.join(TRACES)}", param_hint="--trace"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{name} cannot be read: {exc}"]) from exc
    drain_s, slots, max_replicas = pool
    spec = PoolSpec(slots=slots, max_replicas=max_replicas, drain_s=drain_s)
    read = parse_trace(path.name, lines, spec, work_s)
    return lambda _seed: read


def _refuse_unwritable(path: Path | None) -> None:
    """Before minutes of work, not after."""
    if path is None:
        return
    try:
        path.open("ab").close()
    except OSError as exc:
        raise ConfigError([f"{path} cannot be written: {exc.strerror}"]) from exc


def _progress(stderr: Console, names: Sequence[str]) -> Iterator[str]:
    """Says on a terminal which trace is played; a comparison of all takes about a minute."""
    for name in names:
        if stderr.is_terminal:
            stderr.print(f"playing {plain(name)} …", style="dim")
        yield name


def _pictures(stage: Stage, trace: Trace, names: Sequence[str], title: str, about: str) -> Drawing:
    from marea.simulator.picture import draw
    from marea.simulator.runs import observe

    runs = {}
    for name in names:
        observer, score = observe(trace, name, stage.seed, stage.cluster)
        drained = "never drained" if score.drain_s is None else f"drained in {score.drain_s:,.0f} s"
        line = (
            f"{drained}, p95 wait {score.wait_p95_s:,.0f} s, {score.worker_seconds:,.0f}"
            f" worker-seconds, {score.interrupted:,.0f} interrupted"
        )
        runs[name] = (line, observer.series)
    return draw(title, about, runs)


def _write_report(
    path: Path, stage: Stage, results: Mapping[str, Mapping[str, Score]], seeds: int
) -> None:
    from marea.simulator.report import page
    from marea.simulator.svg import to_svg

    parts = {}
    for make, (name, scores) in zip(stage.makers, results.items(), strict=True):
        trace = make(stage.seed)
        picture = to_svg(_pictures(stage, trace, list(scores), "", ""))
        parts[name] = (trace.about, scores, picture)
    command = shlex.join(["marea", *sys.argv[1:]])
    note = f"Medians over {seeds} seeds; the pictures show seed {stage.seed}."
    path.write_text(page(parts, note, command), encoding="utf-8")


def _write_plot(path: Path, stage: Stage, names: Sequence[str]) -> None:
    from marea.simulator.png import to_png

    trace = stage.makers[0](stage.seed)
    path.write_bytes(to_png(_pictures(stage, trace, names, trace.name, trace.about)))


def _print(
    console: Console,
    stage: Stage,
    results: Mapping[str, Mapping[str, Score]],
    as_json: bool,
) -> None:
    from marea.simulator.table import beside

    if as_json:
        documents = [
            {"trace": name, "policies": {who: each.as_json() for who, each in scores.items()}}
            for name, scores in results.items()
        ]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    for make, (name, scores) in zip(stage.makers, results.items(), strict=True):
        console.print(f"[bold]{plain(name)}[/] {plain(make(stage.seed).about)}\n")
        console.print(_table(scores) + "\n")
    rows = beside(results)
    if rows:
        console.print("[bold]builtin over the others[/] below 1 is better for builtin\n")
        console.print(_aligned(rows))


def _table(scores: Mapping[str, Score]) -> str:
    from marea.simulator.table import COLUMNS, cells

    return _aligned([("policy", *COLUMNS), *((who, *cells(each)) for who, each in scores.items())])


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Figures to the right, as figures are read."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    (head,) = heading(lines[0])
    return "\n".join([head, *lines[1:]])
