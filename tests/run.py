"""Runs all tests in stages, each a pytest of its own with a time budget that is shown.

Called by `make test`; `python tests/run.py unit flow` runs some. A stage over its budget is
named as such; at three times its budget, or when the whole run is out of time, it is stopped and
has failed. Later stages run whatever an earlier one found. The last line adds up all stages
in the form of a pytest summary.

Some stages run beside the others, which mostly wait for servers; what they print is shown when
they are over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO
from xml.etree import ElementTree

from marea.errors import ConfigError
from marea.up import tools

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LAB = ROOT / "k8s" / "lab" / "lab"
RUN_LIMIT_S = 62 * 60
"""A run that takes longer is stopped here. What is found, installed or compiled before the first
stage is not counted: 21 minutes on the slowest machine so far, of the 90 that CI has."""
STOP_FACTOR = 3
"""Of its budget a stage is stopped as one that hangs. Two were not enough: machines of the same
kind differ by half, and the unit tests, beside others there, took 282, 343 and more than 360 s of
their 180."""
STOP_GRACE_S = 30
LOOK_S = 1.0
"""Between two looks at whether the whole run is over."""
NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Stage:
    """A folder of tests. Budgets leave room above what a 2-core VM needed."""

    name: str
    budget_s: int
    about: str


STAGES = (
    Stage("unit", 180, "one module at a time, in memory"),
    Stage("contract", 300, "one suite per port: the double and the real server"),
    Stage("chart", 180, "the Helm chart, rendered: valid, safe, and as the design has it"),
    Stage("simulation", 240, "procedures crashed at every step; the autoscaler beside others"),
    Stage("integration", 480, "real servers, one seam at a time"),
    Stage("flow", 240, "several parts together"),
    Stage("journey", 420, "from upload to result, processes and servers as deployed"),
    Stage("cluster", 960, "helm install on a real Kubernetes"),
)


BESIDE = ("unit", "contract", "chart", "simulation")
"""They compare no speeds, and where they wait for a server they leave it seconds, so that company
does not disturb them."""


@dataclass
class Outcome:
    """How a stage went."""

    stage: Stage
    seconds: float
    status: int
    counts: Counter[str] = field(default_factory=Counter)
    note: str = ""

    @property
    def failed(self) -> bool:
        return self.status != 0


def main(names: list[str]) -> int:
    known = {stage.name: stage for stage in STAGES}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such stage: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    stages = [known[name] for name in names] or list(STAGES)
    if not find_servers(required=is_ci()):
        return 1
    if known["chart"] in stages:
        prepare_tools()
    if known["cluster"] in stages:
        prepare_lab()
    started = monotonic()
    outcomes = run_stages(stages, deadline=started + RUN_LIMIT_S)
    report(outcomes, monotonic() - started)
    return int(any(outcome.failed for outcome in outcomes))


def run_stages(stages: list[Stage], deadline: float) -> list[Outcome]:
    """All of them, in their order; those of BESIDE at the same time as the others."""
    beside = [stage for stage in stages if stage.name in BESIDE]
    others = [stage for stage in stages if stage.name not in BESIDE]
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="marea-beside-") as folder,
        ThreadPoolExecutor(1) as lane,
    ):

        def aside(stage: Stage) -> Outcome:
            with (Path(folder) / stage.name).open("wb") as out:
                return run_stage(stage, deadline, over, out)

        futures = {stage: lane.submit(aside, stage) for stage in beside}
        shown: dict[Stage, Outcome] = {}

        def show(stage: Stage) -> None:
            shown[stage] = futures[stage].result()
            headline(stage)
            print((Path(folder) / stage.name).read_text(errors="replace"), flush=True)
            say(f"{stage.name}: {describe(shown[stage])}")

        try:
            for stage in others:
                headline(stage)
                shown[stage] = run_stage(stage, deadline, over)
                say(f"{stage.name}: {describe(shown[stage])}")
                for done in beside:
                    if done not in shown and futures[done].done():
                        show(done)
            for left in beside:
                if left not in shown:
                    show(left)
        except KeyboardInterrupt:
            over.set()
            raise
    return [shown[stage] for stage in stages]


def headline(stage: Stage) -> None:
    say(f"{stage.name}: {stage.about} (budget {stage.budget_s} s)")


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def say(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def find_servers(*, required: bool) -> bool:
    """Find or install each server before the clock of any stage runs."""
    say("servers: found, or installed where that is possible")
    finders: tuple[tuple[str, Callable[[], Path]], ...] = (
        ("redis", tools.find_redis),
        ("rabbitmq", tools.find_rabbitmq),
        ("minio", tools.find_minio),
    )
    complete = True
    for name, find in finders:
        try:
            print(f"{name:10} {find()}", flush=True)
        except ConfigError as exc:
            complete = False
            print(f"{name:10} {exc}", flush=True)
    if not complete:
        print("CI must have every server" if required else "tests that need these are skipped")
    return complete or not required


def prepare_tools() -> None:
    """Compile the chart's tools: once per machine, a minute or two. What fails here is told again
    by the test that needs it."""
    say("tools: found, or compiled (some minutes on a new machine)")
    for name in ("helm", "kube-score", "helm-docs"):
        subprocess.run([LAB, "tool", name])


def prepare_lab() -> None:
    """Compile and build what the lab is made of, where it can run: once per machine.

    What fails here is told again, and counted, by the stage's own fixture.
    """
    say("lab: compiled and built, where this machine can run it (10 minutes on a new machine)")
    if subprocess.run([LAB, "check"]).returncode == 0:
        for command in ("build", "images"):
            if subprocess.run([LAB, command]).returncode:
                return


def run_stage(
    stage: Stage, deadline: float, over: threading.Event, out: IO[bytes] | None = None
) -> Outcome:
    """One pytest process in its own group, stopped when it takes far too long or all is `over`.

    It prints to `out`, or where this process does.
    """
    limit_s = min(STOP_FACTOR * stage.budget_s, deadline - monotonic())
    if limit_s <= 0 or over.is_set():
        return Outcome(stage, 0.0, 1, note="not run: the whole run is out of time")
    started = monotonic()
    with tempfile.TemporaryDirectory(prefix="marea-stage-") as folder:
        junit = Path(folder) / "junit.xml"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--durations=10",
                "--durations-min=1",
                f"--junitxml={junit}",
                str(TESTS / stage.name),
            ],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        note = ""
        try:
            status = wait(process, limit_s, over)
        except subprocess.TimeoutExpired:
            note = f"stopped after {monotonic() - started:.0f} s"
            stop(process)
            status = 1
        except KeyboardInterrupt:
            stop(process)
            raise
        if status == NOTHING_COLLECTED:
            note = "no tests found"
        return Outcome(stage, monotonic() - started, status, count(junit), note)


def wait(process: subprocess.Popen[bytes], limit_s: float, over: threading.Event) -> int:
    """Its exit status. Raises TimeoutExpired after `limit_s`, or once all is `over`."""
    deadline = monotonic() + limit_s
    while True:
        left_s = 0.0 if over.is_set() else deadline - monotonic()
        try:
            return process.wait(max(0.0, min(left_s, LOOK_S)))
        except subprocess.TimeoutExpired:
            if left_s <= LOOK_S:
                raise


def stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C, so that servers are ended too; then by force."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def count(junit: Path) -> Counter[str]:
    """Tests by outcome, in pytest's words, of what the stage wrote (nothing if it was killed)."""
    counts: Counter[str] = Counter()
    if not junit.exists():
        return counts
    for case in ElementTree.parse(junit).iter("testcase"):
        kinds = {child.tag for child in case}
        if "failure" in kinds:
            counts["failed"] += 1
        elif "error" in kinds:
            counts["error"] += 1
        elif "skipped" in kinds:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts


