"""`marea scaling explain` and `history`: why a pool has as many replicas as it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from marea.cli.render import columns, heading, plain
from marea.cli.session import JsonFlag, print_json, session_of

if TYPE_CHECKING:
    from marea.scaling.decision import Decision

POOL_HELP = "Name of a pool; without it, all."


def explain(
    context: typer.Context,
    pool: str | None = typer.Argument(None, help=POOL_HELP),
    as_json: bool = JsonFlag,
) -> None:
    """Tell how many replicas a pool needs, and why.

    The autoscaler's last decision, with each figure that went into it if a pool is named.
    """
    from marea.clock import SystemClock
    from marea.results.decisions import STALE_AFTER_S, known_decisions

    session = session_of(context)
    latest = known_decisions(session.ledger)
    shown = latest.pools if pool is None else {pool: latest.of(pool)}
    age_s = SystemClock().now() - latest.at
    if as_json:
        bodies = {name: decision.as_json() for name, decision in shown.items()}
        print_json({"at": latest.at, "age_s": age_s, "mode": latest.mode, "pools": bodies})
        return
    for name, decision in shown.items():
        session.console.print(f"[bold]{plain(name)}[/]  {plain(decision.reason)}")
        if pool is not None:
            session.console.print(columns(_rows(decision)))
    doubt = ": is the autoscaler well?" if age_s > STALE_AFTER_S else ""
    session.console.print(f"decided {age_s:.0f} s ago, mode {plain(latest.mode)}{doubt}")


def history(
    context: typer.Context,
    pool: str = typer.Argument(help="Name of a pool."),
    limit: int = typer.Option(20, min=1, max=1000, help="Decisions at most, the latest first."),
    as_json: bool = JsonFlag,
) -> None:
    """List a pool's decisions that differed from the one before."""
    from marea.results.decisions import past_decisions

    session = session_of(context)
    past = past_decisions(session.ledger, pool, limit)
    if as_json:
        print_json({"pool": pool, "decisions": [decision.as_json() for decision in past]})
        return
    if not past:
        session.console.print("no decision of this pool is kept")
        return
    from marea.clock import to_iso

    rows = [heading("when", "from", "to", "why")]
    rows += [
        (
            to_iso(decision.at),
            _number(decision.wanted),
            _number(decision.applied),
            plain(decision.reason),
        )
        for decision in past
    ]
    session.console.print(columns(rows))


def _rows(decision: Decision) -> list[tuple[str, ...]]:
    """Each term of the formula and each figure that went into it."""
    rows: list[tuple[str, ...]] = [heading("figure", "value")]
    for figures in (decision.bounds, decision.inputs):
        rows += [(name, _figure(name, value)) for name, value in figures.items()]
    return rows


def _figure(name: str, value: Any) -> str:
    if name.endswith("_at") and isinstance(value, int | float):
        from marea.clock import to_iso

        return to_iso(float(value)) if value else "never"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _number(value: object) -> str:
    return "?" if value is None else str(value)


def scaling_rows(latest: Mapping[str, Any] | None, now: float) -> list[tuple[str, ...]]:
    """For `marea status`: replicas and needs of each pool, with the reason. `latest` is the
    ledger's value as it stands."""
    from marea.results.decisions import STALE_AFTER_S, Decisions, DecisionUnknown

    if latest is None:
        return []
    try:
        decisions = Decisions.from_json(latest)
    except DecisionUnknown as exc:  # what else `status` shows is no less true for it
        return [heading("pool", "replicas", "needs", "why"), ("?", "?", "?", plain(str(exc)))]
    age_s = now - decisions.at
    about = "why" if age_s <= STALE_AFTER_S else f"why, {age_s:.0f} s ago: is the autoscaler well?"
    rows: list[tuple[str, ...]] = [heading("pool", "replicas", "needs", about)]
    rows += [
        (
            plain(name),
            _number(decision.applied),
            "?" if decision.is_hold else _number(decision.replicas),
            plain(decision.reason),
        )
        for name, decision in decisions.pools.items()
    ]
    return rows
