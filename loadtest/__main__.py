"""`python -m loadtest`: load a platform and judge it; see what loads there are.

Exit status of `run`: 0 every limit was kept, 1 some was not, 2 it could not be run or its report
not be stored, 130 interrupted (the report is written all the same).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest.collect import open_client
from loadtest.conduct.conduct import conduct
from loadtest.conduct.generator import GeneratorFailed
from loadtest.conduct.plan import Plan
from loadtest.conduct.preflight import NotReady
from loadtest.conduct.readiness import wait_until_ready
from loadtest.conduct.shown import open_console
from loadtest.conduct.store_report import NotStored, check_place, read_place, store_report
from loadtest.evidence import VIOLATIONS
from loadtest.files import KINDS
from loadtest.platform import Platform, PlatformError, load_environment
from loadtest.runs.data import Run
from loadtest.runs.figures import figures_of
from loadtest.scenario import Scenario, ScenarioError, load_scenario, scenario_names
from loadtest.shapes import SHAPES
from loadtest.target import CAPTURED, target_of

INTERRUPTED = 130
ONE_SIGNAL_S = 1.0
"""Signals that come within this time are one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    _hear_signals()
    try:
        return int(options.command(options))
    except ScenarioError as exc:
        print("\n".join(exc.problems), file=sys.stderr)
    except (NotReady, NotStored, GeneratorFailed, PlatformError, ValueError) as exc:
        print(exc, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted before there was a run to report", file=sys.stderr)
        return INTERRUPTED
    return 2


def _hear_signals() -> None:
    """Ctrl-C, and SIGTERM as a Job out of time gets it, once for each time that it was meant:
    some senders signal both the process and its group."""
    heard_at = [-math.inf]

    def hear(number: int, frame: FrameType | None) -> None:
        before, heard_at[0] = heard_at[0], monotonic()
        if heard_at[0] - before > ONE_SIGNAL_S:
            signal.default_int_handler(number, frame)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, hear)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a scenario: measure, load, observe, judge, report",
        description="Without --env it starts a `marea up` of its own, and stops it afterwards.",
    )
    run.add_argument("scenario", help="a name (python -m loadtest scenarios) or a folder's path")
    run.add_argument(
        "--env",
        type=Path,
        metavar="FILE",
        help="variables of a platform that runs: .marea/marea.env of `marea up`,"
        " .marea/cluster.env of `make cluster`; - = those of this shell",
    )
    run.add_argument(
        "--namespace",
        default="",
        help="of the release in a Kubernetes, to see its pods (kubeconfig as for kubectl)",
    )
    run.add_argument(
        "--out", type=Path, help="folder of the run (default: load-out/SCENARIO, made anew)"
    )
    run.add_argument("--broker", choices=("redis", "rabbitmq"), help="of the own `marea up`")
    run.add_argument("--workers", type=int, default=0, help="Locust processes besides a master")
    run.add_argument("--ui-port", type=int, default=0, help="show Locust's page at this port")
    run.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="for the platform to be ready"
    )
    run.add_argument(
        "--store-report",
        default="",
        metavar="s3://BUCKET/PREFIX/",
        help="put the report there too, in a folder of its own; needs --env",
    )
    run.add_argument("--json", action="store_true", help="figures and limits as JSON")
    run.set_defaults(command=_run)
    scenarios = commands.add_parser("scenarios", help="list the scenarios")
    scenarios.add_argument("--json", action="store_true")
    scenarios.set_defaults(command=_scenarios)
    shapes = commands.add_parser("shapes", help="list shapes and kinds of files, with settings")
    shapes.set_defaults(command=_shapes)
    return parser


