"""Twenty minutes of spikes on the lab under the built-in autoscaler, judged from outside.

    k8s/lab/lab up
    python tests/cluster/soak_scaling.py --minutes 20 --json soak.json --png soak.png

Uploads come by an open schedule: a spike each two minutes, and for a part of the time single ones
between them. The stand-alone checker and `marea audit` say what became of them, a watch over the
API server what became of the pods. Then the simulator plays the same arrivals, with the service
and start-up times that were measured, and has to agree with what the cluster did. The exit status
is 0 only if nothing was interrupted, missing or duplicated and both agree.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from cluster_lab import Lab  # noqa: E402
from compare_scalers import POOL, SLOTS, photos, values_of, watched  # noqa: E402
from installation import Installation, installed, tell  # noqa: E402
from pod_watch import PodLife, watched_pods  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from waiting import wait_until  # noqa: E402

from loadtest.collect import open_client  # noqa: E402
from loadtest.history import HistoryWriter  # noqa: E402
from loadtest.recorded_put import put_file  # noqa: E402
from marea.lifecycle.state import JobState  # noqa: E402
from marea.simulator.cluster import Cluster  # noqa: E402
from marea.simulator.observe import Series  # noqa: E402
from marea.simulator.picture import draw  # noqa: E402
from marea.simulator.png import to_png  # noqa: E402
from marea.simulator.runs import observe  # noqa: E402
from marea.simulator.score import percentile  # noqa: E402
from marea.simulator.trace import Job, PoolSpec, Trace  # noqa: E402

MOST, DRAIN_S = 6, 20.0
SPIKE, EVERY_S, FIRST_S = 120, 120.0, 10.0
"""Uploads of a spike, as fast as one client sends them: some 40 s of work for two cores."""
BETWEEN_S, BETWEEN = 3.0, (0.25, 0.6)
"""One upload each so often, in this part of the time: the pool is parked only in the rest."""
SEEDS = range(5)

BOUNDS: Mapping[str, tuple[float, float]] = {
    # figure: (share, least): how far apart the two may be
    "wait_p50_s": (0.35, 2.0),
    "wait_p95_s": (0.35, 4.0),
    "worker_seconds": (0.25, 0.0),
}
"""What a model of one number per start and per job can be asked for; chosen before the first run
that was compared, not fitted to it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One soak. `interrupted` is None if some pod's end was never seen."""

    uploads: int
    late_s: float
    """How far behind its schedule the client was at worst."""
    pods: int
    pods_ended: int
    ends_unseen: int
    bad_ends: dict[str, int]
    """Pod -> an exit status other than 0."""
    restarts: int
    repeated: int
    """Jobs that were started more than once, by the ledger."""
    real: dict[str, float]
    simulated: dict[str, float]
    start_median_s: float
    start_p95_s: float


def schedule(seconds: float) -> list[float]:
    """When each upload is sent, in seconds from the beginning."""
    spikes = [FIRST_S + EVERY_S * n for n in range(math.ceil((seconds - FIRST_S) / EVERY_S))]
    first, last = (seconds * share for share in BETWEEN)
    between = [first + BETWEEN_S * n for n in range(int((last - first) / BETWEEN_S))]
    return sorted([at for at in spikes for _ in range(SPIKE)] + between)


def send(run: Installation, times: Sequence[float]) -> float:
    """Upload at `times`, one by one; the most that one was late but for its place in a spike."""
    client, files, late_s = open_client(run.store), photos(), 0.0
    began = time.monotonic()
    with HistoryWriter(run.history_file) as history:
        for number, at in enumerate(times):
            pause_s = began + at - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            elif number and times[number - 1] != at:
                late_s = max(late_s, -pause_s)
            put_file(client, history, run.buckets[0], next(files))
            if number % SPIKE == 0:
                tell(f"{number} of {len(times)} uploads after {time.monotonic() - began:.0f} s")
    return late_s


