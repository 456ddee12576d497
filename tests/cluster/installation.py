"""One `helm install` of the chart on the lab, seen as its users and operators see it.

The tests' own process enters the cluster's network, so it uploads to the bucket's Service and
reads the ledger like any client. What is right is said by the stand-alone checker and by
`marea audit` run in the cluster.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from botocore.exceptions import BotoCoreError, ClientError
from cluster_lab import CommandFailed, Lab
from ledger_states import every_state
from waiting import wait_until

from loadtest.check import check_store
from loadtest.collect import StoreAddress, open_client
from loadtest.demo.corpus import RULES_FILE, CorpusFile
from loadtest.evidence import VIOLATIONS
from loadtest.history import HistoryWriter, load_history
from loadtest.open_uploads import open_uploads
from loadtest.recorded_put import put_file
from marea.clock import SystemClock
from marea.errors import MareaError
from marea.lifecycle.state import OPEN_PHASES, JobState
from marea.settings import Settings, load_settings
from marea.wiring import build_broker, build_declarations, build_ledger

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "marea"
INSTALL_TIMEOUT_S = 240
LOOK_S = 0.25

QUICK: dict[str, Any] = {
    # Pools of one pod each: what is tried here is not their size.
    "autoscaler": {"mode": "none"},
    "settings": {
        "worker": {"heartbeat_s": 1, "lease_s": 5, "max_attempts": 20},
        "reconciler": {
            "sweep_interval_s": 5,
            "sweep_grace_s": 2,
            "evidence_interval_s": 1,
            "republish_backoff_s": 2,
            "accepted_timeout_s": 2,
        },
    },
}
"""The platform's own waits at a fraction of their defaults, so that minutes see what takes a
quarter of an hour otherwise."""


def tell(text: str) -> None:
    """Progress, for whoever watches with `pytest -s`, and in the report of a failure."""
    print(f"    {time.strftime('%H:%M:%S')} {text}", flush=True)


class Installation:
    """A release, in a namespace of its own that admits only `restricted` pods."""

    def __init__(
        self, lab: Lab, namespace: str, folder: Path, *, external_store: StoreAddress | None = None
    ) -> None:
        """`external_store`: with a key that may do everything there; None = the bundled one."""
        self.lab = lab
        self.namespace = namespace
        self.release = "marea"
        self.folder = folder
        self.history_file = folder / "history.jsonl"
        self.installed_at = 0.0
        self._external_store = external_store
        self._values: dict[str, Any] = {}

    # helm

    def create_namespace(self) -> None:
        self.lab.kubectl("create", "namespace", self.namespace)
        self.lab.kubectl(
            *("label", "namespace", self.namespace),
            "pod-security.kubernetes.io/enforce=restricted",
        )

    def create_secret(self, name: str, texts: Mapping[str, str]) -> None:
        literals = [f"--from-literal={key}={text}" for key, text in texts.items()]
        self.kubectl("create", "secret", "generic", name, *literals)

    def install(self, values: Mapping[str, Any], *, wait: bool = True) -> None:
        """Install; with `wait`, return once helm says that everything is ready."""
        waiting = ("--wait", f"--timeout={INSTALL_TIMEOUT_S}s") if wait else ()
        self.installed_at = time.monotonic()
        self._helm("install", values, *waiting)
        tell(f"{self.namespace}: installed after {time.monotonic() - self.installed_at:.1f} s")

    def upgrade(self, values: Mapping[str, Any]) -> None:
        began = time.monotonic()
        self._helm("upgrade", values, "--wait", f"--timeout={INSTALL_TIMEOUT_S}s")
        tell(f"{self.namespace}: upgraded after {time.monotonic() - began:.1f} s")

    def rollback(self) -> None:
        began = time.monotonic()
        self.lab.helm(
            *("rollback", self.release, "--namespace", self.namespace),
            *("--wait", f"--timeout={INSTALL_TIMEOUT_S}s"),
        )
        tell(f"{self.namespace}: rolled back after {time.monotonic() - began:.1f} s")

    def test(self) -> str:
        """`helm test`, which removes its pod once that has succeeded; what it says."""
        return self.lab.helm("test", self.release, "--namespace", self.namespace, "--timeout=180s")

    def uninstall(self) -> None:
        self.lab.helm(
            *("uninstall", self.release, "--namespace", self.namespace),
            *("--wait", "--timeout=240s"),
        )

    def remove(self) -> None:
        """The namespace with all that is in it, volume claims too."""
        self.lab.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def _helm(self, verb: str, values: Mapping[str, Any], *more: str) -> None:
        self._values = dict(values)
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(self._values))
        self.lab.helm(
            *(verb, self.release, str(CHART), "--namespace", self.namespace),
            *("--values", str(self.lab.values_file), "--values", str(file), *more),
        )

    # the cluster

    def kubectl(self, *arguments: str) -> str:
        return self.lab.kubectl("--namespace", self.namespace, *arguments)

    def objects(self, kinds: str, *more: str) -> list[dict[str, Any]]:
        items = json.loads(self.kubectl("get", kinds, *more, "--output=json"))["items"]
        return list(items)

    def names(self, kinds: str) -> set[str]:
        """`kind/name` of each."""
        return {f"{each['kind']}/{each['metadata']['name']}" for each in self.objects(kinds)}

    def pods(self, component: str, **labels: str) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/component={component}" + "".join(
            f",{name.replace('_', '/')}={text}" for name, text in labels.items()
        )
        return self.objects("pods", f"--selector={selector}")

    def replicas(self, pool: str) -> int:
        """What the pool's Deployment asks for."""
        return int(
            self.kubectl(
                *("get", f"deployment/{self.release}-worker-{pool}"),
                "--output=jsonpath={.spec.replicas}",
            )
        )

    def secret(self, name: str, key: str) -> str:
        found = json.loads(self.kubectl("get", "secret", name, "--output=json"))["data"][key]
        return base64.b64decode(found).decode()

    def address(self, service: str) -> str:
        """The address of a Service, as its clients in the cluster reach it."""
        return self.kubectl("get", "service", service, "--output=jsonpath={.spec.clusterIP}")

    def marea(self, *arguments: str) -> str:
        """A `marea` command in the reconciler's pod, as the notes tell operators to."""
        return self.kubectl(
            *("exec", f"deployment/{self.release}-reconciler", "--", "marea", *arguments)
        )

    def notes(self) -> str:
        return self.lab.helm("get", "notes", self.release, "--namespace", self.namespace)

    def wait_for_log(self, component: str, text: str, timeout_s: float = 60.0) -> None:
        """Until a pod of `component` has said `text`."""
        selector = f"app.kubernetes.io/component={component}"

        def is_said() -> bool:
            try:
                return text in self.kubectl("logs", f"--selector={selector}", "--tail=-1")
            except CommandFailed:  # its container is being made
                return False

        wait_until(is_said, f"{component} says {text!r}", timeout_s=timeout_s, poll_s=LOOK_S)

    def gateway_readiness(self) -> str:
        """What `/readyz` of a gateway's pod answers: the Service leads to ready ones alone."""
        pod = self.pods("gateway")[0]
        port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
        url = f"http://{pod['status']['podIP']}:{port}/readyz"
        return str(httpx.get(url, timeout=10).text)

    # a client

    @property
    def buckets(self) -> tuple[str, str]:
        """Source and results."""
        store = self._values.get("store", {})
        return (
            store.get("sourceBuckets", ["uploads"])[0],
            store.get("resultsBucket", "results"),
        )

    @property
    def store(self) -> StoreAddress:
        """With the key that people upload with."""
        return self._external_store or StoreAddress(
            f"http://{self.address('marea-store')}:9000",
            "marea-uploader",
            self.secret("marea-store", "uploader"),
        )

    @property
    def root_store(self) -> StoreAddress:
        """With the administrator's key: the checker lists and reads everything."""
        return self._external_store or StoreAddress(
            f"http://{self.address('marea-store')}:9000",
            self.secret("marea-store", "root-user"),
            self.secret("marea-store", "root-password"),
        )

    @property
    def settings(self) -> Settings:
        """Those of the platform, with addresses that this process can reach."""
        valkey = f"redis://{self.address('marea-valkey')}:6379"
        password = self.secret("marea-valkey", "password")
        broker = {"url": valkey.replace("://", "://marea@") + "/0", "password": password}
        if self._values.get("broker", {}).get("kind") == "rabbitmq":
            host = self.address("marea-rabbitmq")
            broker = {
                "url": f"amqp://marea@{host}:5672/marea",
                "management_url": f"http://marea@{host}:15672",
                "password": self.secret("marea-rabbitmq", "password"),
            }
        return load_settings(
            {},
            overrides={
                "broker": broker,
                "ledger": {
                    "url": valkey.replace("://", "://marea@") + "/1",
                    "password": password,
                },
                "rules_file": str(RULES_FILE),
            },
        )

    def upload(self, files: Iterator[CorpusFile], count: int) -> None:
        """Upload `count` files, one after the other."""
        client = open_client(self.store)
        with HistoryWriter(self.history_file) as history:
            for _ in range(count):
                put_file(client, history, self.buckets[0], next(files))

    @contextmanager
    def uploads(self, files: Iterator[CorpusFile], *, count: int, per_s: float) -> Iterator[None]:
        """Clients upload `count` files while the block runs, `per_s` a second at most; all of
        them are up when it ends."""
        client = open_client(self.store)

        def upload(history: HistoryWriter) -> None:
            began = time.monotonic()
            for number in range(count):
                pause_s = began + number / per_s - time.monotonic()
                if pause_s > 0:
                    time.sleep(pause_s)
                put_file(client, history, self.buckets[0], next(files))

        with HistoryWriter(self.history_file) as history:
            thread = threading.Thread(target=upload, args=(history,))
            thread.start()
            try:
                yield
            finally:
                thread.join()

    # the end

    def open_uploads(self) -> list[str]:
        """Listed versions that have no record yet, as `key@version`, by the listings alone."""
        history = load_history(self.history_file)
        return open_uploads(open_client(self.root_store), history, *self.buckets)

    def settle(self, timeout_s: float) -> float:
        """Wait until every upload has its record and the platform holds nothing open; the
        seconds that the former took."""
        began = time.monotonic()
        while still_open := self._answered(self.open_uploads):
            assert time.monotonic() - began < timeout_s, (
                f"{len(still_open)} uploads have no record after {timeout_s:.0f} s, e.g."
                f" {still_open[:5]}; {self._answered(self.unfinished)}"
            )
            time.sleep(LOOK_S)
        took_s = time.monotonic() - began
        is_asked = not self._external_store and self._has_own_ledger
        while left := self._answered(self.unfinished) if is_asked else []:
            assert time.monotonic() - began < timeout_s, f"every upload has its record, yet: {left}"
            time.sleep(LOOK_S)
        tell(f"{self.namespace}: every upload had its record after {took_s:.1f} s")
        return took_s

    @staticmethod
    def _answered(question: Callable[[], list[str]]) -> list[str]:
        """The answer, or why there is none yet: a server may be on its way back."""
        try:
            return question()
        except (BotoCoreError, ClientError, MareaError) as exc:
            return [f"unknown: {exc}"]

    @property
    def _has_own_ledger(self) -> bool:
        return bool(self._values.get("ledger", {}).get("kind") != "external")

    def unfinished(self) -> list[str]:
        """What is not over for the platform itself: jobs by phase, messages by queue."""
        jobs = build_ledger(self.settings, SystemClock()).phase_counts()
        depths = build_broker(self.settings).depths(build_declarations(self.settings).pools)
        return [f"{jobs[phase]} {phase}" for phase in OPEN_PHASES if jobs.get(phase)] + [
            f"{name}: {depth}" for name, depth in depths.items() if depth.ready or depth.unacked
        ]

    def rows(self) -> list[JobState]:
        """Every job that the ledger knows."""
        return every_state(build_ledger(self.settings, SystemClock()))

    def judge(self) -> None:
        """The checker's and the audit's verdict; fails the test unless both are clean."""
        verdict = check_store(
            load_history(self.history_file),
            self.root_store,
            source_buckets=[self.buckets[0]],
            results_bucket=self.buckets[1],
        )
        counts = verdict.summary()
        tell(
            f"{self.namespace}: checker: {verdict.acknowledged} uploads acknowledged,"
            f" {verdict.checked} versions and {verdict.results} results checked: "
            + ", ".join(f"{kind} {counts[kind]}" for kind in (*VIOLATIONS, "vanished"))
        )
        audit = json.loads(self.marea("audit", "--json"))
        tell(f"{self.namespace}: audit: {audit}")
        assert verdict.is_valid, counts["findings"][:20]
        assert not counts["vanished"], counts["findings"][:20]
        assert (audit["missing"], audit["duplicates"]) == (0, 0), audit


@contextmanager
def installed(
    lab: Lab, namespace: str, folder: Path, values: Mapping[str, Any]
) -> Iterator[Installation]:
    """An installation in a namespace of its own, which is gone afterwards."""
    run = Installation(lab, namespace, folder)
    run.create_namespace()
    try:
        run.install(values)
        yield run
    finally:
        run.remove()
