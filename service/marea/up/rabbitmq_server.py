"""An embedded RabbitMQ: the other broker, with its management API.

Everything that RabbitMQ shares by default between nodes of a machine is its own here: node
name registry (epmd) and its port, distribution port, cookie, data, logs, configuration. So it
neither meets nor disturbs a RabbitMQ that the machine runs.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from marea.errors import ConfigError
from marea.up.servers import (
    HOST,
    ServerNotReady,
    ServerProcess,
    answers,
    answers_http,
    free_port,
    stored_secret,
)
from marea.up.tools import find_rabbitmq

ACCOUNT = "rabbitmq"
AMQP_0_9_1 = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
MANAGEMENT_TIMEOUT_S = 10.0


class RabbitMqServer(ServerProcess):
    """One node with `rabbitmq_management`.

    Started by root it runs as the `rabbitmq` user, if that can reach `folder`; started by
    anybody else, as that user.
    """

    name: ClassVar[str] = "rabbitmq"
    # Measured: 4 s on an idle 2-core machine, 25 s on one busy with three other suites.
    ready_timeout_s: ClassVar[float] = 120.0
    stop_timeout_s: ClassVar[float] = 30.0

    def __init__(
        self, folder: Path, port: int | None = None, *, die_with_parent: bool = True
    ) -> None:
        super().__init__(folder, port, die_with_parent=die_with_parent)
        self.user = "marea"
        self.password = stored_secret(self.folder / "password")
        self.management_port = free_port()
        self._distribution_port = free_port()
        self._registry = _NodeRegistry(self.folder / "epmd", die_with_parent=die_with_parent)

    def url(self, vhost: str = "/") -> str:
        """`amqp://…` with user and password."""
        return f"amqp://{self.user}:{self.password}@{HOST}:{self.port}/{quote(vhost, safe='')}"

    @property
    def management_url(self) -> str:
        """`http://user:password@host:port` of the management API."""
        return f"http://{self.user}:{self.password}@{HOST}:{self.management_port}"

    def add_vhost(self, vhost: str) -> str:
        """Make a virtual host, as isolated as a broker of its own; its URL."""
        name = quote(vhost, safe="")
        self.ask_management("PUT", f"/api/vhosts/{name}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.ask_management("PUT", f"/api/permissions/{name}/{self.user}", everything)
        return self.url(vhost)

    def remove_vhost(self, vhost: str) -> None:
        """Drop a virtual host with its queues and messages."""
        self.ask_management("DELETE", f"/api/vhosts/{quote(vhost, safe='')}")

    def ask_management(self, method: str, path: str, body: Any = None) -> Any:
        """The reply of the management API, parsed. Raises `ServerNotReady` if it refuses."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection(
            HOST, self.management_port, timeout=MANAGEMENT_TIMEOUT_S
        )
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
            )
            reply = connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException) as exc:
            raise ServerNotReady(f"RabbitMQ's management API does not answer: {exc}") from exc
        finally:
            connection.close()
        if reply.status >= 300:
            raise ServerNotReady(f"RabbitMQ refused {method} {path}: {reply.status} {text!r}")
        return json.loads(text) if text else None

    def is_ready(self) -> bool:
        # RabbitMQ opens its listeners last, when users, vhosts and queues are there.
        return answers(
            self.port, AMQP_0_9_1, lambda frame: frame.startswith(METHOD_FRAME)
        ) and answers_http(self.management_port, "/")

    def _account(self) -> str | None:
        return _account_for(self.folder)

    def _prepare(self) -> None:
        self._registry.start()
        files = {
            "rabbitmq.conf": self._configuration(),
            "enabled_plugins": "[rabbitmq_management].\n",
            # With these empty, the machine's own under /etc/rabbitmq have no say.
            "env.conf": "",
            "advanced.config": "[].\n",
        }
        for name, text in files.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_text(text, encoding="utf-8")
        stored_secret(self.folder / ".erlang.cookie")
        (self.folder / ".erlang.cookie").chmod(0o400)
        account = self._account()
        if account is not None:
            owner = pwd.getpwnam(account)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    def _clean_up(self) -> None:
        self._registry.stop()

    def _configuration(self) -> str:
        return "\n".join(
            (
                f"listeners.tcp.default = {HOST}:{self.port}",
                f"management.tcp.ip = {HOST}",
                f"management.tcp.port = {self.management_port}",
                f"default_user = {self.user}",
                f"default_pass = {self.password}",
                "loopback_users = none",
                "log.console = true",
                "log.console.level = warning",
                "log.file = false",
                # RabbitMQ's own default; below it publishes are blocked, not lost.
                "disk_free_limit.absolute = 50MB",
                "",
            )
        )

    def _command(self) -> list[str]:
        return [str(find_rabbitmq())]

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),  # where the Erlang cookie is looked for
            "RABBITMQ_NODENAME": "marea@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._registry.port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # The start script then becomes the server instead of its parent, so that our
            # signals and the kernel's reach the server itself. It means nothing else to it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


class _NodeRegistry(ServerProcess):
    """Erlang's port mapper. RabbitMQ would otherwise start a daemon that outlives it."""

    name: ClassVar[str] = "epmd"

    def is_ready(self) -> bool:
        names_request = b"\x00\x01n"
        return answers(self.port, names_request, lambda reply: len(reply) >= 4)

    def _account(self) -> str | None:
        return _account_for(self.folder)

    def _command(self) -> list[str]:
        program = shutil.which("epmd")
        if program is None:
            raise ConfigError(["epmd, a part of Erlang, is not on the PATH"])
        return [program, "-port", str(self.port), "-address", HOST]


def _account_for(folder: Path) -> str | None:
    """`rabbitmq` if we are root, the user exists and may pass through to `folder`."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None
    passable = all(parent.stat().st_mode & 0o001 for parent in folder.parents)
    return ACCOUNT if passable else None
