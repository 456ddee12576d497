"""One tree of settings, and the only reader of the environment.

Precedence: default < settings file (YAML) < environment < command-line flag. A variable is
`MAREA_<SECTION>__<FIELD>`; a secret can be given as a file by `MAREA_<SECTION>__<FIELD>_FILE`.
An unknown `MAREA_` variable is an error, and all errors are told at once. Each function is
handed its section, never the whole tree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from marea.errors import ConfigError
from marea.settings_scaling import AutoscalerSettings
from marea.settings_servers import (
    FROM_FILE,
    PORT_NEEDS_FILE,
    BrokerSettings,
    LedgerSettings,
    Section,
    StoreSettings,
)
from marea.settings_text import merge, parse_json, read_env_file, read_settings_file

__all__ = [
    "AutoscalerSettings",
    "BrokerSettings",
    "GatewaySettings",
    "LedgerSettings",
    "LogSettings",
    "NotifySettings",
    "ReconcilerSettings",
    "Section",
    "Settings",
    "StoreSettings",
    "WorkerSettings",
    "load_settings",
    "own_variables",
    "variable_name",
]

PREFIX = "MAREA_"
SETTINGS_FILE_VARIABLE = "MAREA_SETTINGS_FILE"


class GatewaySettings(Section):
    """The HTTP process."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a container."""
    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port to listen on; 0 = a free one, told in the log."""
    event_token: SecretStr = SecretStr("")
    """Bearer token that the store sends with events; empty = events are not accepted."""
    api_tokens: dict[str, SecretStr] = Field(default_factory=dict)
    """Token by `name:scope+scope` (scopes: read, submit, admin), JSON object in the
    environment, e.g. `{"ops:read+submit+admin": "…"}`; empty = the API answers nobody."""
    max_body_bytes: int = Field(default=4 * 2**20, gt=0)
    """Events of 1,000 records with 1 KiB keys are about 2 MiB."""
    max_json_depth: int = Field(default=32, gt=0)
    """Nesting of an event's JSON; real ones have fewer than 10 levels."""
    max_events_per_body: int = Field(default=10_000, gt=0)
    """Records in one event body; stores send 1 to 1,000."""
    presign_expires_s: int = Field(default=900, ge=1, le=604_800)
    """How long a presigned upload may be started; S3 allows 7 days at most."""
    upload_max_bytes: int = Field(default=64 * 2**20, gt=0)
    """Largest presigned upload."""
    retry_after_s: int = Field(default=2, ge=1)
    """Retry-After of a 503."""


class WorkerSettings(Section):
    """A pool's worker process and its children."""

    pool: str = Field(default="images", pattern=r"^[a-z0-9-]{1,40}$")
    """The pool whose queues it serves; `quarantine` runs one job at a time."""
    replica: str = Field(default="", pattern=r"^[A-Za-z0-9.-]{0,253}$")
    """What this process is called where replicas are listed; empty = the host's name, which is
    the pod's in Kubernetes."""
    concurrency: int = Field(default=2, ge=1, le=256)
    """Prefork children: jobs running at once."""
    soft_time_limit_s: float = Field(default=120.0, gt=0)
    """A job is told to stop, and is `rejected(time-limit)`."""
    hard_time_limit_s: float = Field(default=150.0, gt=0)
    """A child that did not stop is killed; charged to the job's attempts."""
    max_attempts: int = Field(default=3, ge=1)
    """Starts charged to a job before it is `dead`."""
    heartbeat_s: float = Field(default=5.0, gt=0)
    """Between two signs of life in the ledger."""
    lease_s: float = Field(default=15.0, gt=0)
    """A worker not heard of for this long is dead and its messages are requeued; three
    missed heartbeats, well within the promised 30 s."""
    retry_backoff_s: float = Field(default=1.0, gt=0)
    """First pause after trouble outside the job; doubles up to retry_backoff_max_s."""
    retry_backoff_max_s: float = Field(default=60.0, gt=0)
    """Longest pause between two tries after trouble outside the job."""
    max_jobs_per_child: int = Field(default=500, ge=1)
    """Children are renewed after this many jobs, against slow leaks in native code."""
    memory_limit_bytes: int = Field(default=2 * 2**30, ge=0)
    """Address-space headroom of a child for one job (RLIMIT_AS above what it uses); 0 = none.
    A 64-megapixel RGBA decode with two working copies is 0.8 GiB."""
    liveness_file: Path | None = None
    """Touched by the parent while its loop turns; see `marea worker --help`."""
    liveness_port: int | None = Field(default=None, ge=0, le=65535)
    """Port that answers HTTP probes with the verdict on liveness_file; none = no port."""

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> WorkerSettings:
        if self.hard_time_limit_s <= self.soft_time_limit_s:
            raise ValueError("hard_time_limit_s must be above soft_time_limit_s")
        if self.lease_s < 2 * self.heartbeat_s:
            raise ValueError("lease_s must be at least twice heartbeat_s: one beat may be late")
        if self.liveness_port is not None and self.liveness_file is None:
            raise ValueError(PORT_NEEDS_FILE)
        return self

    @property
    def visibility_timeout_s(self) -> float:
        """kombu's last resort, the same in every client (the shortest wins): above the hard
        time limit and a warm shutdown."""
        return self.hard_time_limit_s * 2 + 60


