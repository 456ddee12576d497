"""Numbers and texts from a run in words that a person reads. Pure. None is `not known`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "not known"


def number(value: float | None) -> str:
    """Whole numbers whole, with commas; others to three digits."""
    if value is None:
        return UNKNOWN
    if abs(value - round(value)) < 1e-9 or abs(value) >= 1000:
        return f"{round(value):,}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.0095 else f"{value * 1000:.3g} ms"
    if value < 120 and value == int(value):
        return f"{int(value)} s"
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 119.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} GiB"


def figure(name: str, value: float | None) -> str:
    """A figure's value with the unit that its name ends with."""
    if value is None:
        return UNKNOWN
    if name.endswith("_per_s"):
        return f"{number(value)}/s"
    if name.endswith("_s"):
        return seconds(value)
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_mb"):
        return f"{number(value)} MB"
    if name.endswith("_share"):
        return f"{number(value * 100)} %"
    if "_cores" in name:
        return f"{number(value)} cores"
    return number(value)


def moment(epoch: float) -> str:
    """A time of day, UTC; a run without one says so."""
    try:
        return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"


SECONDS_UP_TO = 120
"""Shorter times are told in seconds alone."""


def clock(at_s: float, *, in_seconds: bool | None = None) -> str:
    """A point of the run's own time: `12 s`, `3:05` minutes, `1:02:03` hours."""
    sign, whole = ("-", -at_s) if at_s < 0 else ("", at_s)
    if whole < SECONDS_UP_TO if in_seconds is None else in_seconds:
        return f"{sign}{number(round(whole, 1))} s"
    total = round(whole)
    if total < 3600:
        return f"{sign}{total // 60}:{total % 60:02}"
    return f"{sign}{total // 3600}:{total % 3600 // 60:02}:{total % 60:02}"


def plural(count: float, one: str, many: str = "") -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def short(text: str, limit: int) -> str:
    """For a picture: what cannot be printed becomes a dot, what is too long ends in dots."""
    clean = "".join(sign if sign.isprintable() else "·" for sign in text)
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def plain(value: Any) -> str:
    """Whatever a run's settings hold, as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner) for inner in value)
    return UNKNOWN if value is None else str(value)


def setting(name: str, value: Any) -> str:
    """A setting of shape, target or machine, a number with the unit of its name."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return figure(name, value) if is_number else plain(value)
