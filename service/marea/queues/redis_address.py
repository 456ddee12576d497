"""From the URL of a Redis, Valkey or Sentinel to clients, for broker and ledger alike.

    redis://[[user]:password@]host[:6379][/database]
    rediss://…                                                   the same over TLS
    redis+sentinel://[[user]:password@]host[:26379][,host…]/primary[/database]
    rediss+sentinel://…                                          TLS to servers and sentinels

    ?ssl_ca_certs=FILE           the CA that signed the servers' certificates; none = the system's
    &ssl_certfile=FILE&ssl_keyfile=FILE      a certificate of our own, where servers ask for one
    &ssl_cert_reqs=required|none             none trusts anybody: for a trial only
    &ssl_check_hostname=true|false           false: any name that the CA signed
    &sentinel_username=NAME                  an ACL user of the sentinels; the password is a setting

User and password are those of the servers; kombu and redis-py get the same meaning out of one
URL here, since left to themselves they differ (kombu verifies no certificate by default).
Every connection of ours asks the server whether it evicts, and is refused if it does: a queue
or a row that vanishes costs a sweep to find again.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from marea.errors import ConfigError
from marea.settings import BrokerSettings, LedgerSettings

SENTINEL_TIMEOUT_S = 1.0
"""To connect to a sentinel, and to be answered: they are asked one after the other, and a dead
one must not use up the time of its neighbours. Arbitrary; a live one answers in milliseconds."""

_FORM = (
    "write redis://[user@]host:6379/0, rediss://… for TLS, or"
    " redis+sentinel://[user@]host:26379[,host:26379]/PRIMARY/0"
)
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERT_REQS = {"required": ssl.CERT_REQUIRED, "none": ssl.CERT_NONE}
_PORTS = {False: 6379, True: 26379}


class EvictingServer(redis.ConnectionError):
    """The server would throw away queues and rows when its memory is full."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed URL. With `primary` the hosts are sentinels that know where that one is."""

    hosts: tuple[tuple[str, int], ...]
    primary: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] | None = None
    """redis-py's `ssl_` options; None = plain."""
    sentinel_login: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """The URL without passwords and parameters."""
        scheme = "redis" if self.tls is None else "rediss"
        primary = ""
        if self.primary:
            scheme, primary = f"{scheme}+sentinel", f"/{quote(self.primary, safe='')}"
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        hosts = ",".join(_place(host, port) for host, port in self.hosts)
        return f"{scheme}://{user}{hosts}{primary}/{self.database}"


def parse_redis_url(url: str, setting: str, sentinel_password: str = "") -> RedisAddress:
    """Raises `ConfigError` with a sentence that names the variable `setting`, never the URL,
    which may hold a password."""
    try:
        return _parse(url, sentinel_password)
    except ValueError as exc:
        raise ConfigError([f"{setting}: {exc}"]) from exc


def broker_address(broker: BrokerSettings) -> RedisAddress:
    """Raises `ConfigError`."""
    password = broker.sentinel_password.get_secret_value()
    return parse_redis_url(broker.full_url, "MAREA_BROKER__URL", password)


def ledger_address(ledger: LedgerSettings) -> RedisAddress:
    """Raises `ConfigError`."""
    password = ledger.sentinel_password.get_secret_value()
    return parse_redis_url(ledger.full_url, "MAREA_LEDGER__URL", password)


def open_client(address: RedisAddress, **options: Any) -> redis.Redis:
    """A client with `options` of redis-py's connections. Connects at first use."""
    options = {
        **options,
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "redis_connect_func": _connect_unless_evicting,
        **(address.tls or {}),
    }
    has_tls = address.tls is not None
    if address.primary:
        sentinels = Sentinel(  # type: ignore[no-untyped-call]
            address.hosts, sentinel_kwargs=_sentinel_options(address)
        )
        client: redis.Redis = sentinels.master_for(  # type: ignore[no-untyped-call]
            address.primary, ssl=has_tls, **options
        )
        return client
    ((host, port),) = address.hosts
    connection = redis.SSLConnection if has_tls else redis.Connection
    pool = redis.ConnectionPool(connection, host=host, port=port, **options)
    return redis.Redis.from_pool(pool)


