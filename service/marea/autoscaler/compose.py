"""Builds the autoscaler from the settings."""

from __future__ import annotations

from marea.autoscaler.app_source import AppSource
from marea.autoscaler.loop import Autoscaler
from marea.autoscaler.signal import SignalReader
from marea.autoscaler.sources import OwnSource, Source
from marea.clock import SystemClock
from marea.kube.fleets import Fleets
from marea.settings import Settings
from marea.telemetry.liveness import SignsOfLife
from marea.wiring import (
    build_apps,
    build_broker,
    build_declarations,
    build_fleets,
    build_ledger,
    build_targets,
)


def build_autoscaler(settings: Settings, fleets: Fleets | None = None) -> Autoscaler:
    """On real ports; `fleets` in place of Kubernetes. Raises `ConfigError`."""
    clock = SystemClock()
    ledger = build_ledger(settings, clock)
    own = build_declarations(settings).pools
    apps = build_apps(settings, own, clock)
    targets = build_targets(settings, (*own, *apps))
    sources: list[Source] = [
        OwnSource(
            build_broker(settings),
            ledger,
            {pool: target for pool, target in targets.items() if pool not in apps},
        )
    ]
    for pool, app in apps.items():
        told = settings.autoscaler.apps[pool]
        sources.append(AppSource(targets[pool], app, told.queues, told.silent_s))
    return Autoscaler(
        fleets=fleets or build_fleets(settings, clock),
        signal=SignalReader(sources, clock, targets),
        ledger=ledger,
        clock=clock,
        settings=settings.autoscaler,
        targets=targets,
        life=SignsOfLife(clock, settings.autoscaler.liveness_file),
    )
