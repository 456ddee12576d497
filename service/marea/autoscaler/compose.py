"""Builds the autoscaler from the settings."""

from __future__ import annotations

from marea.autoscaler.loop import Autoscaler
from marea.autoscaler.signal import SignalReader
from marea.clock import SystemClock
from marea.kube.fleets import Fleets
from marea.settings import Settings
from marea.telemetry.liveness import SignsOfLife
from marea.wiring import (
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
    targets = build_targets(settings, build_declarations(settings).pools)
    return Autoscaler(
        fleets=fleets or build_fleets(settings, clock),
        signal=SignalReader(build_broker(settings), ledger, clock, targets),
        ledger=ledger,
        clock=clock,
        settings=settings.autoscaler,
        targets=targets,
        life=SignsOfLife(clock, settings.autoscaler.liveness_file),
    )
