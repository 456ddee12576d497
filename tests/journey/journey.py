"""One journey: a platform as deployed, clients that upload meanwhile, and the judgement.

The platform is `marea up` as a child process, the clients are threads with boto3. Whether all
is over is seen in the listings alone; whether it is right is said by the stand-alone checker
and by `marea audit`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from journey_files import journey_files
from ledger_states import every_state

from loadtest.check import check_store
from loadtest.collect import open_client
from loadtest.demo.corpus import RULES_FILE, CorpusFile
from loadtest.evidence import VIOLATIONS
from loadtest.history import HistoryWriter, load_history
from loadtest.open_uploads import open_uploads
from loadtest.platform import Platform, Ready, run_audit
from loadtest.recorded_put import put_file
from marea.clock import SystemClock
from marea.errors import BacklogUnavailable
from marea.lifecycle.state import OPEN_PHASES, JobState
from marea.settings import Settings, load_settings
from marea.wiring import build_broker, build_declarations, build_ledger

QUICK = {
    "MAREA_WORKER__HEARTBEAT_S": "1",
    "MAREA_WORKER__LEASE_S": "3",
    "MAREA_RECONCILER__SWEEP_INTERVAL_S": "5",
    "MAREA_RECONCILER__SWEEP_GRACE_S": "2",
    "MAREA_RECONCILER__EVIDENCE_INTERVAL_S": "1",
    "MAREA_RECONCILER__REPUBLISH_BACKOFF_S": "2",
    "MAREA_RECONCILER__ACCEPTED_TIMEOUT_S": "2",
    "MAREA_WORKER__MAX_ATTEMPTS": "20",
}
"""The platform's own waits at about a fifth of their defaults, so that a run of a minute sees
what takes a quarter of an hour otherwise. As for the attempts: a child killed at random is
charged to the job it ran, as one that the job killed; three in a row are rare and not wrong."""

SETTLE_S = 60.0
"""From the last fault to the last record. The slowest thing on the way is a start of RabbitMQ
(25 s on a busy machine), then a lease and a sweep."""

LOOK_S = 0.25


def tell(text: str) -> None:
    """Progress, for whoever watches with `pytest -s`, and in the report of a failure."""
    print(f"    {time.strftime('%H:%M:%S')} {text}", flush=True)


class Journey:
    """A running platform with its history; made by `journey`."""

    def __init__(self, folder: Path, broker: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.broker = broker
        self.environment = environment
        self.history_file = folder / "history.jsonl"
        self.starts = 0
        self.platform: Platform = self._new_platform()
        self.ready: Ready

    def _new_platform(self) -> Platform:
        self.starts += 1
        return Platform(
            self.folder / "data",
            self.broker,
            RULES_FILE,
            self.folder / f"up-{self.starts}.log",
            self.environment,
        )

    def start(self) -> None:
        began = time.monotonic()
        if self.starts > 1 or hasattr(self, "ready"):
            self.platform = self._new_platform()
        with default_ports_taken():
            self.ready = self.platform.start()
        self.client = open_client(self.ready.store)
        tell(f"ready on {self.broker} after {time.monotonic() - began:.1f} s")

    @property
    def settings(self) -> Settings:
        """Those of the platform's processes."""
        return load_settings({}, env_file=self.ready.environment_file)

    @contextmanager
    def uploads(self, seed: int, *, per_s: float) -> Iterator[None]:
        """Clients upload while the block runs, `per_s` files a second at most."""
        stop = threading.Event()
        files = journey_files(seed)
        with HistoryWriter(self.history_file) as history:

            def upload() -> None:
                while not stop.wait(1.0 / per_s):
                    self._put(next(files), history)

            client = threading.Thread(target=upload)
            client.start()
            try:
                yield
            finally:
                stop.set()
                client.join()

    def upload(self, seed: int, count: int) -> None:
        """Upload `count` files, one after the other."""
        files = journey_files(seed)
        with HistoryWriter(self.history_file) as history:
            for _ in range(count):
                self._put(next(files), history)

    def _put(self, file: CorpusFile, history: HistoryWriter) -> None:
        put_file(self.client, history, self.ready.source_bucket, file)

    def open_uploads(self) -> list[str]:
        """Listed versions that have no record yet, as `key@version`."""
        history = load_history(self.history_file)
        ready = self.ready
        return open_uploads(self.client, history, ready.source_bucket, ready.results_bucket)

    def _open_uploads_once_listed(self) -> list[str]:
        """The store may still be on its way back."""
        try:
            return self.open_uploads()
        except (BotoCoreError, ClientError) as exc:
            return [f"unknown: {exc}"]

    def settle(self, timeout_s: float = SETTLE_S) -> float:
        """Wait until every listed upload has its record, and then until the platform itself
        holds nothing open; seconds that the former took."""
        began = time.monotonic()
        told_at = began
        while still_open := self._open_uploads_once_listed():
            waited_s = time.monotonic() - began
            assert waited_s < timeout_s, (
                f"{len(still_open)} uploads have no record after {waited_s:.0f} s:"
                f" {', '.join(still_open[:10])}; {self.unfinished()}"
            )
            if time.monotonic() - told_at > 5:
                told_at = time.monotonic()
                tell(f"{len(still_open)} uploads still open, e.g. {still_open[0]}")
            self.platform.require_alive()
            time.sleep(LOOK_S)
        took_s = time.monotonic() - began
        tell(f"every upload had its record after {took_s:.1f} s")
        self._wait_until_idle(timeout_s)
        return took_s

    def _wait_until_idle(self, timeout_s: float) -> None:
        """No open row, no message: nothing is stuck, and nobody will write any more."""
        began = time.monotonic()
        while (left := self.unfinished()) and time.monotonic() - began < timeout_s:
            time.sleep(LOOK_S)
        assert not left, f"every upload has its record, yet after {timeout_s:.0f} s: {left}"
        tell(f"nothing was open any more after another {time.monotonic() - began:.1f} s")

    def unfinished(self) -> dict[str, object]:
        """What is not over for the platform itself: jobs by phase, messages by queue."""
        ledger = build_ledger(self.settings, SystemClock())
        jobs = {phase: n for phase, n in ledger.phase_counts().items() if n}
        left: dict[str, object] = {phase: jobs[phase] for phase in OPEN_PHASES if phase in jobs}
        try:
            depths = build_broker(self.settings).depths(build_declarations(self.settings).pools)
        except BacklogUnavailable as exc:
            return {"queues": str(exc), **left}
        held = {name: depth for name, depth in depths.items() if depth.ready or depth.unacked}
        return {**left, **held}

    def judge(self) -> None:
        """The checker's and the audit's verdict; fails the test unless both are clean."""
        status, audit, complaint = run_audit(self.ready.environment_file)
        verdict = check_store(
            load_history(self.history_file),
            self.ready.store,
            source_buckets=[self.ready.source_bucket],
            results_bucket=self.ready.results_bucket,
        )
        counts = verdict.summary()
        tell(
            f"checker: {verdict.acknowledged} uploads acknowledged, {verdict.recovered}"
            f" recovered, {verdict.checked} versions and {verdict.results} results checked: "
            + ", ".join(f"{kind} {counts[kind]}" for kind in (*VIOLATIONS, "vanished"))
        )
        tell(f"audit: {audit}")
        tell(self.effort())
        assert verdict.is_valid, counts["findings"][:20]
        assert not counts["vanished"], counts["findings"][:20]
        assert status == 0, f"{audit} {complaint}"
        assert (audit["missing"], audit["duplicates"]) == (0, 0), audit
        assert audit["classes"]["in_flight"] == 0, audit

    def effort(self) -> str:
        """What the faults cost, by the ledger's rows and the workers' logs."""
        rows = self.rows()
        lost = sum(row.suspects for row in rows)
        charged = sum(max(0, row.attempts - 1) for row in rows)
        copies = sum(max(0, row.publishes - 1) for row in rows)
        return (
            f"{len(rows)} jobs in the ledger: started again {lost} times after the loss of a"
            f" worker and {charged} of a child, published again {copies} times;"
            f" deliveries: {dict(self.deliveries())}"
        )

    def rows(self) -> list[JobState]:
        """Every job that the ledger knows."""
        return every_state(build_ledger(self.settings, SystemClock()))

    def deliveries(self) -> Counter[str]:
        """How the workers' deliveries ended, from their logs."""
        ends: Counter[str] = Counter()
        for log in (self.folder / "data" / "logs").glob("worker-*.log"):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    if "seconds" in entry and entry["event"].startswith("job "):
                        ends[entry["event"].removeprefix("job ")] += 1
        return ends

    def stop(self) -> int:
        """As Ctrl-C; the exit status."""
        return self.platform.stop()


