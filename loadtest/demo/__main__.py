"""`python -m loadtest.demo`: the whole journey, on this machine, in under a minute.

Exit 0 only if every file came to the end that the oracle foretold, the audit and the
stand-alone checker agree that nothing is missing or doubled, and `marea up` stopped cleanly.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.check import check_store
from loadtest.collect import open_client
from loadtest.demo.contact_sheet import draw_contact_sheet, save_contact_sheet
from loadtest.demo.corpus import RULES_FILE, CorpusFile, build_corpus
from loadtest.demo.look import judge_looks
from loadtest.demo.table import count_sentence, result_table
from loadtest.demo.watch import Ending, wait_for_endings
from loadtest.evidence import VIOLATIONS
from loadtest.history import HistoryError, HistoryWriter, load_history
from loadtest.platform import Platform, PlatformError, Ready, run_audit
from loadtest.recorded_put import put_file

UPLOAD_THREADS = 8
"""A burst: all of it is in the bucket before the workers have done a tenth."""

LOG_WIDTH = 150
"""Columns where the output goes to a file or a pipe, which have no width of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code (130 after Ctrl-C)."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    data = (out / "data").resolve()
    shutil.rmtree(data, ignore_errors=True)
    started = time.monotonic()
    platform = Platform(data, options.broker, RULES_FILE, out / "marea.log")
    kept_promises = False
    is_interrupted = False
    try:
        kept_promises = _run(platform, options, console)
    except (PlatformError, HistoryError, ClientError, BotoCoreError) as exc:
        console.print(f"[bold red]The demo failed:[/] {exc}", markup=True, highlight=False)
    except KeyboardInterrupt:
        console.print("Interrupted; stopping the platform.")
        is_interrupted = True
    finally:
        stopped = platform.stop()
    if stopped != 0:
        console.print(f"[bold red]marea up stopped with status {stopped}[/], see {out}/marea.log")
    elif not options.keep:
        shutil.rmtree(data, ignore_errors=True)
    if is_interrupted:
        return 130
    is_good = kept_promises and stopped == 0
    outcome = "Everything is right" if is_good else "Not everything is right"
    console.print(f"{outcome}; {time.monotonic() - started:.1f} s in all.")
    return 0 if is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.demo", description=__doc__)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder to write to")
    parser.add_argument("--keep", action="store_true", help="keep the platform's data folder")
    parser.add_argument(
        "--timeout", type=float, default=60.0, help="seconds from the last upload to give up"
    )
    return parser


def _run(platform: Platform, options: argparse.Namespace, console: Console) -> bool:
    with (
        ThreadPoolExecutor(1) as aside,
        console.status(f"Starting the platform on {options.broker} and making the corpus …"),
    ):
        making = aside.submit(build_corpus)
        ready = platform.start()
        corpus = making.result()
    console.print(
        f"Ready: {ready.store_name} at {ready.store.endpoint_url}, broker {options.broker}"
    )
    client = open_client(ready.store)
    history_file = options.out / "history.jsonl"
    history_file.unlink(missing_ok=True)
    began = time.monotonic()
    endings = _upload(client, ready, corpus, history_file, console)
    late = _wait(client, ready, endings, options.timeout, platform, console)
    took_s = time.monotonic() - began
    for ending in endings:
        judge_looks(ending)
    console.print(result_table(endings))
    console.print(f"{len(endings)} files in {took_s:.1f} s: {count_sentence(endings)}")
    counts, is_checked = _check(ready, history_file, console)
    sheet = draw_contact_sheet(
        endings,
        f"Marea: {len(endings)} files through {options.broker} in {took_s:.1f} s",
        f"{count_sentence(endings)}; missing {counts['lost']}, duplicates {counts['duplicated']}",
    )
    save_contact_sheet(sheet, options.out / "contact-sheet.jpg")
    console.print(f"Contact sheet: {options.out / 'contact-sheet.jpg'}")
    for ending in late:
        console.print(f"[bold red]late:[/] {ending.file.key}: {ending.problem}", highlight=False)
    if late:
        console.print(f"The platform's log is {options.out / 'marea.log'}.")
    return is_checked and not any(ending.problem for ending in endings)


def _upload(
    client: Any, ready: Ready, corpus: Sequence[CorpusFile], history_file: Path, console: Console
) -> list[Ending]:
    with (
        HistoryWriter(history_file) as history,
        ThreadPoolExecutor(UPLOAD_THREADS) as threads,
        _progress(console) as progress,
    ):
        task = progress.add_task("uploading", total=len(corpus))

        def upload(file: CorpusFile) -> Ending:
            put = put_file(client, history, ready.source_bucket, file)
            progress.advance(task)
            return Ending(file, put)

        return list(threads.map(upload, corpus))


def _wait(
    client: Any,
    ready: Ready,
    endings: list[Ending],
    timeout_s: float,
    platform: Platform,
    console: Console,
) -> list[Ending]:
    with _progress(console) as progress:
        task = progress.add_task("results", total=len(endings))
        return wait_for_endings(
            client,
            ready.results_bucket,
            endings,
            timeout_s=timeout_s,
            progress=lambda ended: progress.update(task, completed=ended),
            is_alive=platform.require_alive,
        )


def _check(ready: Ready, history_file: Path, console: Console) -> tuple[dict[str, Any], bool]:
    """The platform's own audit, then the checker that does not believe it."""
    status, audit, complaint = run_audit(ready.environment_file)
    if status == 0:
        numbers = ", ".join(f"{k} {v}" for k, v in audit.items() if isinstance(v, int | float))
        console.print(f"marea audit: {numbers or 'ok'}", highlight=False)
    else:
        console.print(f"[bold red]marea audit ended with {status}:[/] {complaint}", soft_wrap=True)
    verdict = check_store(
        load_history(history_file),
        ready.store,
        source_buckets=[ready.source_bucket],
        results_bucket=ready.results_bucket,
    )
    counts = verdict.summary()
    console.print(
        f"checker: {verdict.acknowledged} uploads acknowledged, {verdict.checked} versions and"
        f" {verdict.results} results checked: "
        + ", ".join(f"{kind} {counts[kind]}" for kind in (*VIOLATIONS, "vanished")),
        highlight=False,
    )
    for finding in verdict.findings:
        console.print(f"  {finding.kind}: {finding.key}: {finding.reason}", markup=False)
    console.print(f"missing {counts['lost']}\nduplicates {counts['duplicated']}", highlight=False)
    return counts, verdict.is_valid and not counts["vanished"] and status == 0


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    sys.exit(main())
