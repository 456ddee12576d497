"""Where a job's milliseconds go: real uploads, one at a time, through a worker that is watched.

python -m loadtest.bench.profile                            picture and figures in bench-out
python -m loadtest.bench.profile --page docs/profile.md     and into the page

A photo through `grayscale` and a kilobyte through `copy` take turns on the real servers and the
real processes. Nothing else runs, so this is what a job takes, not how many fit into a second;
for that see `python -m loadtest.bench images small`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from loadtest.bench import draining
from loadtest.bench.broker_watch import BrokerWatch, watching
from loadtest.bench.corpus import draw_photo
from loadtest.bench.pages import Place
from loadtest.bench.spans import JobTimes, Profile, Seen, Trace, join, profile, to_markdown
from loadtest.bench.traced_worker import TRACE_FILE
from loadtest.bench.waterfall import draw
from loadtest.bench.world import BenchError, World, world
from loadtest.machine import describe_machine
from marea.clock import SystemClock
from marea.errors import MareaError
from marea.settings import load_settings
from marea.storage.s3_admin import MINIO_DIRECT
from marea.wiring import build_ledger

UPLOADS = 40
WARM_UP = 8
"""Uploads per pipeline that are not counted: connections, imports, caches."""
RESULTS = "results"
SEED = 20
BEGIN, END = "<!-- profile: begin -->", "<!-- profile: end -->"
PICTURE = "profile.png"
PICTURE_COLOURS = 64
"""Flat bars and smooth letters need no more, and the file is a third."""
LINES = "profile.jsonl"
JOB_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What is uploaded, and through which pipeline of the same name as its folder."""

    title: str
    pipeline: str
    suffix: str
    body: bytes

    def key(self, label: str, index: int) -> str:
        return f"{self.pipeline}/{label}-{index:04}.{self.suffix}"