@contextmanager
def default_ports_taken() -> Iterator[None]:
    """Makes `marea up` choose ports of its own: between a stop and a new start another one on
    this machine may take the default ones."""
    with contextlib.ExitStack() as held:
        for port in (8080, 9000):
            listener = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
        yield


@contextmanager
def kept_folder(session: pytest.Session) -> Iterator[Path]:
    """A folder for data and logs; left behind, and named, if a test fails meanwhile.

    Not pytest's own, which the rabbitmq user cannot reach.
    """
    folder = Path(tempfile.mkdtemp(prefix="marea-journey-"))
    folder.chmod(0o755)
    failed_before = session.testsfailed
    yield folder
    if session.testsfailed > failed_before:
        tell(f"data and logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def journey(
    folder: Path, broker: str, environment: Mapping[str, str] | None = None
) -> Iterator[Journey]:
    """A started platform, stopped at the end as by Ctrl-C, which must go well."""
    run = Journey(folder, broker, QUICK if environment is None else environment)
    try:
        run.start()
        yield run
    except BaseException:
        run.stop()
        raise
    began = time.monotonic()
    status = run.stop()
    tell(f"stopped after {time.monotonic() - began:.1f} s with status {status}")
    assert status == 0, (folder / f"up-{run.starts}.log").read_text()[-3000:]
