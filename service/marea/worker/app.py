"""`marea worker`: Celery's worker of one pool, in this process, from start to warm shutdown.

Composes the rest of this folder; decides nothing itself. SIGTERM, SIGINT and SIGHUP finish
the running jobs, acknowledge them and exit with 0; a second SIGINT, or SIGQUIT, gives them
back unfinished and exits with 1.
"""

from __future__ import annotations

import gc
import itertools
import logging
import secrets
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from billiard.util import get_pdeathsig
from celery import bootsteps, signals
from celery.apps.worker import (
    Worker,
    install_cry_handler,
    install_worker_int_handler,
    install_worker_term_handler,
    install_worker_term_hard_handler,
)
from celery.platforms import EX_OK
from celery.worker import state

from marea.clock import Clock
from marea.errors import TransientError
from marea.lifecycle.policy import Policy
from marea.queues.celery import create_celery_app
from marea.queues.message import TASK_NAME
from marea.queues.names import QUARANTINE_POOL, pool_queues
from marea.settings import Settings
from marea.worker.ahead import Ahead, ahead_step
from marea.worker.drain import DrainLease, drain_step
from marea.worker.liveness import Pulse
from marea.worker.losses import LossLedger, LossReporter, build_charge
from marea.worker.parent import BeatLedger, BrokerWatch, Heartbeats, read_workload
from marea.worker.request import build_request_class
from marea.worker.tasks import BuildRunner, Child, register_task

log = structlog.get_logger("marea.worker")

TICK_S = 1.0
"""Between two noted turns of the event loop; a small part of the minute in which it counts."""

CHILD_START_S = 60.0
"""How long a child may take to build its clients before it is taken for dead; Celery's 4 s
are too short on a throttled node that starts several at once."""


class WorkerLedger(BeatLedger, LossLedger, Protocol):
    """What a worker's parent does with the ledger."""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker is made of beside Celery; `worker_parts` builds the real ones."""

    build_runner: BuildRunner
    """Called in each child, after the fork."""
    ledger: WorkerLedger
    """The parent's own."""
    announce: Callable[[str], None]
    """Tells the broker that the worker may hold messages. Raises `BrokerUnavailable`."""
    count_waiting: Callable[[], int]
    """Messages ready in the pool's queues. Raises `BacklogUnavailable`."""
    policy: Policy
    clock: Clock
    give_back: Callable[[str, Collection[str]], int] = lambda _worker, _but: 0
    """Returns to the queues what the broker has noted as held by the worker, but for the jobs
    named; how many. Raises `BrokerUnavailable`."""
    prepare: Callable[[], None] = lambda: None
    """Called in the parent before the first fork: imports what each child will need. Opens
    nothing, for clients do not survive a fork."""


