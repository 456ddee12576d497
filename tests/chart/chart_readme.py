"""The chart's README, from README.md.gotmpl and the comments of values.yaml, by helm-docs.

`python tests/chart/chart_readme.py` writes it anew (`make docs` runs it); a test keeps it equal.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from render import CHART, ToolMissing, find_tool


def chart_readme() -> str:
    """The page as it should be. Raises ToolMissing without helm-docs."""
    with tempfile.TemporaryDirectory(prefix="marea-readme-") as folder:
        copy = Path(folder) / "marea"
        copy.mkdir()
        for name in ("Chart.yaml", "values.yaml", "README.md.gotmpl"):
            shutil.copy(CHART / name, copy / name)
        subprocess.run(
            [
                find_tool("helm-docs"),
                f"--chart-search-root={copy}",
                "--template-files=README.md.gotmpl",
                "--sort-values-order=file",
                "--skip-version-footer",
            ],
            check=True,
            capture_output=True,
        )
        return (copy / "README.md").read_text(encoding="utf-8")


def main() -> int:
    try:
        text = chart_readme()
    except ToolMissing as exc:
        print(exc, file=sys.stderr)
        return 1
    (CHART / "README.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
