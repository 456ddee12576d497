"""Pages of the docs that hold what was measured, between two marks that stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a page; all between `begin` and `end` is replaced."""

    begin: str
    end: str

    def parts(self, page: Path) -> tuple[str, str]:
        """What stands before and after it. Raises ValueError without the marks, OSError."""
        head, begin, rest = page.read_text(encoding="utf-8").partition(self.begin)
        _, end, tail = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"{page} has no place for figures: {self.begin} … {self.end}")
        return head, tail

    def fill(self, page: Path, lines: Iterable[str]) -> None:
        """Put `lines` there. Raises as `parts` does."""
        head, tail = self.parts(page)
        body = "\n".join(lines)
        page.write_text(f"{head}{self.begin}\n{body}\n{self.end}{tail}", encoding="utf-8")