@dataclass(frozen=True, slots=True)
class Put:
    """The client's own view of an upload, in seconds since the epoch."""

    began: float
    ended: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if it could not be measured, 2 for unusable arguments."""
    options = _parser().parse_args(arguments)
    if options.uploads < 2:
        print("error: --uploads must be at least 2", file=sys.stderr)
        return 2
    if options.page is not None:
        try:
            Place(BEGIN, END).parts(options.page)
        except (OSError, ValueError) as exc:
            print(f"error: {exc}", file=sys.stderr)
            return 2
    load = os.getloadavg()[0]
    try:
        with world() as servers:
            jobs = measure(servers, options.uploads, lambda text: print(text, file=sys.stderr))
    except (BenchError, MareaError, OSError) as exc:
        print(f"error: it could not be measured: {exc}", file=sys.stderr)
        return 1
    machine = {**describe_machine(), "load_before": round(load, 1)}
    profiles = [profile(title, times) for title, times in jobs.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"machine": machine})]
    lines += [json.dumps({"title": title, **asdict(t)}) for title, ts in jobs.items() for t in ts]
    (options.out / LINES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture = (options.out if options.page is None else options.page.parent / "images") / PICTURE
    picture.parent.mkdir(exist_ok=True)
    drawn = draw(profiles, f"{machine['cores']} cores, {machine['cpu']}")
    drawn.quantize(PICTURE_COLOURS).save(picture, optimize=True)
    if options.page is not None:
        write_page(options.page, machine, profiles)
    if options.json:
        print(json.dumps({"machine": machine, "profiles": [asdict(each) for each in profiles]}))
    else:
        print("\n\n".join("\n".join(to_markdown(each)) for each in profiles))
    print(f"picture: {picture}, jobs: {options.out / LINES}", file=sys.stderr)
    return 0


def measure(
    servers: World, uploads: int, say: Callable[[str], None]
) -> Mapping[str, list[JobTimes]]:
    """Times of `uploads` jobs of each kind, by title. Raises `BenchError`."""
    random = Random(SEED)
    kinds = (
        Kind(
            "JPEG of 1.9 megapixels through grayscale",
            "grayscale",
            "jpg",
            draw_photo((1600, 1200), random),
        ),
        Kind("1 KB through copy", "copy", "bin", random.randbytes(1024)),
    )
    servers.make_buckets(draining.UPLOADS, RESULTS)
    trace_file = servers.folder / "trace.jsonl"
    environment = draining.marea_environment(
        servers, RESULTS, {kind.pipeline: kind.pipeline for kind in kinds}
    )
    environment |= {
        "MAREA_WORKER__POOL": draining.MAREA_POOL,
        "MAREA_WORKER__CONCURRENCY": str(draining.SLOTS),
        TRACE_FILE: str(trace_file),
    }
    with ExitStack() as stack:
        stack.enter_context(servers.marea(environment, "gateway"))
        stack.enter_context(servers.marea(environment, "reconciler"))
        command = [sys.executable, "-m", "loadtest.bench.traced_worker"]
        worker = stack.enter_context(servers.running("traced-worker", command, environment))
        worker.wait_until(lambda: '"worker starts"' in worker.log, "the worker starts")
        servers.admin.connect_bucket_events(draining.UPLOADS, [MINIO_DIRECT])
        watch = stack.enter_context(watching(servers.redis.url(0)))
        puts: dict[str, Put] = {}
        for label, count in (("warm-up", WARM_UP), ("counted", uploads)):
            say(f"{label}: {count} uploads of each kind")
            for index in range(count):
                for kind in kinds:
                    puts[kind.key(label, index)] = _upload(servers, watch, kind, label, index)
        stored_at = draining.listing(servers, draining.UPLOADS)
        made_at = draining.listing(servers, RESULTS)
        traces = _read_traces(trace_file)
        ledger = build_ledger(load_settings(environment), SystemClock())
        rows = ledger.load_many([trace.job_id for trace in traces.values()])
        found: dict[str, list[JobTimes]] = {kind.title: [] for kind in kinds}
        for kind in kinds:
            for key in (kind.key("counted", index) for index in range(uploads)):
                trace, put = traces[key], puts[key]
                (result,) = draining.catalog_results(None, kind.pipeline, key)
                seen = Seen(
                    put.began,
                    put.ended,
                    stored_at[key],
                    rows[trace.job_id].created_at,
                    watch.pushed_at[trace.job_id],
                    watch.taken_at[trace.job_id],
                    watch.acknowledged_at[trace.job_id],
                    made_at[result],
                )
                found[kind.title].append(join(seen, trace))
    return found


def _upload(servers: World, watch: BrokerWatch, kind: Kind, label: str, index: int) -> Put:
    """One upload, until its job is acknowledged. Raises `BenchError`."""
    key = kind.key(label, index)
    expected = len(watch.acknowledged_at) + 1
    began = time.time()
    servers.s3.put_object(Bucket=draining.UPLOADS, Key=key, Body=kind.body)
    ended = time.time()
    if not watch.wait_until_acknowledged(expected, JOB_TIMEOUT_S):
        raise BenchError(f"the job of {key} was not acknowledged within {JOB_TIMEOUT_S:g} s")
    return Put(began, ended)


def _read_traces(file: Path) -> dict[str, Trace]:
    """By upload key. Raises `BenchError` for a job that was delivered twice."""
    traces: dict[str, Trace] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        trace = Trace.from_json(json.loads(line))
        if trace.key in traces:
            raise BenchError(f"{trace.key} was delivered twice")
        traces[trace.key] = trace
    return traces


def write_page(page: Path, machine: Mapping[str, object], profiles: Sequence[Profile]) -> None:
    lines = [
        f"{machine['at']}, commit {machine['commit']}, {machine['cores']} cores"
        f" ({machine['cpu']}), Python {machine['python']}; load of the machine in the minute"
        f" before: {machine['load_before']}.",
    ]
    for each in profiles:
        lines += ["", *to_markdown(each)]
    Place(BEGIN, END).fill(page, lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bench-out"), help="folder for the figures (bench-out)"
    )
    parser.add_argument(
        "--uploads", type=int, default=UPLOADS, help=f"counted uploads of each kind ({UPLOADS})"
    )
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="put tables into this page, and the picture into images/ beside it",
    )
    parser.add_argument("--json", action="store_true", help="tell medians as JSON, not as tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