class ReconcilerSettings(Section):
    """The process that makes the promises true."""

    tick_s: float = Field(default=1.0, gt=0)
    """Between looks at delayed jobs, dead workers, the outbox and the dead letters."""
    sweep_interval_s: float = Field(default=60.0, gt=0)
    """From the end of a full sweep of the buckets to the start of the next."""
    sweep_budget_s: float = Field(default=5.0, gt=0)
    """How long one tick may sweep before it lets the other duties have their turn."""
    sweep_grace_s: float = Field(default=10.0, ge=0)
    """Versions younger than this are left to their events."""
    page_size: int = Field(default=1000, ge=1, le=1000)
    """Rows per listing request; S3 gives 1,000 at most."""
    evidence_interval_s: float = Field(default=5.0, gt=0)
    """Between two readings of the queues against the ledger (design rule 6)."""
    republish_backoff_s: float = Field(default=10.0, gt=0)
    """A job is not republished twice within this, doubling per publish."""
    accepted_timeout_s: float = Field(default=10.0, gt=0)
    """A job accepted but not marked as published for this long is published again."""
    tenant_quota: int = Field(default=10_000, ge=1)
    """Jobs of one tenant in the broker at once; the rest wait in the ledger (rule 13)."""
    liveness_file: Path | None = None
    """Touched while the loop goes on; see `marea reconciler --help`."""
    liveness_port: int | None = Field(default=None, ge=0, le=65535)
    """Port that answers HTTP probes with the verdict on liveness_file; none = no port."""

    @model_validator(mode="after")
    def _port_has_a_file(self) -> ReconcilerSettings:
        if self.liveness_port is not None and self.liveness_file is None:
            raise ValueError(PORT_NEEDS_FILE)
        return self


class NotifySettings(Section):
    """Completion webhook."""

    url: str = ""
    """POSTed to when a job ends; empty = nobody is told."""
    secret: SecretStr = SecretStr("")
    """Key of the HMAC-SHA256 signature."""
    timeout_s: float = Field(default=5.0, gt=0)
    """A subscriber that has not answered 2xx within this is tried again later."""
    max_tries: int = Field(default=20, ge=1)
    """Deliveries tried before a notification is given up."""