def run_worker(settings: Settings, parts: WorkerParts | None = None) -> int:
    """Work until told to stop; returns the exit status. Once per process, in its main thread:
    signal handlers and Celery's state are the process's own."""
    settings = _with_slots(settings)
    parts = worker_parts(settings) if parts is None else parts
    pool, clock = settings.worker.pool, parts.clock
    worker = worker_id(pool, settings.worker.replica or socket.gethostname())
    pulse = Pulse(tick=clock.now(), broker_since=clock.now())
    lease = DrainLease()
    losses = LossReporter(build_charge(parts.ledger, clock, parts.policy, worker), clock)
    heartbeats = Heartbeats(
        parts.ledger,
        clock,
        pulse,
        worker=worker,
        pool=pool,
        slots=settings.worker.concurrency,
        heartbeat_s=settings.worker.heartbeat_s,
        lease_s=settings.worker.lease_s,
        liveness_file=settings.worker.liveness_file,
        lease=lease,
    )
    watch = BrokerWatch(
        clock,
        pulse,
        announce=lambda: parts.announce(worker),
        count_waiting=parts.count_waiting,
        interval_s=settings.worker.heartbeat_s,
        is_consuming=lambda: lease.consuming,
    )

    def start_threads() -> None:
        # In this order: a broker's holder without a heartbeat would be taken for dead, and a
        # claim must not meet an owner that the ledger does not know.
        losses.start()
        heartbeats.start()
        _until_it_answers(heartbeats.beat, clock)
        _until_it_answers(lambda: parts.announce(worker), clock)
        watch.start()

    child = Child(settings, worker, parts.build_runner, clock)
    ahead = Ahead(settings.worker.concurrency)
    consumer_steps = [
        _pulse_step(pulse, clock, lambda: _give_back(parts, worker)),
        drain_step(lease, pool_queues(pool), clock, heartbeats.wake),
    ]
    if settings.broker.kind == "redis":
        consumer_steps.append(ahead_step(ahead, clock))
    celery_worker = _build_celery_worker(
        settings,
        worker,
        child,
        request_class=build_request_class(
            losses, lambda: pulse.acknowledged(clock.now()), clock, ahead.ended
        ),
        parent_step=_parent_step(start_threads, heartbeats.drain),
        consumer_steps=consumer_steps,
    )
    signals.worker_process_init.connect(child.open, weak=False)
    signals.task_received.connect(lambda **_: pulse.delivered(clock.now()), weak=False)
    log.info("worker starts", worker=worker, slots=settings.worker.concurrency)
    share_with_children(parts.prepare)
    celery_worker.start()
    watch.finish()
    if not losses.finish(settings.worker.lease_s):
        log.warning("losses left to the reconciler", worker=worker)
    heartbeats.finish()
    # Celery notes no exit status for a cold shutdown.
    status = int(celery_worker.exitcode or state.should_terminate or EX_OK)
    log.info("worker stopped", worker=worker, exit_status=status)
    return status


def worker_parts(settings: Settings) -> WorkerParts:
    """The real parts. Raises `ConfigError`; connects to nothing."""
    from marea.clock import SystemClock
    from marea.errors import ConfigError
    from marea.pipelines.catalog import import_libraries, lacking_libraries
    from marea.queues.redis import RedisBroker
    from marea.wiring import build_broker, build_declarations, build_ledger, build_policy
    from marea.worker.runner import build_runner

    # Read again in each child; wrong ones stop the start here.
    declarations = build_declarations(settings)
    clock = SystemClock()
    broker = build_broker(settings)
    pool = settings.worker.pool
    if problems := lacking_libraries(declarations.pipelines.values(), pool):
        raise ConfigError(problems)

    def announce(worker: str) -> None:
        if isinstance(broker, RedisBroker):  # RabbitMQ returns a dead worker's messages itself
            broker.register_holder(worker)

    return WorkerParts(
        build_runner=build_runner,
        ledger=build_ledger(settings, clock),
        announce=announce,
        count_waiting=lambda: sum(depth.ready for depth in broker.depths((pool,)).values()),
        policy=build_policy(settings),
        clock=clock,
        give_back=broker.requeue,
        prepare=lambda: import_libraries(declarations.pipelines.values(), pool),
    )


def worker_id(pool: str, replica: str) -> str:
    """A name for this start of a worker: one that comes back under its old name would be
    taken for alive, and keep what its predecessor held. `replica_of` is its inverse."""
    return f"{pool}@{replica}-{secrets.token_hex(3)}"


def _with_slots(settings: Settings) -> Settings:
    """In quarantine a job runs alone, whatever `concurrency` says (design rule 9)."""
    if settings.worker.pool != QUARANTINE_POOL:
        return settings
    alone = settings.worker.model_copy(update={"concurrency": 1})
    return settings.model_copy(update={"worker": alone})


def share_with_children(prepare: Callable[[], None]) -> None:
    """Leave to the children, in memory that they have in common, what each of them needs.

    A collection writes into every object that it looks at, and so gives each process a copy of
    the page: what is there before the forks is taken out of its sight.
    """
    prepare()
    # Each child will ask to die with its parent. Where cffi is installed, billiard loads a
    # parser of C for that: 13 MB and 40 ms a child (measured), unless it is there already.
    with suppress(OSError):
        get_pdeathsig()
    gc.collect()
    gc.freeze()


