"""`python -m loadtest.check`: was every upload of a run turned into exactly one right result?

Stand-alone: the standard library and boto3, nothing of Marea. It reads what clients did (the
history) and what the buckets list at the end. Exit 0: every promise was kept; 1: some was
broken, and which is printed; 2: the check could not be made, or had nothing to check.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from loadtest.collect import StoreAddress, collect, open_client
from loadtest.evidence import VIOLATIONS, Verdict
from loadtest.history import HistoryError, Operation, load_history
from loadtest.judge import judge

__all__ = ["check_store", "judge", "main"]

SHOWN = 50
"""Findings printed without --json; the counts are always of all of them."""


def check_store(
    history: Sequence[Operation],
    address: StoreAddress,
    *,
    source_buckets: Sequence[str],
    results_bucket: str,
    prefix: str = "",
) -> Verdict:
    """Collect and judge; with `prefix` what is under it alone. Raises `HistoryError` with nothing
    to check, or botocore's errors."""
    client = open_client(address)
    found = collect(client, source_buckets, results_bucket, prefix)
    return judge(history, found.source_versions, found.result_versions, found.records)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    address = StoreAddress(
        options.endpoint or None, options.access_key, options.secret_key, options.region
    )
    try:
        verdict = check_store(
            load_history(options.history),
            address,
            source_buckets=options.source or ["uploads"],
            results_bucket=options.results,
            prefix=options.prefix,
        )
    except (HistoryError, ClientError, BotoCoreError) as exc:
        print(f"not checked: {exc}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(verdict.summary(), ensure_ascii=False, indent=2))
    else:
        _print(verdict)
    return 0 if verdict.is_valid else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.check", description=__doc__)
    store = "MAREA_STORE__"
    parser.add_argument("--history", type=Path, required=True, help="JSON lines of the clients")
    parser.add_argument(
        "--endpoint",
        default=os.environ.get(f"{store}ENDPOINT_URL", ""),
        help="address of the store; none = AWS (default: MAREA_STORE__ENDPOINT_URL)",
    )
    parser.add_argument("--access-key", default=os.environ.get(f"{store}ACCESS_KEY", ""))
    parser.add_argument("--secret-key", default=os.environ.get(f"{store}SECRET_KEY", ""))
    parser.add_argument("--region", default=os.environ.get(f"{store}REGION", "us-east-1"))
    parser.add_argument(
        "--source", action="append", help="source bucket, may be repeated (default: uploads)"
    )
    parser.add_argument("--results", default="results", help="results bucket")
    parser.add_argument(
        "--prefix", default="", help="judge uploads under it alone, where others use the bucket too"
    )
    parser.add_argument("--json", action="store_true", help="the whole verdict as JSON")
    return parser


def _print(verdict: Verdict) -> None:
    summary = verdict.summary()
    print(
        f"{verdict.acknowledged} uploads acknowledged, {verdict.checked} listed versions and"
        f" {verdict.results} results checked, {verdict.recovered} recovered"
    )
    for kind in (*VIOLATIONS, "vanished"):
        print(f"  {kind:<13} {summary[kind]}")
    for finding in verdict.findings[:SHOWN]:
        identity = f" [{finding.identity}]" if finding.identity else ""
        print(f"  {finding.kind}: {finding.key}{identity}: {finding.reason}")
    if len(verdict.findings) > SHOWN:
        print(f"  … and {len(verdict.findings) - SHOWN} more (--json lists all)")
    print("valid" if verdict.is_valid else "NOT VALID")


if __name__ == "__main__":
    sys.exit(main())
