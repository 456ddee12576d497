"""`marea up`: the whole platform on one machine, servers included.

The same processes and settings as in a cluster; only the addresses differ. The main thread
starts everything and then watches, while the autoscaler sizes the pools in a thread of its own.
Ctrl-C or SIGTERM stops it in the order in which nothing is lost: the autoscaler, workers, which
finish their jobs, then the gateway and the reconciler, then the servers.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import FrameType

from marea.autoscaler.compose import build_autoscaler
from marea.clock import SystemClock
from marea.errors import ConfigError, MareaError, TransientError
from marea.scaling.backlog import PoolTarget
from marea.settings import Settings, load_settings, own_variables
from marea.storage.s3_admin import S3Admin
from marea.telemetry.logs import configure_logging
from marea.up.fleets import ProcessFleets
from marea.up.layout import (
    ADDRESSES_FILE,
    Addresses,
    BrokerKind,
    load_addresses,
    lock_folder,
    overlaid,
    write_environment,
)
from marea.up.minio_server import MinioServer, webhook_environment
from marea.up.moto_server import MotoServer
from marea.up.processes import Child
from marea.up.rabbitmq_server import RabbitMqServer
from marea.up.redis_server import RedisServer
from marea.up.scaling import ScalingThread, scaling_variables
from marea.up.servers import HOST, ServerProcess, answers_http, port_is_taken
from marea.up.tools import find_minio
from marea.up.watch import ServerWatch
from marea.wiring import build_broker, build_declarations, build_targets

Say = Callable[[str], None]

LOOK_S = 0.5
"""Between two looks at the children."""
READY_TIMEOUT_S = 60.0
PORT_WAIT_S = 10.0
"""After a SIGKILL of `marea up` its servers end by themselves; Redis and MinIO take a second."""
WORKER_GRACE_S = 30.0
"""A worker's, on top of the hard time limit of its jobs."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says."""

    folder: Path
    broker: BrokerKind = "redis"
    workers: int = 2
    """Slots of each replica."""
    max_replicas: int | None = None
    """Of each pool; None = what the variable says, else `MAX_REPLICAS`."""
    rules_file: Path | None = None
    pipelines_file: Path | None = None
    appendfsync: str = "always"


