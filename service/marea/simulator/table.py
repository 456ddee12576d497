"""Scores as rows for people."""

from __future__ import annotations

from marea.simulator.score import Score

COLUMNS = (
    "drain s",
    "wait p50",
    "p95",
    "p99",
    "first start s",
    "worker-s",
    "overshoot",
    "interrupted",
    "lost s",
    "actions",
    "late jobs",
)
"""Headings, in the order of `Score`."""


def cells(score: Score) -> tuple[str, ...]:
    """One row, without the name; a drain that never ended is `never`."""
    return (
        "never" if score.drain_s is None else f"{score.drain_s:,.0f}",
        f"{score.wait_p50_s:,.1f}",
        f"{score.wait_p95_s:,.1f}",
        f"{score.wait_p99_s:,.1f}",
        f"{score.first_start_s:,.1f}",
        *(
            f"{value:,.0f}"
            for value in (
                score.worker_seconds,
                score.overshoot,
                score.interrupted,
                score.lost_work_s,
                score.actions,
                score.slo_misses,
            )
        ),
    )