@dataclass(frozen=True, slots=True)
class KombuAddress:
    """The same for kombu: `broker_url`, `broker_use_ssl` and additional transport options."""

    url: str = field(repr=False)
    use_ssl: dict[str, Any] | None = None
    transport_options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def kombu_address(address: RedisAddress) -> KombuAddress:
    """Sentinels become kombu's list of `sentinel://` addresses."""
    login = ":".join(quote(text or "", safe="") for text in (address.username, address.password))
    login = "" if login == ":" else f"{login}@"
    tls = None if address.tls is None else dict(address.tls)
    scheme = "sentinel" if address.primary else "redis" if tls is None else "rediss"
    urls = [
        f"{scheme}://{login}{_place(host, port)}/{address.database}" for host, port in address.hosts
    ]
    options = {}
    if address.primary:
        options = {
            "master_name": address.primary,
            "sentinel_kwargs": _sentinel_options(address),
        }
    return KombuAddress(";".join(urls), tls, options)


def refuse_evicting(client: Any) -> None:
    """For a client that is not `open_client`'s. Raises `EvictingServer`."""
    with suppress(redis.ResponseError):
        _refuse(client.info("memory"))


def explain(exc: BaseException) -> str:
    """What a client's error means, in the words of whoever has to mend it."""
    text = _CLIENT_IN_TEXT.sub(r"\1:\2", str(exc)) or type(exc).__name__
    for mark, meaning in _MEANINGS.items():
        if mark.lower() in text.lower():
            return f"{meaning} ({text})"
    return text


_CLIENT_IN_TEXT = re.compile(r"<redis\.client\.Redis\(.*?host=([^,]+),port=(\d+).*?\)>\)>\)>")
"""How redis-py spells a sentinel that did not answer, with its forty options."""
_CLOSED = (
    "the server closed the connection, as one does that is stopping, or wants TLS (rediss://),"
    " or a certificate of ours (ssl_certfile and ssl_keyfile), or has no password and so answers"
    " its own host alone (protected-mode)"
)
_MEANINGS = {
    "Hostname mismatch": "the server's certificate is for another name than the URL's",
    "IP address mismatch": "the server's certificate is for another address than the URL's",
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not signed by the CA that"
    " ssl_ca_certs names, or by the system's if it names none",
    "CERTIFICATE_REQUIRED": "the server asks for a certificate: name one with ssl_certfile and"
    " ssl_keyfile",
    "Timeout connecting to server": "the server did not answer in time; one without TLS on this"
    " port keeps silent to rediss://",
    "EOF occurred in violation": _CLOSED,
    "reset by peer": _CLOSED,
    "Connection closed by server": _CLOSED,
    "Broken pipe": _CLOSED,
    "invalid username-password pair": "the server refuses this user and password",
    "AuthenticationError": "the sentinels refuse the user or password for them, or ask for one",
    "Authentication required": "the server asks for a user and password",
    "already authenticated": "the server asks for a user and password",
    "no permissions": "the server's ACL does not let this user do what Marea does",
    "No master found": "no sentinel that answers knows a live primary of this name",
}
"""What stands in errors of redis-py, OpenSSL and Redis, and what it means. First match."""


def _connect_unless_evicting(connection: Any) -> None:
    """redis-py's greeting (login, database) and then our question. Without its health checks: on
    a connection that the server drops meanwhile they connect anew, and so on without end."""
    connection.on_connect_check_health(check_health=False)
    connection.send_command("INFO", "memory", check_health=False)
    try:
        reply = connection.read_response()
    except redis.ResponseError:
        return  # this user or this server has no INFO: unknown is no reason to refuse
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    _refuse(dict(line.split(":", 1) for line in text.splitlines() if ":" in line))


def _refuse(memory: Mapping[str, Any]) -> None:
    """`volatile-*` policies pass: what they take has a time to live, and that only rows of
    ended jobs have. Without a limit nothing is ever thrown away."""
    policy = str(memory.get("maxmemory_policy", ""))
    if policy.startswith("allkeys") and int(memory.get("maxmemory", 0)) > 0:
        raise EvictingServer(
            f"its maxmemory-policy is {policy}: once its memory is full it throws away queues and"
            " rows; set maxmemory-policy noeviction there"
        )


