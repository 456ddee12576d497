"""Builds the reconciler from the settings."""

from __future__ import annotations

from marea.lifecycle.sweep import SweepContext
from marea.perform import Performer
from marea.reconciler.loop import Reconciler
from marea.reconciler.sweeper import Sweeper
from marea.settings import Settings
from marea.telemetry.liveness import SignsOfLife
from marea.wiring import (
    build_broker,
    build_declarations,
    build_notifier,
    build_place,
    build_policy,
    build_ports,
)


def build_reconciler(settings: Settings) -> Reconciler:
    """On real ports. Raises `ConfigError`."""
    declarations = build_declarations(settings)
    ports = build_ports(settings, declarations.pipelines)
    life = SignsOfLife(ports.clock, settings.reconciler.liveness_file)
    # A duty may be long, for it has hundreds of rows; each effect has limits of its own.
    performer = Performer(ports, observe=lambda *_: life.touch())
    policy, place = build_policy(settings), build_place(settings)
    context = SweepContext(
        plan=declarations.rules.plan,
        place=place,
        policy=policy,
        pipelines=declarations.pipelines,
        grace_s=settings.reconciler.sweep_grace_s,
        page_size=settings.reconciler.page_size,
    )
    return Reconciler(
        performer=performer,
        broker=build_broker(settings),
        notifier=build_notifier(settings, ports.clock),
        settings=settings,
        policy=policy,
        place=place,
        pools=declarations.pools,
        sweeper=Sweeper(performer, settings, context),
        life=life,
    )
