"""An embedded MinIO: the object store of one machine, with bucket events.

MinIO (AGPL) is only ever a separate process. `storage.s3_admin` makes buckets and connects
their events once it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from marea.storage.s3_admin import MINIO_DIRECT, MINIO_KEPT
from marea.up.servers import HOST, ServerProcess, answers_http, free_port, stored_secret
from marea.up.tools import find_minio


class MinioServer(ServerProcess):
    """A single-drive MinIO on `folder`/data. `access_key` and `secret_key` are kept there."""

    name: ClassVar[str] = "minio"
    volatile: ClassVar[bool] = False

    def __init__(
        self, folder: Path, port: int | None = None, *, die_with_parent: bool = True
    ) -> None:
        super().__init__(folder, port, die_with_parent=die_with_parent)
        self.access_key = "marea"
        self.secret_key = stored_secret(self.folder / "secret-key")
        self._console_port = free_port()

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        return answers_http(self.port, "/minio/health/ready")

    def start(self, env: Mapping[str, str] | None = None) -> Self:
        """As `ServerProcess.start`; `webhook_environment` makes the `env` for bucket events."""
        return super().start(env)

    def _command(self) -> list[str]:
        return [
            str(find_minio()),
            "server",
            "--quiet",
            "--address",
            f"{HOST}:{self.port}",
            # Off below, yet it still takes a port: one that nobody else was given.
            "--console-address",
            f"{HOST}:{self._console_port}",
            str(self.folder / "data"),
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",  # never asks the network for a newer release
        }


def webhook_environment(endpoint_url: str, token: str, queue_folder: Path) -> dict[str, str]:
    """Variables that make MinIO POST bucket events to `endpoint_url`, each of them twice.

    Once directly, some milliseconds after the PUT, and lost if nobody listens; once by way of
    `queue_folder`, where it waits until somebody does, but where MinIO only looks each 3 s.
    The gateway knows the second for a repetition. An event whose store dies at once is
    lost all the same: the sweep finds its upload. The token arrives as
    `Authorization: Bearer <token>`.
    """
    queue_folder.mkdir(parents=True, exist_ok=True)
    variables: dict[str, str] = {}
    for name in (MINIO_KEPT, MINIO_DIRECT):
        variables |= {f"ENABLE_{name}": "on", f"ENDPOINT_{name}": endpoint_url}
        variables[f"AUTH_TOKEN_{name}"] = token
    variables[f"QUEUE_DIR_{MINIO_KEPT}"] = str(queue_folder.resolve())
    return {f"MINIO_NOTIFY_WEBHOOK_{name}": text for name, text in variables.items()}