class LogSettings(Section):
    """Logs, one JSON object a line, or for people."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """The least urgent lines to write: debug, info, warning or error."""
    format: str = Field(default="json", pattern="^(json|console)$")
    """json, or console for people."""


class Settings(Section):
    """The whole tree. Built by `load_settings` only."""

    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    ledger: LedgerSettings = LedgerSettings()
    gateway: GatewaySettings = GatewaySettings()
    worker: WorkerSettings = WorkerSettings()
    reconciler: ReconcilerSettings = ReconcilerSettings()
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    notify: NotifySettings = NotifySettings()
    logs: LogSettings = LogSettings()
    rules_file: Path | None = None
    """YAML rule table; none = the built-in rules (see `marea route test --help`)."""
    pipelines_file: Path | None = None
    """YAML pipelines; none = the built-in ones only (see `marea pipelines list`)."""


def load_settings(
    environment: Mapping[str, str] | None = None,
    *,
    env_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read file, `env_file` (as `marea up` writes it), environment and `overrides` (nested
    like the tree); each wins over the one before.

    Raises `ConfigError` with every problem, each naming its variable or file entry.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251
    if env_file is not None:
        environment = {**read_env_file(env_file), **environment}
    problems: list[str] = []
    tree = read_settings_file(
        SETTINGS_FILE_VARIABLE, environment.get(SETTINGS_FILE_VARIABLE), problems
    )
    for name in sorted(environment):
        if name.startswith(PREFIX) and name != SETTINGS_FILE_VARIABLE:
            _place_variable(name, environment[name], tree, problems)
    if overrides:
        merge(tree, overrides)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as exc:
        problems.extend(_sentence(error) for error in exc.errors())
    else:
        if not problems:
            return settings
    raise ConfigError(problems)


def own_variables() -> dict[str, str]:
    """The `MAREA_` variables that this process was started with, to hand on to children."""
    environment = os.environ  # noqa: TID251
    return {name: text for name, text in environment.items() if name.startswith(PREFIX)}


def variable_name(*path: str) -> str:
    """`("store", "region")` → `MAREA_STORE__REGION`."""
    return PREFIX + "__".join(part.upper() for part in path)


def _place_variable(name: str, text: str, tree: dict[str, Any], problems: list[str]) -> None:
    path = name.removeprefix(PREFIX).lower().split("__")
    model: type[BaseModel] = Settings
    is_file = False
    for depth, part in enumerate(path):
        field = model.model_fields.get(part)
        if field is None and depth == len(path) - 1 and part.endswith("_file"):
            part = path[depth] = part.removesuffix("_file")
            field, is_file = model.model_fields.get(part), True
            if field is not None and not _takes_file(field):
                field = None
        if field is None:
            problems.append(f"{name}: unknown variable; `marea settings` lists them")
            return
        annotation = field.annotation
        is_section = isinstance(annotation, type) and issubclass(annotation, Section)
        if is_section != (depth < len(path) - 1):
            problems.append(f"{name}: unknown variable; `marea settings` lists them")
            return
        if is_section:
            model = annotation  # type: ignore[assignment]
    if is_file:
        try:
            text = Path(text).read_text(encoding="utf-8").rstrip("\n")
        except OSError as exc:
            problems.append(f"{name}: cannot read the secret's file: {exc}")
            return
    value: Any = text
    annotation_text = str(field.annotation) if field is not None else ""
    if annotation_text.startswith(("tuple", "dict")):
        parsed = parse_json(name, text, problems)
        if parsed is None:
            return
        value = parsed
    elif text == "" and "None" in annotation_text:
        value = None
    node = tree
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = value


def _sentence(error: Any) -> str:
    path = [str(part) for part in error["loc"]]
    shown = "" if _is_secret(path) else error.get("input")
    given = f" (given: {shown!r})" if isinstance(shown, str | int | float) else ""
    message = error["msg"].removeprefix("Value error, ")
    field, _, rest = message.partition(" ")
    if error["type"] == "value_error" and field in _fields_of(path):
        # A rule about several fields names the one to change as its first word.
        path, message = [*path, field], rest
    return f"{variable_name(*path)}: {message}{given}"


def _is_secret(path: list[str]) -> bool:
    """Whether what was given for the field at `path`, or within it, must not be shown."""
    return any(
        "url" in name or _holds_secret(field.annotation)
        for depth, name in enumerate(path)
        if (field := _fields_of(path[:depth]).get(name)) is not None
    )


def _holds_secret(annotation: Any) -> bool:
    """Whether it is a secret, or a collection of sections that have one."""
    return "SecretStr" in str(annotation) or any(
        "SecretStr" in str(field.annotation)
        for kind in get_args(annotation)
        if isinstance(kind, type) and issubclass(kind, Section)
        for field in kind.model_fields.values()
    )


def _takes_file(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or field.json_schema_extra == FROM_FILE


def _fields_of(path: list[str]) -> Mapping[str, FieldInfo]:
    """The fields of the section at `path`; none if it is no section."""
    model: type[Section] = Settings
    for part in path:
        field = model.model_fields.get(part)
        kind = field.annotation if field is not None else None
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            return {}
        model = kind
    return model.model_fields