def soak(lab: Lab, folder: Path, minutes: float) -> tuple[Outcome, dict[str, tuple[str, Series]]]:
    values = values_of("builtin", "burst")
    values["autoscaler"] = {"mode": "builtin", "drainSeconds": DRAIN_S}
    values["pools"][0]["scaling"] = {"maxReplicas": MOST}
    del values["settings"]  # all waits as they are by default
    kubeconfig = lab.up()
    with (
        lab.network(),
        installed(lab, "soak", folder, values) as run,
        watched_pods(kubeconfig, run.namespace) as lives,
        watched(run, 0.0) as scales,
    ):

        def is_parked() -> bool:
            return not run.pods("worker")

        wait_until(is_parked, "the pools are parked", timeout_s=150, poll_s=1)
        began = time.time()
        late_s = send(run, schedule(60 * minutes))
        run.settle(300)
        wait_until(is_parked, "the pools are parked again", timeout_s=180, poll_s=1)
        run.judge()
        rows = [row for row in run.rows() if row.job.pool == POOL]
        pods = [life for life in lives.values() if life.pool == POOL and life.added_at >= began]
    real = Series()
    fill(real, rows, pods, scales, min(row.created_at for row in rows))
    starts = sorted(life.start_s for life in pods if life.ready_at)
    cluster = Cluster(median(starts), percentile(starts, 0.95))
    trace = Trace(
        "soak",
        f"{len(rows)} uploads in {minutes:g} minutes",
        tuple(
            Job(row.created_at - began, max(0.001, row.finished_at - row.started_at), POOL)
            for row in sorted(rows, key=lambda row: row.created_at)
        ),
        (PoolSpec(POOL, SLOTS, MOST, DRAIN_S),),
    )
    played = [observe(trace, "builtin", seed, cluster) for seed in SEEDS]
    waits = sorted(row.started_at - row.created_at for row in rows)
    outcome = Outcome(
        uploads=len(rows),
        late_s=late_s,
        pods=len(pods),
        pods_ended=sum(life.gone_at > 0 for life in pods),
        ends_unseen=sum(not life.exits for life in pods if life.ready_at),
        bad_ends={life.name: code for life in pods for code in life.exits.values() if code},
        restarts=sum(life.restarts for life in pods),
        repeated=sum(row.attempts > 1 or row.suspects > 0 for row in rows),
        real={
            "wait_p50_s": percentile(waits, 0.5),
            "wait_p95_s": percentile(waits, 0.95),
            "wait_p99_s": percentile(waits, 0.99),
            "worker_seconds": sum(life.gone_at - life.added_at for life in pods),
            "actions": sum(at >= began for at, _ in scales),
        },
        simulated={
            name: median(getattr(score, name) for _, score in played)
            for name in ("wait_p50_s", "wait_p95_s", "wait_p99_s", "worker_seconds", "actions")
        },
        start_median_s=cluster.start_median_s,
        start_p95_s=cluster.start_p95_s,
    )
    runs = {
        "cluster": (about(outcome.real), real),
        "simulated": (about(outcome.simulated), played[0][0].series),
    }
    return outcome, runs


def about(figures: Mapping[str, float]) -> str:
    return (
        f"wait p50 {figures['wait_p50_s']:.1f} s, p95 {figures['wait_p95_s']:.1f} s;"
        f" {figures['worker_seconds']:.0f} worker-seconds;"
        f" {figures['actions']:.0f} changes of scale"
    )


def fill(
    series: Series,
    rows: Sequence[JobState],
    pods: Sequence[PodLife],
    scales: Sequence[tuple[float, int]],
    began: float,
) -> None:
    """What the run looked like, second by second."""
    end = max(*(row.finished_at for row in rows), *(life.gone_at for life in pods))
    for second in range(int(end - began) + 1):
        now = began + second
        series.at_s.append(float(second))
        series.arrivals.append(sum(now - 1 < row.created_at <= now for row in rows))
        series.backlog.append(sum(row.created_at <= now < row.started_at for row in rows))
        series.busy.append(sum(row.started_at <= now < row.finished_at for row in rows) / SLOTS)
        series.ready.append(sum(0 < life.ready_at <= now < (life.gone_at or end) for life in pods))
        series.wanted.append(next((size for at, size in reversed(scales) if at <= now), 0))


def differences(outcome: Outcome) -> list[str]:
    """Where cluster and simulation differ by more than the bounds."""
    found = []
    for name, (share, least) in BOUNDS.items():
        real, simulated = outcome.real[name], outcome.simulated[name]
        if abs(real - simulated) > max(share * real, least):
            found.append(f"{name}: {real:.1f} in the cluster, {simulated:.1f} simulated")
    return found


def problems(outcome: Outcome) -> list[str]:
    """What the checker and the audit, which have passed by now, do not look at."""
    found = differences(outcome)
    if outcome.bad_ends:
        found.append(f"pods that did not end by themselves: {outcome.bad_ends}")
    if outcome.ends_unseen or outcome.pods_ended != outcome.pods:
        found.append(f"the ends of {outcome.ends_unseen} pods were not seen")
    if outcome.restarts or outcome.repeated:
        found.append(f"{outcome.restarts} containers and {outcome.repeated} jobs began again")
    return found


def show(outcome: Outcome) -> None:
    table = Table(title=f"{outcome.uploads} uploads, {outcome.pods} pods")
    for name in ("", "cluster", "simulated", "may differ by"):
        table.add_column(name, justify="right" if name else "left")
    for name, value in outcome.real.items():
        share, least = BOUNDS.get(name, (0.0, 0.0))
        bound = f"{share:.0%}" + (f" or {least:g} s" if least else "") if share else "-"
        table.add_row(name, f"{value:.1f}", f"{outcome.simulated[name]:.1f}", bound)
    Console(width=100).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--png", type=Path, help="draw the cluster's run and the simulated one")
    options = parser.parse_args()
    lab = Lab()
    if not lab.is_up:
        print("the lab is not up: k8s/lab/lab up")
        return 2
    lab.load_project()
    with tempfile.TemporaryDirectory() as folder:
        outcome, runs = soak(lab, Path(folder), options.minutes)
    show(outcome)
    body: dict[str, Any] = asdict(outcome)
    if options.json:
        options.json.write_text(json.dumps(body, indent=1))
    if options.png:
        title = f"{options.minutes:g} minutes of spikes: the lab's run, and the same simulated"
        note = (
            f"{outcome.uploads} uploads; {outcome.pods} pods, ready after"
            f" {outcome.start_median_s:.1f} s in the median, {outcome.start_p95_s:.1f} s at the"
            " 95th percentile; service times as measured."
        )
        options.png.write_bytes(to_png(draw(title, note, runs)))
    found = problems(outcome)
    print("\n".join(found) or "nothing interrupted, missing or duplicated; both agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
