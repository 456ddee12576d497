"""A demonstration store for machines where MinIO cannot be had: moto's server.

It keeps everything in memory and sends no bucket events, so uploads are found by the
reconciler's sweep only. `volatile` lets the caller say so.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import ClassVar

from marea.errors import ConfigError
from marea.up.servers import HOST, ServerProcess, answers_http


class MotoServer(ServerProcess):
    """`python -m moto.server`. Any key pair is accepted."""

    name: ClassVar[str] = "moto"
    volatile: ClassVar[bool] = True

    access_key: ClassVar[str] = "marea"
    secret_key: ClassVar[str] = "any-key-will-do"  # noqa: S105 - moto checks none

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        return answers_http(self.port, "/moto-api/data.json")

    def _command(self) -> list[str]:
        if importlib.util.find_spec("moto") is None:
            raise ConfigError(["moto is not installed: `pip install 'marea[local]'` brings it"])
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]
