"""`marea`: the table of verbs, and the one place where errors become exit statuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from marea import __version__
from marea.cli import capacity, declared, inspect, jobs, processes, simulate, store
from marea.cli import scaling as scaling_verbs
from marea.cli.session import LOCAL_ENV_FILE, Session
from marea.errors import ConfigError, MareaError, TransientError

EXIT_FAILED, EXIT_UNUSABLE = 1, 2
NOTHING_CONFIGURED = (
    "hint: no MAREA_ variable is set, so the defaults were used; run this in the folder where"
    " `marea up` runs, or name its file: marea --env DATA/marea.env …"
)


def _family(about: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=about)


app = typer.Typer(
    name="marea",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: rich's takes as long to import as all the rest, and swallows [brackets].
    rich_markup_mode=None,
    help="Drop a file in a bucket; its results appear in a bucket.",
    epilog="Exit status: 0 well, 1 not well, 2 unusable arguments, files or settings."
    " Where the platform is comes from MAREA_ variables or --env.",
)
dead = _family("Jobs that were given up, and their replay.")
route = _family("The rule table: which rule takes a key, and why.")
pipelines = _family("What can be done to an upload.")
scaling = _family("How many workers, and why; other autoscalers beside ours.")
store_family = _family("The object store: making it ready, and whether it is.")
app.add_typer(dead, name="dead")
app.add_typer(route, name="route")
app.add_typer(pipelines, name="pipelines")
app.add_typer(scaling, name="scaling")
app.add_typer(store_family, name="store")

app.command()(processes.up)
app.command()(processes.gateway)
app.command()(processes.worker)
app.command()(processes.reconciler)
app.command()(processes.autoscaler)
app.command()(jobs.submit)
app.command()(inspect.status)
app.command("jobs")(inspect.list_jobs)
app.command()(inspect.job)
app.command()(jobs.cancel)
app.command()(jobs.rerender)
app.command()(jobs.backfill)
app.command()(inspect.audit)
app.command()(capacity.capacity)
app.command()(declared.settings)
dead.command("list")(inspect.dead_list)
dead.command("show")(inspect.job)
dead.command("replay")(jobs.dead_replay)
route.command("test")(declared.route_test)
pipelines.command("list")(declared.pipelines_list)
pipelines.command("show")(declared.pipelines_show)
scaling.command("explain")(scaling_verbs.explain)
scaling.command("history")(scaling_verbs.history)
scaling.command("simulate")(simulate.simulate)
store_family.command("prepare")(store.prepare)
store_family.command("check")(store.check)
store_family.command("try")(store.try_it)
store_family.command("policies")(store.policies)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    env: Path | None = typer.Option(
        None,
        "--env",
        help="File of MAREA_ variables, as `marea up` writes it; without it,"
        " .marea/marea.env if it exists.",
    ),
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print it and exit."
    ),
) -> None:
    context.obj = Session(env)


def _is_configured() -> bool:
    """Whether anything says where the platform is."""
    from marea.settings import own_variables

    is_named = any(argument.split("=")[0] == "--env" for argument in sys.argv)
    return is_named or LOCAL_ENV_FILE.exists() or bool(own_variables())


def main() -> None:
    """Run the command line and exit: 0 well, 1 not well, 2 unusable input or settings."""
    try:
        app()
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(EXIT_UNUSABLE)
    except MareaError as exc:
        print(f"error ({exc.code}): {exc}", file=sys.stderr)
        if isinstance(exc, TransientError) and not _is_configured():
            print(NOTHING_CONFIGURED, file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:  # `marea jobs | head -1` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
