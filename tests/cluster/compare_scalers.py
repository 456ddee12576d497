"""The same uploads under our autoscaler and under a real KEDA, on the lab: a table.

    k8s/lab/lab up && k8s/lab/lab keda
    python tests/cluster/compare_scalers.py --json compared.json      # some 30 minutes

What is measured is read from the ledger's rows and from the Deployment as the API server has it,
not from what any scaler says of itself. Not a test: its figures are for people to compare.

`burst` and `trickle` are worked off. In `ladder` the pool may grow to 50 replicas that no node
takes: it shows only what is asked for, and when, on a machine too small for so many.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import yaml  # noqa: E402
from certificates import Authority  # noqa: E402
from cluster_lab import Lab  # noqa: E402
from external_metrics import NAME, adapter_objects  # noqa: E402
from installation import QUICK, Installation, installed  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from waiting import wait_until  # noqa: E402

from loadtest.demo.corpus import RULES_FILE, WEB_WIDTHS, CorpusFile, encoded, photo  # noqa: E402
from loadtest.history import Expected  # noqa: E402

POOL, MOST, SLOTS = "images", 6, 1
CPU = "200m"
"""Of a worker. So few that all of them together leave some of two cores to the platform: a replica
more is then so much work more, as it is on a cluster with room."""
DEPLOYMENT = f"marea-worker-{POOL}"
LOOK_S = 0.5
WATCHED_S = 100.0
"""Replicas are counted for so long from the first upload on: the same for all scalers."""
STABLE_S = 10.0
DRAIN_S, COOLDOWN_S = 20, 60
QUEUE = f"{POOL}.normal"
SCALERS = ("builtin", "keda", "keda-tuned", "keda-signal", "hpa-signal")
"""KEDA with its own trigger and defaults; tuned; and the chart's modes `keda` and `hpa`, both on
our signal. The last brings an adapter, and so needs a lab without KEDA, whose own has its place."""
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
LADDER_MOST, LADDER_S = 50, 120.0
TRACES: Mapping[str, tuple[int, float]] = {
    "burst": (180, 1000.0),
    "trickle": (45, 0.5),
    "ladder": (300, 1000.0),
}
"""Uploads, and how many come a second at most: one client sends them one by one."""


@dataclass
class Row:
    """What one scaler did with one trace. Times in seconds from the first upload."""

    scaler: str
    trace: str
    uploads: int
    steps: list[tuple[float, int]] = field(default_factory=list)
    """When the Deployment asked for how many replicas, at each change."""
    job_s: float = 0.0
    """A job's mean time from its start to its end."""
    first_start_s: float = 0.0
    drain_s: float = 0.0
    wait_p50_s: float = 0.0
    wait_p95_s: float = 0.0
    replica_s: float = 0.0
    """Replica-seconds asked for within `WATCHED_S`."""
    interrupted: int = 0

    def asked_s(self, replicas: int) -> float | None:
        """When at least so many were first asked for."""
        return next((at for at, size in self.steps if size >= replicas), None)


def namespace_of(scaler: str, trace: str) -> str:
    return f"{scaler}-{trace}"


def most_of(trace: str) -> int:
    return LADDER_MOST if trace == "ladder" else MOST


def values_of(scaler: str, trace: str) -> dict[str, Any]:
    """A pool that begins with nothing, sized by `scaler`."""
    most = most_of(trace)
    pool = {
        "name": POOL,
        "concurrency": SLOTS,
        "scaling": {"maxReplicas": most},
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
            "limits": {"cpu": CPU, "memory": "1Gi", "ephemeral-storage": "1Gi"},
        },
    }
    others = [
        {"name": "tables", "concurrency": 1},
        {"name": "quarantine", "concurrency": 1, "scaling": {"maxReplicas": 1}},
    ]
    common = {
        **QUICK,
        "rules": yaml.safe_load(RULES_FILE.read_text()),
    }
    ours = {"drainSeconds": DRAIN_S, "idleAfterSeconds": COOLDOWN_S}
    if scaler == "builtin":
        return {**common, "pools": [pool, *others], "autoscaler": {"mode": "builtin", **ours}}
    if scaler == "hpa-signal":
        return {**common, "pools": [pool, *others], "autoscaler": {"mode": "hpa", **ours}}
    if scaler == "keda-signal":
        asks = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
        return {
            **common,
            "pools": [pool, *others],
            "autoscaler": {"mode": "keda", **ours},
            "networkPolicy": {"metricsFrom": asks},
        }
    unowned = {key: value for key, value in pool.items() if key != "scaling"}
    return {
        **common,
        "pools": [{**unowned, "replicas": None}, *others],
        "autoscaler": {"mode": "none"},
        # KEDA's own trigger asks for the type of its list, which the platform's user may not.
        "valkey": {"extraConfig": f"user keda on >keda ~{QUEUE} +@connection +eval +type +llen"},
        "extraObjects": keda_objects(
            namespace_of(scaler, trace), most, is_tuned=scaler == "keda-tuned"
        ),
    }