def _build_celery_worker(
    settings: Settings,
    worker: str,
    child: Child,
    *,
    request_class: type[Any],
    parent_step: type[Any],
    consumer_steps: Sequence[type[Any]],
) -> Worker:
    pool = settings.worker.pool
    app = create_celery_app(settings, worker=worker, pools=(pool,))
    app.conf.worker_proc_alive_timeout = CHILD_START_S
    register_task(app, TASK_NAME, child, request_class)
    app.steps["worker"].add(parent_step)
    app.steps["consumer"].update(consumer_steps)
    signals.setup_logging.connect(_keep_logging, weak=False)
    return _PoolWorker(
        app=app,
        hostname=worker,
        queues=list(pool_queues(pool)),
        concurrency=settings.worker.concurrency,
        pool="prefork",
        prefetch_multiplier=1,
        optimization="fair",
        time_limit=settings.worker.hard_time_limit_s,
        soft_time_limit=settings.worker.soft_time_limit_s,
        max_tasks_per_child=settings.worker.max_jobs_per_child,
        loglevel=settings.logs.level.upper(),
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
    )


class _PoolWorker(Worker):  # type: ignore[misc]  # Celery is untyped
    """Celery's worker with the signals of a process under a supervisor."""

    def install_platform_tweaks(self, worker: Worker) -> None:
        install_worker_term_handler(worker, verbose=False)
        # Celery would exec itself anew on SIGHUP, under the supervisor's eyes.
        install_worker_term_handler(worker, sig="SIGHUP", verbose=False)
        install_worker_term_hard_handler(worker)
        # The first Ctrl+C is as warm as SIGTERM, so it exits with 0 too.
        install_worker_int_handler(worker, exitcode=EX_OK)
        install_cry_handler()


def _keep_logging(**_: Any) -> None:
    """That somebody listens keeps Celery from configuring the logs; the process has."""
    for name in ("celery.worker.strategy", "celery.app.trace"):
        # One line per message received and one per success: the runner's say more.
        logging.getLogger(name).setLevel(logging.WARNING)


def _until_it_answers(call: Callable[[], None], clock: Clock) -> None:
    """Wait for a server at start-up, saying once for what; a shutdown ends the wait."""
    told = ""
    while True:
        state.maybe_shutdown()
        try:
            return call()
        except TransientError as exc:
            if str(exc) != told:
                told = str(exc)
                log.warning("waiting to start", reason=told)
            clock.sleep(TICK_S)


def _parent_step(start_threads: Callable[[], None], drain: Callable[[], None]) -> type[Any]:
    class ParentStep(bootsteps.StartStopStep):  # type: ignore[misc]
        """After the first forks, before the consumer."""

        requires = ("celery.worker.components:Pool",)

        def start(self, _worker: Any) -> None:
            start_threads()

        def close(self, _worker: Any) -> None:
            log.info("worker drains")
            drain()

    return ParentStep


def _give_back(parts: WorkerParts, worker: str) -> None:
    """After a lost connection, before anything is fetched by the new one.

    Celery forgets what it had fetched and not begun, yet the broker has it noted as held by a
    worker that lives: it would wait for the visibility timeout, minutes.
    """
    try:
        count = parts.give_back(worker, read_workload().active)
        parts.announce(worker)  # giving back has taken it off the holders
    except TransientError as exc:
        log.warning("messages of the lost connection not returned", reason=str(exc))
    else:
        if count:
            log.info("messages of the lost connection returned", count=count)


def _pulse_step(pulse: Pulse, clock: Clock, reconnected: Callable[[], None]) -> type[Any]:
    starts = itertools.count()

    class PulseStep(bootsteps.StartStopStep):  # type: ignore[misc]
        """Notes that the event loop turns, and whether there is a broker."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, _consumer: Any) -> None:
            if next(starts):
                reconnected()
            pulse.connected(clock.now())

        def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
            hub.call_repeatedly(TICK_S, lambda: pulse.beat(clock.now()))

        def stop(self, _consumer: Any) -> None:
            pulse.retrying(clock.now())

    return PulseStep
