"""The composition root: settings in, adapters out. One `build_` per port.

Only processes and the CLI call it. Adapters are imported where they are built, so that
`marea --help` pays for none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from marea.apps.app import CeleryApp
from marea.clock import Clock, SystemClock
from marea.errors import ConfigError, StoreUnavailable
from marea.kube.fleets import Fleets
from marea.lifecycle.finish import Place
from marea.lifecycle.policy import Policy
from marea.notify.notifier import Notifier
from marea.perform import Ports
from marea.pipelines.pipeline import Pipeline
from marea.queues.broker import Broker
from marea.queues.names import QUARANTINE_POOL
from marea.queues.publisher import Publisher
from marea.results.ledger import Ledger
from marea.routing.table import RouteTable
from marea.scaling.backlog import PoolTarget
from marea.settings import Settings
from marea.settings_scaling import PoolScaling
from marea.storage.object_store import ObjectStore

STORE_WAIT_MAX_S = 5.0
"""Longest pause between two looks at a store that is away at start-up; arbitrary."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the user declared: pipelines, and the rules that choose among them."""

    pipelines: Mapping[str, Pipeline]
    rules: RouteTable

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool that a rule or a pipeline names, and the quarantine."""
        named = {pipeline.pool for pipeline in self.pipelines.values()} | set(self.rules.pools)
        return (*sorted(named), QUARANTINE_POOL)


def build_declarations(settings: Settings) -> Declarations:
    """Read the pipelines and rules files. Raises `ConfigError` with all problems of both."""
    from marea.pipelines.catalog import load_catalog
    from marea.routing.table import load_rules

    problems: list[str] = []
    pipelines: Mapping[str, Pipeline] = {}
    rules = None
    try:
        pipelines = load_catalog(_read_if_named(settings.pipelines_file, "MAREA_PIPELINES_FILE"))
    except ConfigError as exc:
        problems.extend(exc.problems)
    try:
        rules = load_rules(
            _read_if_named(settings.rules_file, "MAREA_RULES_FILE"),
            pipelines,
            source_buckets=settings.store.source_buckets,
            results_bucket=settings.store.results_bucket,
            reserved_prefix=settings.store.reserved_prefix,
        )
    except ConfigError as exc:
        # Without a catalog every name is unknown; saying so would bury the real mistakes.
        has_catalog = not problems
        problems.extend(
            problem for problem in exc.problems if has_catalog or "unknown pipeline" not in problem
        )
    if problems or rules is None:
        raise ConfigError(problems)
    return Declarations(pipelines, rules)


def _read_if_named(path: object, variable: str) -> str | None:
    return None if path is None else _read(path, variable)


def _read(path: object, variable: str) -> str:
    try:
        with open(str(path), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{variable}={path}: cannot be read: {exc}"]) from exc


def build_policy(settings: Settings) -> Policy:
    worker, reconciler = settings.worker, settings.reconciler
    return Policy(
        max_attempts=worker.max_attempts,
        heartbeat_s=worker.heartbeat_s,
        lease_s=worker.lease_s,
        hard_time_limit_s=worker.hard_time_limit_s,
        retry_backoff_s=worker.retry_backoff_s,
        retry_backoff_max_s=worker.retry_backoff_max_s,
        republish_backoff_s=reconciler.republish_backoff_s,
        tenant_quota=reconciler.tenant_quota,
    )


def build_place(settings: Settings) -> Place:
    return Place(
        results_bucket=settings.store.results_bucket,
        reserved_prefix=settings.store.reserved_prefix,
        notify_url=settings.notify.url,
    )


def build_store(settings: Settings, clock: Clock) -> ObjectStore:
    from marea.storage.s3 import S3ObjectStore

    return S3ObjectStore(settings.store, clock)


def build_ledger(settings: Settings, clock: Clock) -> Ledger:
    from marea.results.redis import RedisLedger

    return RedisLedger(settings.ledger, clock)


def build_publisher(settings: Settings) -> Publisher:
    from marea.queues.celery import CeleryPublisher, create_celery_app

    return CeleryPublisher(create_celery_app(settings), settings)


def build_broker(settings: Settings) -> Broker:
    match settings.broker.kind:
        case "rabbitmq":
            from marea.queues.rabbitmq import RabbitMQBroker

            return RabbitMQBroker(settings)
        case "redis":
            from marea.queues.redis import RedisBroker

            return RedisBroker(settings)
        case other:
            raise ConfigError(
                [
                    f"MAREA_BROKER__URL: a broker of kind {other!r} cannot be counted or repaired;"
                    " use redis://, rediss://, amqp:// or amqps://"
                ]
            )


def build_targets(settings: Settings, pools: Sequence[str]) -> dict[str, PoolTarget]:
    """What is asked of each of `pools`, and of those that the settings name besides: somebody
    runs workers for them. Raises `ConfigError` with every problem."""
    scaling = settings.autoscaler
    problems = []
    targets = {}
    for pool in sorted({*pools, *scaling.pools}):
        own = scaling.pools.get(pool, PoolScaling())
        try:
            targets[pool] = PoolTarget(
                name=pool,
                drain_s=own.drain_s or scaling.drain_s,
                slots=1 if pool == QUARANTINE_POOL else own.slots or scaling.slots,
                min_replicas=own.min_replicas,
                max_replicas=own.max_replicas or max(scaling.max_replicas, own.min_replicas),
                utilisation=scaling.utilisation,
                startup_s=scaling.startup_s,
                idle_after_s=(
                    scaling.idle_after_s if own.idle_after_s is None else own.idle_after_s
                ),
                weight=own.weight,
                floor=own.floor,
            )
        except ValueError as exc:
            problems.append(f"MAREA_AUTOSCALER__POOLS: {exc}")
    if problems:
        raise ConfigError(problems)
    return targets


def build_apps(settings: Settings, pools: Sequence[str], clock: Clock) -> dict[str, CeleryApp]:
    """By pool, the applications that are not ours. `pools` are our own workers'. Raises
    `ConfigError` with every problem."""
    from marea.apps.celery import CeleryBrokerApp

    problems: list[str] = []
    apps: dict[str, CeleryApp] = {}
    for pool, app in settings.autoscaler.apps.items():
        if pool in pools:
            problems.append(
                f"MAREA_AUTOSCALER__APPS: {pool!r} is a pool of Marea's own workers, by its rules"
                " and pipelines: give the application's pool another name"
            )
            continue
        url = app.broker_url.get_secret_value()
        try:
            if app.broker_url_file is not None:
                url = _read(app.broker_url_file, f"MAREA_AUTOSCALER__APPS: {pool}.broker_url_file")
            options = app.transport_options
            apps[pool] = CeleryBrokerApp(pool, app.queues, url.strip(), clock, options)
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems)
    return apps


def build_fleets(settings: Settings, clock: Clock) -> Fleets:
    """The Deployments of this release. Raises `ConfigError` where no Kubernetes is to be found."""
    from marea.kube.kubernetes import KubernetesFleets

    scaling = settings.autoscaler
    return KubernetesFleets(scaling.release, clock, namespace=scaling.namespace, name=scaling.name)


def build_notifier(settings: Settings, clock: Clock) -> Notifier:
    from marea.notify.webhook import WebhookNotifier

    return WebhookNotifier(settings.notify, clock)


def build_ports(
    settings: Settings, pipelines: Mapping[str, Pipeline], clock: Clock | None = None
) -> Ports:
    """The ports that every process needs."""
    clock = clock or SystemClock()
    return Ports(
        clock=clock,
        store=build_store(settings, clock),
        ledger=build_ledger(settings, clock),
        publisher=build_publisher(settings),
        pipelines=pipelines,
    )


def check_store(settings: Settings, store: ObjectStore) -> tuple[str, ...]:
    """Probe the store; its notes. Raises `ConfigError` for one that cannot keep order, and
    `StoreUnavailable` for one that is away or not prepared."""
    abilities = store.probe(settings.store.source_buckets, settings.store.results_bucket)
    if not abilities.conditional_put and not settings.store.allow_unordered:
        raise ConfigError([abilities.sentence])
    return abilities.notes


def wait_for_store(
    settings: Settings, store: ObjectStore, clock: Clock, say: Callable[[str], None]
) -> None:
    """Return once the store has passed `check_store`; `say` why it is waited for, and what
    it notes. Raises `ConfigError`.

    In a cluster all start at once: buckets and users may be made after whoever needs them.
    """
    pause_s, told = 0.5, ""
    while True:
        try:
            notes = check_store(settings, store)
        except StoreUnavailable as exc:
            if str(exc) != told:
                told = str(exc)
                say(f"waiting for the object store: {told}")
            clock.sleep(pause_s)
            pause_s = min(STORE_WAIT_MAX_S, pause_s * 2)
        else:
            for note in notes:
                say(note)
            return