def keda_objects(namespace: str, most: int, *, is_tuned: bool) -> list[dict[str, Any]]:
    """As its users write it: one list's length. Tuned: polled each 5 s, a pod for each job, no
    limit to how fast it grows; what workers hold it cannot see either way."""
    metadata = {"name": "images"}
    spec: dict[str, Any] = {
        "scaleTargetRef": {"name": DEPLOYMENT},
        "minReplicaCount": 0,
        "maxReplicaCount": most,
        "triggers": [
            {
                "type": "redis",
                "metadata": {
                    # It asks from its own namespace.
                    "address": f"marea-valkey.{namespace}.svc:6379",
                    "listName": QUEUE,
                    "listLength": str(SLOTS if is_tuned else 5),
                    "username": "keda",
                },
                "authenticationRef": metadata,
            }
        ],
    }
    if is_tuned:
        spec |= {"pollingInterval": 5, "cooldownPeriod": COOLDOWN_S}
        spec["advanced"] = {
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
                    },
                    "scaleDown": {"stabilizationWindowSeconds": COOLDOWN_S},
                }
            }
        }
    secret = {"parameter": "password", "name": "images", "key": "password"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"password": "keda"},
        },
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": metadata,
            "spec": {"secretTargetRef": [secret]},
        },
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata,
            "spec": spec,
        },
    ]


def photos() -> Iterator[CorpusFile]:
    """One photo under ever new names; its three sizes of WebP take 0.2 s of a core."""
    body = encoded(photo("coffee").resize((1600, 1067)), "JPEG")
    for number in itertools.count(1):
        stem = f"web/photo-{number:05}"
        sizes = tuple(
            Expected(f"{stem}_web_{width}.webp", "web", "image:*x*:RGB") for width in WEB_WIDTHS
        )
        yield CorpusFile(f"{stem}.jpg", body, "good", "web", sizes)