@dataclass
class Platform:
    """One running `marea up`."""

    options: UpOptions
    say: Say
    servers: list[ServerProcess] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    """Gateway and reconciler; the workers are the fleets'."""
    _fleets: ProcessFleets | None = None
    _scaling: ScalingThread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, on_ready: Callable[[dict[str, object]], None]) -> int:
        """Start, report `on_ready`, watch until told to stop; the exit status. Raises
        `ConfigError`, for mistakes in variables and files before anything is started."""
        self._targets(load_settings(self._scaled(overlaid(own_variables(), self._files()))))
        folder = self.options.folder.resolve()
        lock = lock_folder(folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        status = 0
        try:
            self._start(folder, on_ready)
            self._watch()
        finally:
            status = self._shut_down()
            lock.close()
        return status

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _start(self, folder: Path, on_ready: Callable[[dict[str, object]], None]) -> None:
        addresses = load_addresses(folder)
        self._require_ports(folder, addresses)
        redis = RedisServer(
            folder / "redis",
            addresses.redis_port,
            appendfsync="everysec" if self.options.appendfsync == "everysec" else "always",
        )
        self._serve(redis)
        rabbitmq = None
        if self.options.broker == "rabbitmq":
            rabbitmq = RabbitMqServer(folder / "rabbitmq", addresses.rabbitmq_port)
            self._serve(rabbitmq)
        store = self._start_store(folder, addresses)
        # What the caller tuned by variables holds for the children too.
        environment = self._scaled(
            overlaid(own_variables(), self._environment(addresses, redis, rabbitmq, store))
        )
        environment_file = write_environment(folder, environment)
        settings = load_settings(environment)
        declarations = build_declarations(settings)
        admin = S3Admin(store.endpoint_url, store.access_key, store.secret_key)
        for bucket in (*settings.store.source_buckets, settings.store.results_bucket):
            admin.create_bucket(bucket, versioned=True)
        build_broker(settings).declare(declarations.pools)
        fleets = self._start_children(folder, environment_file, environment)
        self._wait_for_gateway(addresses)
        if isinstance(store, MinioServer):
            for bucket in settings.store.source_buckets:
                admin.connect_bucket_events(bucket)
        on_ready(self._report(folder, environment_file, settings, store))
        self._start_scaling(folder, settings, fleets)

    def _report(
        self,
        folder: Path,
        environment_file: Path,
        settings: Settings,
        store: MinioServer | MotoServer,
    ) -> dict[str, object]:
        """What programs read when it is ready, and the banner is made of."""
        addresses = load_addresses(folder)
        return {
            "ready": True,
            "s3": {
                "endpoint_url": store.endpoint_url,
                "access_key": store.access_key,
                "secret_key": store.secret_key,
                "source_bucket": settings.store.source_buckets[0],
                "results_bucket": settings.store.results_bucket,
            },
            "api": {"url": f"http://{HOST}:{addresses.api_port}", "token": addresses.api_token},
            "store": "moto (volatile)" if store.volatile else "minio",
            "broker": self.options.broker,
            "data": str(folder),
            "environment_file": str(environment_file),
        }

    def _scaled(self, environment: dict[str, str]) -> dict[str, str]:
        """`environment` with what is said of the pools, whose names are in it."""
        settings = load_settings(environment)
        variables = scaling_variables(
            settings.autoscaler,
            build_declarations(settings).pools,
            slots=self.options.workers,
            max_replicas=self.options.max_replicas,
        )
        return overlaid(environment, variables)

    @staticmethod
    def _targets(settings: Settings) -> dict[str, PoolTarget]:
        return build_targets(settings, build_declarations(settings).pools)

    def _require_ports(self, folder: Path, addresses: Addresses) -> None:
        """Wait a little for servers of a killed predecessor; then say which ports are taken."""
        wanted = {
            "the API": addresses.api_port,
            "the store": addresses.store_port,
            "redis": addresses.redis_port,
        }
        if self.options.broker == "rabbitmq":
            wanted["rabbitmq"] = addresses.rabbitmq_port
        deadline = monotonic() + PORT_WAIT_S
        while taken := {name: port for name, port in wanted.items() if port_is_taken(port)}:
            if monotonic() > deadline or self._stop.wait(0.2):
                raise ConfigError(
                    [
                        f"port {port} for {name} is taken: stop what uses it, or write another"
                        f" into {folder / ADDRESSES_FILE}"
                        for name, port in taken.items()
                    ]
                )

    def _serve(self, server: ServerProcess) -> None:
        self.say(f"starting {server.name} on port {server.port}")
        server.start()
        self.servers.append(server)

    def _start_store(self, folder: Path, addresses: Addresses) -> MinioServer | MotoServer:
        try:
            find_minio(say=self.say)
        except MareaError as exc:
            self.say(f"{exc}; using moto instead: a demo store, volatile")
            moto = MotoServer(folder / "moto", addresses.store_port)
            self._serve(moto)
            return moto
        minio = MinioServer(folder / "minio", addresses.store_port)
        self.say(f"starting {minio.name} on port {minio.port}")
        minio.start(
            webhook_environment(
                f"http://{HOST}:{addresses.api_port}/events/s3",
                addresses.event_token,
                folder / "events",
            )
        )
        self.servers.append(minio)
        return minio

    def _environment(
        self,
        addresses: Addresses,
        redis: RedisServer,
        rabbitmq: RabbitMqServer | None,
        store: MinioServer | MotoServer,
    ) -> dict[str, str]:
        environment = {
            "MAREA_STORE__ENDPOINT_URL": store.endpoint_url,
            "MAREA_STORE__ACCESS_KEY": store.access_key,
            "MAREA_STORE__SECRET_KEY": store.secret_key,
            "MAREA_LEDGER__URL": redis.url(1),
            "MAREA_BROKER__URL": rabbitmq.url() if rabbitmq else redis.url(0),
            "MAREA_GATEWAY__PORT": str(addresses.api_port),
            "MAREA_GATEWAY__EVENT_TOKEN": addresses.event_token,
            "MAREA_GATEWAY__API_TOKENS": json.dumps({"up:read+submit+admin": addresses.api_token}),
            "MAREA_LOGS__FORMAT": "json",
        }
        if rabbitmq is not None:
            environment["MAREA_BROKER__MANAGEMENT_URL"] = rabbitmq.management_url
        if store.volatile:
            # No events from this store: the sweep is what notices an upload.
            environment["MAREA_RECONCILER__SWEEP_INTERVAL_S"] = "1"
            environment["MAREA_RECONCILER__SWEEP_GRACE_S"] = "0"
        return environment | self._files()

    def _files(self) -> dict[str, str]:
        files = {
            "MAREA_RULES_FILE": self.options.rules_file,
            "MAREA_PIPELINES_FILE": self.options.pipelines_file,
        }
        return {name: str(path.resolve()) for name, path in files.items() if path is not None}

    def _start_children(
        self, folder: Path, environment_file: Path, environment: dict[str, str]
    ) -> ProcessFleets:
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        settings = load_settings(environment)
        targets = self._targets(settings)
        # Named, or a `.marea/marea.env` of another folder's platform would be read too.
        env = ("--env", str(environment_file))

        def child(name: str) -> Child:
            return Child(name, (*env, name), environment, logs / f"{name}.log", 10.0)

        def worker(pool: str, name: str) -> Child:
            slots = str(targets[pool].slots)
            return Child(
                name,
                (*env, "worker", "--pool", pool, "--concurrency", slots),
                environment | {"MAREA_WORKER__REPLICA": name},
                logs / f"worker-{pool}.log",  # one of all its replicas: each line names its own
                settings.worker.hard_time_limit_s + WORKER_GRACE_S,
            )

        self.children = [child("gateway"), child("reconciler")]
        for each in self.children:
            self.say(f"starting {each.name}")
            each.spawn()
        fleets = self._fleets = ProcessFleets(SystemClock(), worker, self.say)
        for pool, target in targets.items():
            fleets.open(pool, target.min_replicas)
        fleets.look()
        return fleets

    def _start_scaling(self, folder: Path, settings: Settings, fleets: ProcessFleets) -> None:
        log = (folder / "logs" / "autoscaler.log").open("a", encoding="utf-8")
        configure_logging(settings.logs.level, settings.logs.format, stream=log)
        self._scaling = ScalingThread(lambda: build_autoscaler(settings, fleets), self.say)
        self._scaling.look()

    def _wait_for_gateway(self, addresses: Addresses) -> None:
        deadline = monotonic() + READY_TIMEOUT_S
        while not answers_http(addresses.api_port, "/readyz"):
            if self._stop.wait(0.1):
                return
            if monotonic() > deadline:
                raise TransientError(
                    f"the gateway was not ready within {READY_TIMEOUT_S:.0f} s; see"
                    f" {self.children[0].log_file}"
                )
            self.children[0].look(self.say)

    def _watch(self) -> None:
        """Restart what dies, servers first, until told to stop."""
        watches = [ServerWatch(server, self.say) for server in self.servers]
        while not self._stop.wait(LOOK_S):
            for watch in watches:
                watch.look()
            for each in self.children:
                each.look(self.say)
            if self._fleets is not None:
                self._fleets.look()
            if self._scaling is not None:
                self._scaling.look()

    def _shut_down(self) -> int:
        """The autoscaler first, or it would ask for more workers as they go; then workers, so
        that their last acknowledgements find a broker."""
        status = 0
        if self._scaling is not None:
            self._scaling.stop()
        workers = self._fleets.close() if self._fleets is not None else ()
        for group in (workers, self.children):
            for child in group:
                if child.pid is not None:
                    self.say(f"stopping {child.name}")
                child.terminate()
            for child in group:
                if not child.wait_stopped():
                    self.say(f"{child.name} did not stop in {child.grace_s:.0f} s: killed")
                    status = 1
        for server in reversed(self.servers):
            self.say(f"stopping {server.name}")
            server.stop()
        return status
