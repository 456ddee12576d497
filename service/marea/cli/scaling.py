"""`marea scaling explain` and `history`: why a pool has as many replicas as it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from marea.cli.render import columns, heading, plain
from marea.cli.session import JsonFlag, print_json, session_of
from marea.errors import PermanentError

if TYPE_CHECKING:
    from marea.scaling.decision import Decision

POOL_HELP = "Name of a pool; without it, all."
STALE_AFTER_S = 30.0
"""As old as a reading may be for the policy."""
NOBODY_DECIDES = (
    "nobody has sized any pool yet: the autoscaler is not running, or has only just begun"
)


def explain(
    context: typer.Context,
    pool: str | None = typer.Argument(None, help=POOL_HELP),
    as_json: bool = JsonFlag,
) -> None:
    """Tell how many replicas a pool needs, and why.

    The autoscaler's last decision, with each figure that went into it if a pool is named.
    """
    from marea.clock import SystemClock

    session = session_of(context)
    latest = session.ledger.value("scaling")
    pools: dict[str, Any] = (latest or {}).get("pools", {})
    _require_known(pool, list(pools), is_sized=latest is not None)
    shown = {name: body for name, body in pools.items() if pool in (None, name)}
    age_s = SystemClock().now() - latest["at"] if latest else 0.0
    if as_json:
        print_json({"at": (latest or {}).get("at"), "age_s": age_s, "pools": shown})
        return
    from marea.scaling.decision import Decision

    for name, body in shown.items():
        decision = Decision.from_json(body)
        session.console.print(f"[bold]{plain(name)}[/]  {plain(decision.reason)}")
        if pool is not None:
            session.console.print(columns(_rows(decision)))
    if latest:
        session.console.print(f"decided {age_s:.0f} s ago, mode {latest['mode']}")


def history(
    context: typer.Context,
    pool: str = typer.Argument(help="Name of a pool."),
    limit: int = typer.Option(20, min=1, max=1000, help="Decisions at most, the latest first."),
    as_json: bool = JsonFlag,
) -> None:
    """List a pool's decisions that differed from the one before."""
    session = session_of(context)
    entries = session.ledger.notes(f"scaling:{pool}", limit)
    if not entries:
        latest = session.ledger.value("scaling")
        _require_known(pool, list((latest or {}).get("pools", {})), is_sized=latest is not None)
    if as_json:
        print_json({"pool": pool, "decisions": entries})
        return
    from marea.clock import to_iso

    rows = [heading("when", "from", "to", "why")]
    rows += [
        (
            to_iso(float(entry["at"])),
            _number(entry.get("wanted")),
            _number(entry.get("applied")),
            plain(str(entry["reason"])),
        )
        for entry in entries
    ]
    session.console.print(columns(rows))


def _rows(decision: Decision) -> list[tuple[str, ...]]:
    """Each term of the formula and each figure that went into it."""
    rows: list[tuple[str, ...]] = [heading("figure", "value")]
    for title, figures in (("", decision.bounds), ("", decision.inputs)):
        rows += [(f"{title}{name}", _figure(name, value)) for name, value in figures.items()]
    return rows


def _figure(name: str, value: Any) -> str:
    if name.endswith("_at") and isinstance(value, int | float):
        from marea.clock import to_iso

        return to_iso(float(value)) if value else "never"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _number(value: object) -> str:
    return "?" if value is None else str(value)


def _require_known(pool: str | None, known: list[str], *, is_sized: bool) -> None:
    if not is_sized:
        raise PermanentError(NOBODY_DECIDES, code="no-decision")
    if pool is not None and pool not in known:
        raise PermanentError(
            f"there is no pool {pool!r}; there are {', '.join(known)}", code="no-such-pool"
        )


def scaling_rows(latest: Mapping[str, Any] | None, now: float) -> list[tuple[str, ...]]:
    """For `marea status`: replicas and needs of each pool, with the reason."""
    if latest is None:
        return []
    age_s = now - float(latest["at"])
    about = "why" if age_s <= STALE_AFTER_S else f"why, {age_s:.0f} s ago: is the autoscaler well?"
    rows: list[tuple[str, ...]] = [heading("pool", "replicas", "needs", about)]
    rows += [
        (
            plain(name),
            _number(body.get("applied")),
            _number(body.get("replicas")),
            plain(str(body["reason"])),
        )
        for name, body in latest["pools"].items()
    ]
    return rows