@contextmanager
def watched(run: Installation, began: float) -> Iterator[list[tuple[float, int]]]:
    """(seconds since `began`, replicas asked for) at each change, until the block ends."""
    seen: list[tuple[float, int]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            asked = run.replicas(POOL)
            if not seen or seen[-1][1] != asked:
                seen.append((time.time() - began, asked))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@contextmanager
def served_metrics(run: Installation, folder: Path) -> Iterator[None]:
    """An adapter for the release, which the HPA can ask. Its registration goes with it: no
    namespace could be removed while the API server waits for an adapter that is gone."""
    certificate = Authority(folder / "certificates").sign(NAME)
    *objects, service = adapter_objects(run.namespace, certificate.certificate, certificate.key)
    for each in objects:
        each["metadata"]["namespace"] = run.namespace
    run.lab.apply(*objects, service)
    try:
        run.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=60s")
        run.lab.kubectl(
            "wait", f"apiservice/{EXTERNAL_METRICS}", "--for=condition=Available", "--timeout=60s"
        )
        yield
    finally:
        run.lab.kubectl("delete", "apiservice", EXTERNAL_METRICS)


def wait_until_stable(run: Installation, count: int) -> None:
    """Until the pool has asked for `count` replicas, and had them, for some time: a scaler that has
    just been told of it may take the pool up once more."""
    since: list[float] = []

    def is_stable() -> bool:
        if run.replicas(POOL) != count or len(run.pods("worker", marea_pool=POOL)) != count:
            since.clear()
            return False
        since.append(time.monotonic())
        return since[-1] - since[0] > STABLE_S

    wait_until(is_stable, f"the pool stays at {count}", timeout_s=400, poll_s=1)


def compare(lab: Lab, scaler: str, trace: str, folder: Path) -> Row:
    count, per_s = TRACES[trace]
    with (
        installed(lab, namespace_of(scaler, trace), folder, values_of(scaler, trace)) as run,
        served_metrics(run, folder) if scaler == "hpa-signal" else nullcontext(),
    ):
        if trace == "ladder":  # not before: helm would wait for a pod that never comes
            run.kubectl(
                *("patch", f"deployment/{DEPLOYMENT}", "--patch"),
                '{"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "true"}}}}}',
            )
        least = 1 if scaler == "hpa-signal" else 0  # an HPA alone does not go lower here
        run.kubectl("scale", f"deployment/{DEPLOYMENT}", f"--replicas={least}")
        if scaler.startswith("keda"):
            run.kubectl("wait", "scaledobject", "--all", "--for=condition=Ready", "--timeout=120s")
        wait_until_stable(run, least)
        began = time.time()
        with watched(run, began) as seen:
            with run.uploads(photos(), count=count, per_s=per_s):
                pass
            if trace != "ladder":
                run.settle(400)
            while time.time() - began < (LADDER_S if trace == "ladder" else WATCHED_S):
                time.sleep(LOOK_S)
        if trace == "ladder":
            return Row(scaler, trace, count, seen)
        run.judge()
        return measure(run, scaler, trace, seen, began)


def measure(
    run: Installation, scaler: str, trace: str, seen: list[tuple[float, int]], began: float
) -> Row:
    rows = [row for row in run.rows() if row.job.pool == POOL]
    waits = sorted(row.started_at - row.created_at for row in rows)
    ends = [*seen, (max(WATCHED_S, seen[-1][0]), 0)]
    return Row(
        scaler=scaler,
        trace=trace,
        uploads=len(rows),
        steps=seen,
        job_s=sum(row.finished_at - row.started_at for row in rows) / len(rows),
        first_start_s=min(row.started_at for row in rows) - began,
        drain_s=max(row.finished_at for row in rows) - began,
        wait_p50_s=waits[len(waits) // 2],
        wait_p95_s=waits[int(len(waits) * 0.95)],
        replica_s=sum(
            size * (min(until, WATCHED_S) - at)
            for (at, size), (until, _) in pairwise(ends)
            if at < WATCHED_S
        ),
        interrupted=sum(bool(row.suspects) or row.attempts > 1 for row in rows),
    )


def show(rows: Sequence[Row]) -> None:
    worked = Table(
        title=f"Worked off by {MOST} replicas of {SLOTS} slot and {CPU} of CPU at most; replica-"
        f"seconds asked for in the first {WATCHED_S:.0f} s"
    )
    asked = Table(title="Replicas asked for, in seconds from the first upload")
    columns = (
        "uploads",
        "a job",
        "first start",
        "drained",
        "wait p50",
        "wait p95",
        "replica-s",
        "interrupted",
    )
    for table, names in ((worked, columns), (asked, ("at least 1", "half", "all", "steps"))):
        for name in ("trace", "scaler", *names):
            table.add_column(
                name, justify="left" if name in ("trace", "scaler", "steps") else "right"
            )
    for row in rows:
        if row.trace != "ladder":
            times = (row.job_s, row.first_start_s, row.drain_s, row.wait_p50_s, row.wait_p95_s)
            worked.add_row(
                *(row.trace, row.scaler, str(row.uploads)),
                *(f"{seconds:.1f} s" for seconds in times),
                *(f"{row.replica_s:.0f}", str(row.interrupted)),
            )
        most = most_of(row.trace)
        reached = [row.asked_s(count) for count in (1, most // 2, most)]
        asked.add_row(
            *(row.trace, row.scaler),
            *("never" if at is None else f"{at:.1f} s" for at in reached),
            " ".join(str(size) for _, size in row.steps),
        )
    console = Console(width=140)
    console.print(worked)
    console.print(asked)


def known_rows(file: Path | None) -> list[Row]:
    """Of an earlier run, e.g. of other scalers."""
    if file is None or not file.exists():
        return []
    return [Row(**row) for row in json.loads(file.read_text())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scaler", nargs="*", choices=SCALERS, default=SCALERS[:-1])
    parser.add_argument("--trace", nargs="*", choices=list(TRACES), default=list(TRACES))
    parser.add_argument("--json", type=Path, help="keep the rows in this file, beside those it has")
    options = parser.parse_args()
    lab = Lab()
    if not lab.is_up:
        print("the lab is not up: k8s/lab/lab up, and k8s/lab/lab keda")
        return 2
    has_keda = "keda-" in lab.kubectl("get", "apiservices")
    if any(
        (scaler == "hpa-signal") == has_keda for scaler in options.scaler if scaler != "builtin"
    ):
        print(
            "the keda scalers need a lab with KEDA (k8s/lab/lab keda), hpa-signal one without"
            " (k8s/lab/lab down, k8s/lab/lab up): choose by --scaler"
        )
        return 2
    lab.load_project()
    rows = known_rows(options.json)
    with lab.network(), tempfile.TemporaryDirectory() as folder:
        for trace in options.trace:
            for scaler in options.scaler:
                place = Path(folder, f"{scaler}-{trace}")
                place.mkdir()
                rows = [row for row in rows if (row.scaler, row.trace) != (scaler, trace)]
                rows.append(compare(lab, scaler, trace, place))
                show(rows)
                if options.json:
                    options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