def _run(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    place = read_place(options.store_report) if options.store_report else None
    if place is not None and options.env is None:
        raise ValueError(
            "--store-report needs --env: without, the platform is the run's own, and its buckets"
            " go with it"
        )
    console = open_console(quiet=False)
    folder: Path = options.out or Path("load-out") / scenario.name
    folder.mkdir(parents=True, exist_ok=True)
    command = "python -m loadtest " + shlex.join(sys.argv[1:])
    with _platform(options, scenario, folder, console) as (environment, about, pid):
        plan = Plan(
            scenario=scenario,
            target=target_of(environment),
            folder=folder,
            environment=environment,
            about_target=about,
            command=command,
            scenario_name=options.scenario,
            platform_pid=pid,
            namespace=options.namespace,
            workers=options.workers,
            ui_port=options.ui_port,
        )
        client = open_client(plan.target.store)
        if options.wait:
            wait_until_ready(client, plan.target, scenario.load, options.wait, console.print)
        if place is not None:
            check_place(client, place)
        run = conduct(plan, console)
    status = _told(run, folder, console, as_json=options.json)
    if place is not None:
        try:
            console.print(f"Stored: {store_report(client, place, run, folder)}", highlight=False)
        except NotStored as exc:
            print(exc, file=sys.stderr)
            return status or 2
    return status


@contextmanager
def _platform(
    options: argparse.Namespace, scenario: Scenario, folder: Path, console: Console
) -> Iterator[tuple[dict[str, str], dict[str, Any], int | None]]:
    """The platform's variables, what is known of it, and its process; one of our own if none was
    named."""
    if options.env is not None:
        yield (*_given(options), None)
        return
    wanted = scenario.load.platform
    data = (folder / "data").resolve()
    shutil.rmtree(data, ignore_errors=True)
    broker = options.broker or wanted.broker
    platform = Platform(
        data,
        broker,
        None,
        folder / "marea.log",
        wanted.settings,
        ("--workers", str(wanted.workers), "--max-replicas", str(wanted.max_replicas)),
    )
    stopped = 0
    try:
        with console.status(f"Starting a platform on {broker} …"):
            ready = platform.start()
        environment = load_environment(ready.environment_file)
        yield (
            environment,
            {
                "kind": "up",
                "store": ready.store_name,
                "broker": broker,
                "slots": wanted.workers,
                "max_replicas": wanted.max_replicas,
            },
            platform.pid,
        )
    finally:
        with console.status("Stopping the platform …"):
            stopped = platform.stop()
        shutil.rmtree(data, ignore_errors=True)
    if stopped != 0:
        raise PlatformError(f"marea up stopped with status {stopped}; see {folder}/marea.log")


def _given(options: argparse.Namespace) -> tuple[dict[str, str], dict[str, Any]]:
    if str(options.env) == "-":
        environment = dict(os.environ)
    elif options.env.is_file():
        # The file's variables, and no others of a platform's.
        environment = {**load_environment(options.env), **_own_variables(options.env)}
    else:
        raise ValueError(f"--env {options.env}: there is no such file")
    kind = "cluster" if options.namespace else "address"
    store = environment.get("MAREA_STORE__ENDPOINT_URL") or "AWS"
    broker = environment.get("MAREA_BROKER__URL", "").partition(":")[0]
    return environment, {"kind": kind, "store": store, "broker": broker or "not known"}


def _own_variables(file: Path) -> Mapping[str, str]:
    """LOADTEST_ variables of this shell, where the file has none: a way to name a gateway."""
    text = file.read_text(encoding="utf-8")
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(CAPTURED[1]) and f"{name}=" not in text
    }


def _told(run: Run, folder: Path, console: Console, *, as_json: bool) -> int:
    from loadtest.report.write import write_report  # matplotlib: only where a report is drawn

    figures = figures_of(run)
    report, _ = write_report(run, figures, folder)
    broken = [limit for limit in run.limits if not limit.is_kept]
    if as_json:
        limits = [{**asdict(limit), "kept": limit.is_kept} for limit in run.limits]
        body = {"partial": run.partial, "figures": figures, "limits": limits}
        print(json.dumps(body, indent=2))
    table = Table(title=f"{run.scenario}: {run.about}")
    for name in ("figure", "value", "limit", ""):
        table.add_column(name, justify="right" if name in ("value", "limit") else "left")
    for limit in run.limits:
        value = "not known" if limit.value is None else f"{limit.value:,.4g}"
        mark = "[green]kept[/]" if limit.is_kept else "[bold red]NOT KEPT[/]"
        table.add_row(limit.figure, value, f"{limit.relation} {limit.bound:g}", mark)
    console.print(table)
    console.print(_sentence(run, figures))
    console.print(f"Report: {report}")
    if run.partial:
        console.print(f"[bold yellow]Partial:[/] {run.partial}", highlight=False)
        return INTERRUPTED if run.partial.startswith("interrupted") else 1
    return 1 if broken else 0


def _sentence(run: Run, figures: Mapping[str, float | None]) -> str:
    counts = ", ".join(f"{kind} {run.checker.get(kind, '?')}" for kind in VIOLATIONS)
    p95 = figures["latency_p95_s"]
    told = "not known" if p95 is None else f"{p95:.2f} s"
    return f"{figures['uploads']:.0f} uploads: {counts}; upload to result, p95: {told}."


def _scenarios(options: argparse.Namespace) -> int:
    found = {name: load_scenario(name).load for name in scenario_names()}
    if options.json:
        print(json.dumps({name: load.model_dump() for name, load in found.items()}, indent=2))
        return 0
    table = Table(box=None)
    for name in ("scenario", "what it sends"):
        table.add_column(name)
    for name, load in found.items():
        table.add_row(name, load.about)
    Console(width=110).print(table)
    return 0


def _shapes(_: argparse.Namespace) -> int:
    console = Console(width=110)
    for name, shape in SHAPES.items():
        about = " ".join((shape.__doc__ or "").split())
        console.print(f"[bold]{name}[/]  {about}", highlight=False)
        for setting, each in shape.model_fields.items():
            console.print(f"    {setting:14} {each.description}", highlight=False)
    console.print("\n[bold]files[/]")
    for name, kind in KINDS.items():
        console.print(f"    {name:14} {kind.about}", highlight=False)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
