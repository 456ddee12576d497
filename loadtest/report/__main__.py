"""The report of a load run, made anew from the run's folder; or two runs side by side.

python -m loadtest.report make RUN                          RUN/report.html and RUN/report.png
python -m loadtest.report compare A B --out compare.html    and --png compare.png for a picture
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtest.report.compare import compare_page, compare_png, differences
from loadtest.report.verdict import verdict_of
from loadtest.report.write import write_report, write_text
from loadtest.runs.data import Run
from loadtest.runs.figures import ABOUT, figures_of
from loadtest.runs.folder import RunError, load_run


class FolderError(Exception):
    """A folder that holds no run that can be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: written, whatever the run's verdict, which is printed; 2: a folder or file that cannot
    be read or written."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "make":
            return _make(options.run)
        return _compare(options)
    except FolderError as exc:
        print(f"error: {exc}", file=sys.stderr)
    except OSError as exc:
        place = f"{exc.filename}: " if exc.filename else ""
        print(f"error: the report cannot be written: {place}{exc.strerror}", file=sys.stderr)
    return 2


def _make(folder: Path) -> int:
    run = _load(folder)
    verdict = verdict_of(run)
    print(f"{verdict.word}: {verdict.sentence}")
    for path in write_report(run, figures_of(run), folder):
        print(path)
    return 0


def _compare(options: argparse.Namespace) -> int:
    a, b = _load(options.a), _load(options.b)
    names = tuple(options.names) if options.names else _names(options.a, options.b)
    for difference in differences(a, b):
        print(f"note: {difference}", file=sys.stderr)
    figures = (figures_of(a), figures_of(b))
    write_text(options.out, compare_page(a, b, (names[0], names[1]), figures, ABOUT))
    print(options.out)
    if options.png is not None:
        options.png.write_bytes(compare_png(a, b, (names[0], names[1])))
        print(options.png)
    return 0


def _load(folder: Path) -> Run:
    if not folder.is_dir():
        raise FolderError(f"{folder} is no folder; name the folder that a load run wrote")
    try:
        return load_run(folder)
    except RunError as exc:
        raise FolderError(str(exc)) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        said = str(exc) or type(exc).__name__
        raise FolderError(f"{folder} holds no load run that can be read: {said}") from exc


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The folders' own names, with their parents' where those are the same."""
    one, other = a.resolve(), b.resolve()
    if one.name != other.name:
        return one.name, other.name
    if one.parent.name != other.parent.name:
        return f"{one.parent.name}/{one.name}", f"{other.parent.name}/{other.name}"
    return f"first {one.name}", f"second {other.name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="make|compare")
    make = verbs.add_parser("make", help="write a run's report.html and report.png anew")
    make.add_argument("run", type=Path, metavar="RUN", help="the folder that a load run wrote")
    compare = verbs.add_parser("compare", help="one page about two runs")
    compare.add_argument("a", type=Path, metavar="A", help="folder of the first run")
    compare.add_argument("b", type=Path, metavar="B", help="folder of the second run")
    compare.add_argument(
        "--out", type=Path, default=Path("compare.html"), help="the page (compare.html)"
    )
    compare.add_argument("--png", type=Path, help="a picture of it as well")
    compare.add_argument(
        "--names",
        nargs=2,
        metavar=("FIRST", "SECOND"),
        help="what to call them, e.g. builtin keda (the folders' names)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