def describe(outcome: Outcome) -> str:
    parts = [words(outcome.counts), f"in {outcome.seconds:.0f} s of {outcome.stage.budget_s} s"]
    if outcome.seconds > outcome.stage.budget_s:
        parts.append("- OVER BUDGET")
    if outcome.note:
        parts.append(f"- {outcome.note}")
    return " ".join(parts)


def words(counts: Counter[str]) -> str:
    order = ("failed", "passed", "skipped", "error")
    told = [f"{counts[kind]} {kind}" for kind in order if counts[kind]]
    if counts["error"] > 1:
        told[-1] += "s"
    return ", ".join(told) or "no tests ran"


def report(outcomes: list[Outcome], seconds: float) -> None:
    say("all stages")
    for outcome in outcomes:
        verdict = "FAILED" if outcome.failed else "ok"
        print(f"{outcome.stage.name:12} {verdict:7} {describe(outcome)}")
    total: Counter[str] = sum((outcome.counts for outcome in outcomes), Counter())
    for outcome in outcomes:
        if outcome.failed and not (outcome.counts["failed"] or outcome.counts["error"]):
            total["error"] += 1  # stopped, or found no tests: no test of its own failed
    minutes, rest = divmod(round(seconds), 60)
    print(f"\n{f' {words(total)} in {seconds:.2f}s (0:{minutes:02}:{rest:02}) ':=^80}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
