"""Scores as rows for people."""

from __future__ import annotations

from collections.abc import Mapping

from marea.simulator.score import Score

OWN, BOUND = "builtin", "oracle"
RIVALS = ("keda-tuned", "keda-steep")
MOMENT_S = 1.0
"""Waits below this are none: their ratio would say nothing."""

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


def beside(results: Mapping[str, Mapping[str, Score]]) -> list[tuple[str, ...]]:
    """Ours over the others', a row per trace, with headings; empty if there is nothing to compare.

    Of the oracle drain and worker-seconds, of a well-set KEDA p95 wait and worker-seconds.
    """
    shown = [scores for scores in results.values() if OWN in scores]
    bound = all(BOUND in scores for scores in shown)
    rivals = [name for name in RIVALS if all(name in scores for scores in shown)]
    if not shown or not (bound or rivals):
        return []
    head = ["trace", *(["drain/oracle", "worker-s/oracle"] if bound else [])]
    for name in rivals:
        head += [f"p95/{name}", f"worker-s/{name}"]
    rows = [(*head, "interrupted")]
    for trace, scores in results.items():
        if OWN not in scores:
            continue
        ours, row = scores[OWN], [trace]
        if bound:
            row.append(_ratio(ours.drain_s, scores[BOUND].drain_s))
            row.append(_ratio(ours.worker_seconds, scores[BOUND].worker_seconds))
        for name in rivals:
            waits = ours.wait_p95_s, scores[name].wait_p95_s
            row.append("-" if max(waits) < MOMENT_S else _ratio(*waits))
            row.append(_ratio(ours.worker_seconds, scores[name].worker_seconds))
        rows.append((*row, f"{ours.interrupted:,.0f}"))
    return rows


def _ratio(ours: float | None, theirs: float | None) -> str:
    """Two digits; `worse` and `better` where one of them never ended or is nothing."""
    if ours is None:
        return "worse"
    if theirs is None:
        return "better"
    return f"{ours / theirs:.2f}" if theirs > 0 else "worse"
