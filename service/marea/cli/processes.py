"""The verbs that run a process until it is told to stop: up, gateway, worker, reconciler."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import typer

from marea.cli.render import plain
from marea.cli.session import JsonFlag, print_json, session_of
from marea.telemetry.liveness import SIGN_MAX_AGE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from marea.settings import (
        AutoscalerSettings,
        ReconcilerSettings,
        Settings,
        WorkerSettings,
    )
    from marea.wiring import Declarations

CHECK_HELP = "Do not work: judge this liveness file, for a probe."
MAX_AGE_HELP = "With --check-liveness: seconds after which the file is stale."


def up(
    context: typer.Context,
    data: Path = typer.Option(Path(".marea"), help="Folder that keeps everything."),
    broker: Literal["redis", "rabbitmq"] = typer.Option("redis", help="What queues the jobs."),
    workers: int = typer.Option(2, min=1, max=64, help="Jobs at once, per worker process."),
    max_replicas: int | None = typer.Option(
        None,
        min=1,
        max=64,
        help="Worker processes per pool at most; without it, MAREA_AUTOSCALER__MAX_REPLICAS or 2.",
    ),
    rules: Path | None = typer.Option(
        None, exists=True, dir_okay=False, help="YAML rule table; see docs/rules.md."
    ),
    pipelines: Path | None = typer.Option(
        None, exists=True, dir_okay=False, help="YAML pipelines; see docs/pipelines.md."
    ),
    appendfsync: Literal["always", "everysec"] = typer.Option(
        "always", help="When Redis writes to disk; everysec is faster and can lose a second."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Run the whole platform on this machine, servers included.

    Redis or RabbitMQ, a store, gateway, reconciler and workers, more of them while much is
    queued; when it is ready, it prints addresses, and lines to paste. Ctrl-C stops it cleanly:
    running jobs finish, nothing is lost, and a second `marea up` on the same folder goes on
    where this one stopped.
    """
    from marea.cli.banner import banner
    from marea.settings import load_settings
    from marea.up.platform import Platform, UpOptions

    session = session_of(context)
    # The servers take seconds to start; a mistake in a file is told before.
    files = {"rules_file": rules, "pipelines_file": pipelines}
    _require_sound(load_settings(overrides={name: file for name, file in files.items() if file}))
    options = UpOptions(
        folder=data,
        broker=broker,
        workers=workers,
        max_replicas=max_replicas,
        rules_file=rules,
        pipelines_file=pipelines,
        appendfsync=appendfsync,
    )

    def on_ready(report: dict[str, object]) -> None:
        if as_json:
            print_json(report)
            import sys

            sys.stdout.flush()
        else:
            session.console.print(banner(report))

    platform = Platform(options, lambda text: session.stderr.print(plain(text)))
    raise typer.Exit(platform.run(on_ready))


def gateway(context: typer.Context) -> None:
    """Hear of uploads and answer the API: one process.

    Run several behind a balancer. SIGTERM lets the requests under way finish.
    """
    settings = session_of(context).settings
    _configure_logs(settings)
    _say_start("gateway", settings)
    from marea.gateway.serve import serve

    _require_sound(settings, with_broker=True)
    raise typer.Exit(serve(settings))


def worker(
    context: typer.Context,
    pool: str | None = typer.Option(
        None, help="Whose queues to serve; without it, MAREA_WORKER__POOL."
    ),
    concurrency: int | None = typer.Option(
        None, min=1, max=256, help="Jobs at once; without it, MAREA_WORKER__CONCURRENCY."
    ),
    check_liveness: Path | None = typer.Option(None, help=CHECK_HELP),
    max_age_s: float = typer.Option(60.0, min=0.0, help=MAX_AGE_HELP),
) -> None:
    """Run the jobs of one pool.

    SIGTERM lets the running ones finish; a second one does not.
    """
    from marea.worker.liveness import check_liveness as judge

    session = session_of(context)
    if check_liveness is not None:
        _tell_verdict(judge(check_liveness, _now(), max_age_s))
    overrides: dict[str, Any] = {"worker": {}}
    if pool is not None:
        overrides["worker"]["pool"] = pool
    if concurrency is not None:
        overrides["worker"]["concurrency"] = concurrency
    settings = session.load(overrides)
    _configure_logs(settings)
    _say_start("worker", settings, pool=settings.worker.pool)
    import structlog

    from marea.worker.app import run_worker

    pools = _require_sound(settings, with_broker=True).pools
    if settings.worker.pool not in pools:
        structlog.get_logger("marea.start").warning(
            "no rule and no pipeline names this pool", pool=settings.worker.pool, known=pools
        )
    _answer_probes(settings.worker, judge)
    _require_store(settings, settings.worker.liveness_file)
    raise typer.Exit(run_worker(settings))


