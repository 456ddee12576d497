"""The sections for what the processes connect to: object store, broker, ledger.

Part of `settings.py`, which reads them and hands them out; import them from there. Passwords
may come apart from the URLs, since whoever deploys has them in a secret of their own: clients
are built from `full_url`, never from `url`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, model_validator

from marea.settings_text import has_password, url_place, url_user, with_password

FROM_FILE: dict[str, JsonValue] = {"from_file": True}
"""Marks a field that is no secret and can still be given as a file: it comes in pair with one."""

REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "sentinel")
"""Of a broker that is a Redis or Valkey. kombu's own `sentinel` is refused with a sentence when
the client is built: it cannot name the primary."""


PORT_NEEDS_FILE = "liveness_file must be set as well: the port answers what the file says"


class Section(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoreSettings(Section):
    """The S3-compatible object store."""

    endpoint_url: str | None = None
    """Address of the store; none = AWS."""
    region: str = "us-east-1"
    """Signed into every request; stores other than AWS mostly accept any."""
    access_key: str = Field(default="", json_schema_extra=FROM_FILE)
    """Access key id, or a file that holds it by `…_FILE`; empty = boto3's own chain (environment,
    instance role)."""
    secret_key: SecretStr = SecretStr("")
    """The access key's secret."""
    source_buckets: tuple[str, ...] = ("uploads",)
    """Buckets whose uploads are processed; JSON list in the environment."""
    results_bucket: str = "results"
    """Bucket for artifacts and records; never one of the source buckets."""
    reserved_prefix: str = ".marea/"
    """Where records and intents live in the results bucket."""
    public_endpoint_url: str | None = None
    """Address under which clients reach the store, for presigned uploads; none = endpoint_url."""
    connect_timeout_s: float = Field(default=3.0, gt=0)
    """A connection not made within this counts as the store being away."""
    read_timeout_s: float = Field(default=30.0, gt=0)
    """A reply slower than this counts as the store being away."""
    allow_unordered: bool = False
    """Run on a store without conditional PUT, giving up the order of one key's versions."""

    @model_validator(mode="after")
    def _buckets_differ(self) -> StoreSettings:
        if self.results_bucket in self.source_buckets:
            raise ValueError(
                f"results_bucket {self.results_bucket!r} is also a source bucket: results would"
                " be taken for uploads; choose another bucket"
            )
        if not self.source_buckets:
            raise ValueError("source_buckets is empty: name at least one bucket")
        if not self.reserved_prefix.endswith("/"):
            raise ValueError("reserved_prefix must end with '/'")
        return self


class BrokerSettings(Section):
    """The Celery broker: Redis/Valkey or RabbitMQ."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """`redis://`, `rediss://` (TLS), `redis+sentinel://`, `rediss+sentinel://`, or `amqp://`,
    `amqps://`; docs/redis.md and docs/rabbitmq.md have their forms and parameters."""
    password: SecretStr = SecretStr("")
    """For a URL that names the user alone, `amqp://marea@host:5672/marea`; any characters, put
    into it percent-encoded."""
    sentinel_password: SecretStr = SecretStr("")
    """Password of the sentinels themselves, where they ask for one."""
    management_url: SecretStr = SecretStr("")
    """RabbitMQ's management API, `http://user:password@host:15672`, to count unacknowledged
    messages; user and password default to the broker's. Empty = counted from the workers'
    heartbeats."""
    socket_timeout_s: float = Field(default=15.0, gt=2)
    """Above the blocking pop's 1 s; redis-py's default of 5 s is too near to it."""
    publish_timeout_s: float = Field(default=10.0, gt=0)
    """A publish not confirmed within this is `broker-unavailable`."""
    delivery_limit: int = Field(default=20, ge=1)
    """RabbitMQ: deliveries of one message before it is dead-lettered. RabbitMQ 4's default;
    the budget of attempts is smaller, so only a message that no worker can even decode or
    claim comes this far."""

    @model_validator(mode="after")
    def _one_password(self) -> BrokerSettings:
        _require_one_password(self.url, self.password)
        needs_user = self.kind == "rabbitmq" and self.password.get_secret_value()
        if needs_user and not url_user(self.url.get_secret_value()):
            raise ValueError("url names no user for the password: write amqp://USER@host/vhost")
        return self

    @property
    def full_url(self) -> str:
        """The URL with the password in it: what clients are built from. Not for logs."""
        return with_password(self.url.get_secret_value(), self.password.get_secret_value())

    @property
    def full_management_url(self) -> str:
        """The management API's URL with user and password in it; empty = none."""
        url, broker = self.management_url.get_secret_value(), self.url.get_secret_value()
        if not url or has_password(url):
            return url
        return with_password(url, self.password.get_secret_value(), url_user(broker))

    @property
    def place(self) -> str:
        """Where it is, without user, password and parameters: for logs."""
        return url_place(self.url.get_secret_value())

    @property
    def kind(self) -> str:
        """`redis` or `rabbitmq`, or the URL's scheme for what else kombu speaks."""
        scheme = self.url.get_secret_value().split("://", 1)[0]
        if scheme in REDIS_SCHEMES:
            return "redis"
        return "rabbitmq" if scheme in ("amqp", "amqps", "pyamqp") else scheme


class LedgerSettings(Section):
    """The Redis/Valkey that holds the ledger."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/1")
    """`redis://`, `rediss://` (TLS), `redis+sentinel://` or `rediss+sentinel://`, see
    docs/redis.md; a database of its own, also beside a Redis broker."""
    password: SecretStr = SecretStr("")
    """For a URL that names the user alone, or nobody (`redis://host:6379/1`); any characters."""
    sentinel_password: SecretStr = SecretStr("")
    """Password of the sentinels themselves, where they ask for one."""
    prefix: str = "marea:"
    """Start of every key, so that installations can share one Redis."""
    retention_s: float = Field(default=7 * 86400.0, gt=0)
    """How long an ended job can be asked for by id; its record in the bucket stays."""
    timeout_s: float = Field(default=5.0, gt=0)
    """To connect, and to be answered; later counts as `ledger-unavailable`."""

    @model_validator(mode="after")
    def _one_password(self) -> LedgerSettings:
        _require_one_password(self.url, self.password)
        return self

    @property
    def full_url(self) -> str:
        """The URL with the password in it: what clients are built from. Not for logs."""
        return with_password(self.url.get_secret_value(), self.password.get_secret_value())

    @property
    def place(self) -> str:
        """Where it is, without user, password and parameters: for logs."""
        return url_place(self.url.get_secret_value())


def _require_one_password(url: SecretStr, password: SecretStr) -> None:
    if password.get_secret_value() and has_password(url.get_secret_value()):
        raise ValueError("password is given, and the URL holds one as well: leave one of them out")