def _sentinel_options(address: RedisAddress) -> dict[str, Any]:
    """Of the connections to the sentinels themselves."""
    return {
        "socket_timeout": SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": SENTINEL_TIMEOUT_S,
        # redis-py's default is ten tries with pauses: the next sentinel is asked instead.
        "retry": Retry(NoBackoff(), 0),
        **address.sentinel_login,
        **({} if address.tls is None else {"ssl": True, **address.tls}),
    }


def _parse(url: str, sentinel_password: str) -> RedisAddress:
    parts = urlsplit(url)
    base, plus, kind = parts.scheme.partition("+")
    if base not in ("redis", "rediss") or (plus and kind != "sentinel"):
        raise ValueError(f"{parts.scheme}:// is no address of a Redis; {_FORM}")
    login, _, places = parts.netloc.rpartition("@")
    hosts = tuple(_host(place, _PORTS[bool(plus)]) for place in places.split(","))
    if len(hosts) > 1 and not plus:
        raise ValueError(f"several hosts need a sentinel to choose among them; {_FORM}")
    primary, database = _path(parts, bool(plus))
    username, _, password = login.partition(":")
    query = _query(parts.query)
    tls = _tls(query) if base == "rediss" else None
    if tls is None and (useless := [name for name in query if name.startswith("ssl_")]):
        raise ValueError(f"{', '.join(useless)} without TLS: write rediss{plus}{kind}://")
    if not plus and (sentinel_password or "sentinel_username" in query):
        raise ValueError(f"a sentinel's login without a sentinel; {_FORM}")
    sentinel_login = {
        name: text
        for name, text in (
            ("username", query.get("sentinel_username", "")),
            ("password", sentinel_password),
        )
        if text
    }
    return RedisAddress(
        hosts,
        primary,
        database,
        unquote(username) or None,
        unquote(password) or None,
        tls,
        sentinel_login,
    )


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(place: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{place!r} is no host and port; {_FORM}") from None
    if not host:
        raise ValueError(f"a host is missing; {_FORM}")
    return host, port or default_port


def _path(parts: SplitResult, has_sentinel: bool) -> tuple[str, int]:
    """Name of the primary and number of the database."""
    names = [unquote(name) for name in parts.path.strip("/").split("/") if name]
    primary = names.pop(0) if has_sentinel and names else ""
    if has_sentinel and (not primary or primary.isdigit()):
        raise ValueError(f"the name of the primary is missing; {_FORM}")
    database = names[0] if names else "0"
    if len(names) > 1 or not database.isdecimal():
        raise ValueError(f"the database must be a number, not {'/'.join(names)!r}; {_FORM}")
    return primary, int(database)


def _query(text: str) -> dict[str, str]:
    query = dict(parse_qsl(text, keep_blank_values=True))
    known = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname", "sentinel_username")
    unknown = [name for name in query if name not in known]
    if unknown:
        raise ValueError(f"unknown parameter {', '.join(unknown)}; there are {', '.join(known)}")
    return query


def _tls(query: Mapping[str, str]) -> dict[str, Any]:
    reqs = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if reqs not in _CERT_REQS:
        raise ValueError(f"ssl_cert_reqs={reqs}: must be required or none")
    check = query.get("ssl_check_hostname", "true").lower()
    if check not in ("true", "false"):
        raise ValueError(f"ssl_check_hostname={check}: must be true or false")
    options: dict[str, Any] = {
        "ssl_cert_reqs": _CERT_REQS[reqs],
        "ssl_check_hostname": reqs == "required" and check == "true",
    }
    for name in _FILES:
        if name not in query:
            continue
        try:
            Path(query[name]).read_bytes()
        except OSError as exc:
            raise ValueError(f"{name}={query[name]}: cannot be read: {exc.strerror}") from exc
        options[name] = query[name]
    if ("ssl_certfile" in options) != ("ssl_keyfile" in options):
        raise ValueError("ssl_certfile and ssl_keyfile go together: one of them is missing")
    return options