def reconciler(
    context: typer.Context,
    once: bool = typer.Option(False, "--once", help="One tick of every duty, then exit."),
    check_liveness: Path | None = typer.Option(None, help=CHECK_HELP),
    max_age_s: float = typer.Option(SIGN_MAX_AGE_S, min=0.0, help=MAX_AGE_HELP),
) -> None:
    """Find and put right what events, brokers and workers lost."""
    from marea.telemetry.liveness import check_sign

    session = session_of(context)
    if check_liveness is not None:
        _tell_verdict(check_sign(check_liveness, _now(), max_age_s))
    _configure_logs(session.settings)
    _say_start("reconciler", session.settings)
    from marea.reconciler.compose import build_reconciler

    _require_sound(session.settings, with_broker=True)
    _answer_probes(session.settings.reconciler, check_sign)
    _require_store(session.settings, session.settings.reconciler.liveness_file)
    process = build_reconciler(session.settings)
    if once:
        process.tick()
        return
    process.run(_stop_signal())


def autoscaler(
    context: typer.Context,
    once: bool = typer.Option(False, "--once", help="One decision per pool, then exit."),
    check_liveness: Path | None = typer.Option(None, help=CHECK_HELP),
    max_age_s: float = typer.Option(SIGN_MAX_AGE_S, min=0.0, help=MAX_AGE_HELP),
) -> None:
    """Size the pools by what is queued and running.

    Runs in the cluster whose Deployments it sizes; a second one waits for its turn. `marea
    scaling explain` tells why.
    """
    from marea.telemetry.liveness import check_sign

    session = session_of(context)
    if check_liveness is not None:
        _tell_verdict(check_sign(check_liveness, _now(), max_age_s))
    settings = session.settings
    _configure_logs(settings)
    _say_start("autoscaler", settings, mode=settings.autoscaler.mode)
    from marea.autoscaler.compose import build_autoscaler

    _require_sound(settings, with_broker=True)
    _answer_probes(settings.autoscaler, check_sign)
    process = build_autoscaler(settings)
    if once:
        process.tick()
        return
    process.run(_stop_signal())


def _stop_signal() -> threading.Event:
    """Set by SIGINT and SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _configure_logs(settings: Settings) -> None:
    """First of all that a process imports for its work, since all the rest imports structlog."""
    from marea.telemetry.lean_structlog import import_structlog

    import_structlog()
    from marea.telemetry.logs import configure_logging

    configure_logging(settings.logs.level, settings.logs.format)


def _say_start(process: str, settings: Settings, **more: str) -> None:
    """One line that tells which release this is and what it was told to talk to."""
    import structlog

    from marea import __version__

    structlog.get_logger("marea.start").info(
        "marea starts",
        process=process,
        version=__version__,
        broker=f"{settings.broker.kind} at {settings.broker.place}",
        ledger=settings.ledger.place,
        store=settings.store.endpoint_url or "AWS",
        source_buckets=list(settings.store.source_buckets),
        results_bucket=settings.store.results_bucket,
        **more,
    )


def _now() -> float:
    from marea.clock import SystemClock

    return SystemClock().now()


def _tell_verdict(verdict: tuple[bool, str]) -> NoReturn:
    is_live, sentence = verdict
    typer.echo(sentence)
    raise typer.Exit(0 if is_live else 1)


def _require_sound(settings: Settings, *, with_broker: bool = False) -> Declarations:
    """What the files declare. Raises `ConfigError` with every problem; connects to nothing."""
    from marea.errors import ConfigError
    from marea.wiring import build_broker, build_declarations

    problems: list[str] = []
    declarations = None
    try:
        declarations = build_declarations(settings)
    except ConfigError as exc:
        problems.extend(exc.problems)
    if with_broker:
        try:
            build_broker(settings)
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems or declarations is None:
        raise ConfigError(problems)
    return declarations


def _answer_probes(
    section: WorkerSettings | ReconcilerSettings | AutoscalerSettings,
    judge: Callable[[Path, float], tuple[bool, str]],
) -> None:
    """From before the wait for the store until the process ends."""
    file, port = section.liveness_file, section.liveness_port
    if file is not None and port is not None:
        from marea.telemetry.probe_port import answer_probes

        # To whoever asks: it is the kubelet, from the node's address.
        answer_probes("0.0.0.0", port, lambda: judge(file, _now()))  # noqa: S104


def _require_store(settings: Settings, liveness_file: Path | None) -> None:
    """Wait for the store, and refuse one that cannot keep the promises. Whoever waits is alive:
    a restart would bring the store no nearer."""
    import structlog

    from marea.clock import SystemClock
    from marea.telemetry.liveness import signs_while
    from marea.wiring import build_store, wait_for_store

    def stop(*_: object) -> None:
        raise typer.Exit

    # As the first process of a container it would not be stopped without a handler.
    signal.signal(signal.SIGTERM, stop)
    clock = SystemClock()
    log = structlog.get_logger("marea.start")
    with signs_while("waiting for the object store", liveness_file, clock):
        wait_for_store(settings, build_store(settings, clock), clock, log.warning)
