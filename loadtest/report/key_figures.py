"""Which figures a person asks for first, and what they are in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loadtest.report import words
from loadtest.report.words import UNKNOWN

LABELS: dict[str, str] = {
    "uploads": "uploads that the store took",
    "latency_p50_s": "upload to result, half of them",
    "latency_p95_s": "upload to result, 95 of 100",
    "latency_p99_s": "upload to result, 99 of 100",
    "accepted_p99_s": "upload to accepted, 99 of 100",
    "backlog_max": "most jobs waiting at once",
    "drain_jobs_per_s": "jobs done while it drained",
    "replicas_max": "most replicas ready at once",
    "put_p99_s": "the store's answer, 99 of 100",
    "failed_uploads": "uploads refused or failed",
    "late_p99_s": "sent after it was due, 99 of 100",
    "generator_cores_mean": "used by the load itself",
}
"""By the names of `loadtest.runs.figures`, the most asked first."""


def chosen(figures: Mapping[str, float | None], limit: int) -> list[tuple[str, str]]:
    """(name, label) of the first `limit` that this run has a figure of, known ones first."""
    named = [(name, label) for name, label in LABELS.items() if name in figures]
    known = [pair for pair in named if figures[pair[0]] is not None]
    rest = [pair for pair in named if figures[pair[0]] is None]
    kept = (known + rest)[:limit]
    return [pair for pair in named if pair in kept]


def meanings(about: Mapping[str, str]) -> dict[str, str]:
    """Each meaning so that it can stand alone: `the same, 95th percentile` takes its beginning
    from the one before it."""
    whole: dict[str, str] = {}
    before = ""
    for name, text in about.items():
        if found := re.match(r"the same, (.+)", text):
            text = f"{before.rsplit(', ', 1)[0]}, {found[1]}"
        whole[name] = before = text
    return whole


def sentences(figures: Mapping[str, float | None]) -> list[str]:
    """What happened, for somebody who was not there; last, what of it is not known."""
    said = {name: words.figure(name, figures.get(name)) for name in LABELS}
    told: list[str] = []
    unknown: list[str] = []
    for subject, needed, sentence in (*_came(figures, said), *_followed(figures, said)):
        if any(said[name] == UNKNOWN for name in needed):
            unknown.append(subject)
        else:
            told.append(sentence)
    if unknown:
        told.append(f"Not known: {'; '.join(unknown)}.")
    return told


Told = tuple[str, tuple[str, ...], str]
"""What it is about, the figures that it needs, and the sentence that tells them."""


def _came(figures: Mapping[str, float | None], said: Mapping[str, str]) -> list[Told]:
    uploads = words.plural(figures.get("uploads") or 0, "upload")
    failed = figures.get("failed_uploads")
    fate = "none failed" if failed == 0 else f"{said['failed_uploads']} were refused or failed"
    return [
        (
            "how many uploads there were, and how many failed",
            ("uploads", "failed_uploads"),
            f"The store took {uploads}; {fate}.",
        ),
        (
            "how well the load kept to its schedule",
            ("late_p99_s",),
            f"99 of 100 uploads left within {said['late_p99_s']} of the time at which the"
            " schedule wanted them.",
        ),
        (
            "how soon the store answered",
            ("put_p99_s",),
            f"The store had answered 99 of 100 within {said['put_p99_s']} of that time.",
        ),
        (
            "what the load itself used of the machine",
            ("generator_cores_mean",),
            f"The load itself used {said['generator_cores_mean']} on average.",
        ),
    ]


def _followed(figures: Mapping[str, float | None], said: Mapping[str, str]) -> list[Told]:
    times = ("latency_p50_s", "latency_p95_s", "latency_p99_s")
    half, most, nearly_all = (said[name] for name in times)
    waited = words.plural(figures.get("backlog_max") or 0, "job")
    ready = words.plural(figures.get("replicas_max") or 0, "replica")
    return [
        (
            "how soon the platform took uploads on",
            ("accepted_p99_s",),
            f"The platform had taken 99 of 100 on within {said['accepted_p99_s']} of their upload.",
        ),
        (
            "how long results took",
            times,
            f"Half of the uploads had their result within {half}, 95 of 100 within {most}, 99 of"
            f" 100 within {nearly_all}.",
        ),
        ("how many jobs waited", ("backlog_max",), f"At most {waited} waited at once."),
        ("how many replicas there were", ("replicas_max",), f"At most {ready} were ready at once."),
        (
            "how fast the rest was worked off (too little may have been left)",
            ("drain_jobs_per_s",),
            f"Once nothing came any more, {said['drain_jobs_per_s'].removesuffix('/s')} jobs a"
            " second were finished.",
        ),
    ]
