"""The autoscaler's section of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, SecretStr, model_validator

from marea.settings_servers import PORT_NEEDS_FILE, Section

ScalingMode = Literal["builtin", "keda", "hpa", "none"]


class PoolScaling(Section):
    """What one pool may become. Each value left out is that of `autoscaler`."""

    drain_s: float | None = Field(default=None, gt=0)
    """Clear whatever is queued within this many seconds of its arrival."""
    slots: int | None = Field(default=None, ge=1, le=256)
    """Jobs that one replica runs at a time."""
    min_replicas: int = Field(default=0, ge=0)
    """Replicas that stay without any work."""
    max_replicas: int | None = Field(default=None, ge=1)
    """Replicas at most."""
    idle_after_s: float | None = Field(default=None, ge=0)
    """A pool without work keeps a replica this long."""
    weight: float = Field(default=1.0, gt=0)
    """Share of a budget that does not suffice for all pools."""
    floor: int = Field(default=0, ge=0)
    """Replicas that a budget never takes from this pool while it needs them."""


class CeleryAppSettings(Section):
    """An app pool: somebody's own Celery application, seen by its broker alone."""

    queues: tuple[str, ...] = Field(min_length=1)
    """Queues that its workers consume."""
    broker_url: SecretStr = SecretStr("")
    """Its broker, as Celery writes it; this or `broker_url_file`."""
    broker_url_file: Path | None = None
    """A file that holds the URL."""
    transport_options: dict[str, JsonValue] = Field(default_factory=dict)
    """As the application's own `broker_transport_options`, where they tell how its queues are
    called or reached (`global_keyprefix`, `priority_steps`, `master_name`)."""
    silent_s: float = Field(default=90.0, ge=0)
    """A ready replica that is silent for so long and does not answer is replaced; 0 = never."""

    @model_validator(mode="after")
    def _one_broker_url(self) -> CeleryAppSettings:
        if bool(self.broker_url.get_secret_value()) == (self.broker_url_file is not None):
            raise ValueError("exactly one of broker_url and broker_url_file must be set")
        if len(set(self.queues)) < len(self.queues) or not all(self.queues):
            raise ValueError("queues must be names, each of them once")
        return self


class AutoscalerSettings(Section):
    """The process that sizes the pools."""

    mode: ScalingMode = "builtin"
    """builtin: it sizes the pools itself; keda, hpa: it decides, and that scaler asks for the
    number; none: it looks and tells, and nobody acts."""
    interval_s: float = Field(default=2.0, gt=0)
    """Between two decisions."""
    drain_s: float = Field(default=60.0, gt=0)
    """Clear whatever is queued within this many seconds of its arrival: the one value to choose."""
    slots: int = Field(default=2, ge=1, le=256)
    """Jobs that one replica runs at a time, where the pool does not say."""
    max_replicas: int = Field(default=10, ge=1)
    """Replicas of a pool at most, where the pool does not say."""
    idle_after_s: float = Field(default=45.0, ge=0)
    """A pool without work keeps a replica this long."""
    startup_s: float = Field(default=10.0, ge=0)
    """From the change of a scale to the first job of a new replica."""
    utilisation: float = Field(default=0.85, gt=0, le=1)
    """Share of the slots that a steady load may keep busy."""
    budget: int | None = Field(default=None, ge=0)
    """Replicas of all pools together; none = no limit but the pools' own."""
    pools: dict[str, PoolScaling] = Field(default_factory=dict)
    """By pool's name, what differs from the above; a JSON object in the environment."""
    apps: dict[str, CeleryAppSettings] = Field(default_factory=dict)
    """By pool's name, the app pools: queues and broker of somebody's own Celery application; a JSON
    object in the environment, `{"shop": {"queues": ["celery"], "broker_url_file": "/run/url"}}`."""
    release: str = "marea"
    """Label `app.kubernetes.io/instance` of the Deployments to size."""
    namespace: str = ""
    """Their namespace; empty = the pod's own."""
    name: str = ""
    """Of the Lease by which one of several acts; empty = `<release>-autoscaler`."""
    history: int = Field(default=1000, ge=1)
    """Decisions kept per pool for `marea scaling history`."""
    liveness_file: Path | None = None
    """Touched with each decision; see `marea autoscaler --help`."""
    liveness_port: int | None = Field(default=None, ge=0, le=65535)
    """Port that answers HTTP probes with the verdict on liveness_file; none = no port."""

    @model_validator(mode="after")
    def _port_has_a_file(self) -> AutoscalerSettings:
        if self.liveness_port is not None and self.liveness_file is None:
            raise ValueError(PORT_NEEDS_FILE)
        return self
