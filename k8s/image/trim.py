"""Removes from an image's libraries what Marea never loads; run by the Dockerfile at build.

`python3 trim.py SITE_PACKAGES`. Every rule names what goes and why nothing misses it, and a rule
that finds nothing although its library is there is an error: the library's layout has changed,
and somebody has to look. What runs on the trimmed libraries is tried by tests/cluster.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """Files and folders of `package` that match one of `patterns` (globs below its folder)."""

    package: str
    patterns: tuple[str, ...]
    why: str
    keep: frozenset[str] = frozenset()
    """Names, of what the patterns match, that stay."""


RULES = (
    Rule(
        "botocore",
        ("data/*",),
        "descriptions of 440 other services: Marea speaks to S3, and STS gives it a role's key",
        frozenset(
            {
                "_retry.json",
                "endpoints.json",
                "partitions.json",
                "sdk-default-configuration.json",
                "s3",
                "sts",
            }
        ),
    ),
    Rule("kubernetes", ("aio",), "a second copy of the client, for asyncio; nothing else loads it"),
    Rule("boto3", ("data/*", "examples"), "the resource API is not used, clients are"),
    Rule("pyarrow", ("include", "includes", "src", "*.pxd", "*.pxi", "*.pyx"), "for compilers"),
    Rule(
        "pyarrow",
        ("libarrow_flight.so.*", "libarrow_python_flight.so*", "_flight.*.so", "flight.py"),
        "Arrow Flight: a network protocol; nothing else links it",
    ),
    Rule(
        "pyarrow",
        ("libarrow_s3.so.*", "_s3fs.*.so"),
        "Arrow's own S3 client; pyarrow.fs goes without, and steps get bytes",
    ),
    Rule(
        "pyarrow",
        ("libarrow_python*.so", "libarrow_python*.so.*.*"),
        "copies, for linkers, of the libraries that are loaded by their major version",
    ),
    Rule("pyarrow", ("tests", "conftest.py", "_pyarrow_cpp_tests.*.so"), "tests"),
    Rule("pandas", ("tests",), "tests"),
    Rule("numpy", ("**/tests", "_core/include", "**/*.a", "**/*.pxd", "f2py/src"), "for compilers"),
    Rule("numpy", ("**/*.pyi",), "types, for checkers"),
)


def trim(site_packages: Path, rules: tuple[Rule, ...] = RULES) -> int:
    """Bytes removed. Raises `SystemExit` with a sentence for a rule that finds nothing."""
    removed = 0
    for rule in rules:
        folder = site_packages / rule.package
        if not folder.is_dir():
            continue  # an image without the tables extra has no pandas
        for pattern in rule.patterns:
            found = [path for path in folder.glob(pattern) if path.name not in rule.keep]
            if not found:
                raise SystemExit(
                    f"trim: {rule.package} has no {pattern} any more ({rule.why});"
                    " look at what has changed, then correct the rule in k8s/image/trim.py"
                )
            removed += sum(_remove(path) for path in found)
        missing = sorted(
            name
            for name in rule.keep
            for pattern in rule.patterns
            if not (folder / pattern).with_name(name).exists()
        )
        if missing:
            raise SystemExit(
                f"trim: {rule.package} lacks {', '.join(missing)}, which the image needs;"
                " correct the rule in k8s/image/trim.py"
            )
    return removed


def _remove(path: Path) -> int:
    if not path.exists():  # inside a folder that went already
        return 0
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    size = path.stat().st_size
    path.unlink()
    return size


if __name__ == "__main__":
    print(f"trim: {trim(Path(sys.argv[1])) / 2**20:.0f} MiB removed")
