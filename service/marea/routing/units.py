"""Sizes and durations as people write them: `10 MB`, `1.5 GiB`, `90s`, `10m`."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"(?P<number>\d[\d_]*(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)\Z")
_BYTES = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}

MAX_DELAY_S = 365 * 86400.0
"""A delay is a pause, not an archive; arbitrary, against a slip of units."""


def parse_size_bytes(text: str) -> int:
    """`10 MB` is 10,000,000 bytes and `10 MiB` 10,485,760. Raises ValueError with a sentence."""
    number, unit = _split(text, "a size", "10 MB, 512 KiB or a number of bytes")
    if unit not in _BYTES:
        raise ValueError(f"{text!r} has an unknown unit; use B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")
    return int(number * _BYTES[unit])


def parse_duration_s(text: str) -> float:
    """`10m` is 600.0 seconds. Raises ValueError with a sentence."""
    number, unit = _split(text, "a duration", "30s, 10m, 2h, 1d or a number of seconds")
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} has an unknown unit; use s, m, h or d")
    seconds = number * _SECONDS[unit]
    if seconds > MAX_DELAY_S:
        raise ValueError(f"{text!r} is more than a year")
    return seconds


def _split(text: str, noun: str, examples: str) -> tuple[float, str]:
    text = text.strip()
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative; write {examples}")
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not {noun}; write {examples}")
    return float(match["number"].replace("_", "")), match["unit"].lower()
