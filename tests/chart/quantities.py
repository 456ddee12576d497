"""Quantities of Kubernetes as numbers: `250m` → 0.25, `64Mi` → 67108864."""

from __future__ import annotations

import re
from fractions import Fraction

UNITS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def quantity(text: str | int | float) -> Fraction:
    """Exact, in whole units (cores, bytes). Raises ValueError for what is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(m|[kMGTPE]?|[KMGTPE]i)", str(text))
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, unit = Fraction(match[1]), match[2]
    if unit == "m":
        return number / 1000
    if unit.endswith("i"):
        return number * 1024 ** UNITS[unit[0].replace("K", "k")]
    return number * 1000 ** UNITS[unit]
