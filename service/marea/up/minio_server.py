"""An embedded MinIO: the object store of one machine, with bucket events.

MinIO (AGPL) is only ever a separate process. `storage.s3_admin` makes buckets and connects
their events once it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from marea.up.servers import HOST, ServerProcess, answers_http, free_port, stored_secret
from marea.up.tools import find_minio

WEBHOOK_NAME = "MAREA"


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
    """Variables that make MinIO POST bucket events to `endpoint_url`.

    The token arrives as `Authorization: Bearer <token>`. Events wait in `queue_folder` while
    nobody listens, and a PUT returns only after its event is queued there; both narrow the
    window in which events are lost and neither closes it (the reconciler does).
    """
    queue_folder.mkdir(parents=True, exist_ok=True)
    return {
        f"MINIO_NOTIFY_WEBHOOK_ENABLE_{WEBHOOK_NAME}": "on",
        f"MINIO_NOTIFY_WEBHOOK_ENDPOINT_{WEBHOOK_NAME}": endpoint_url,
        f"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_{WEBHOOK_NAME}": token,
        f"MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_{WEBHOOK_NAME}": str(queue_folder.resolve()),
        "MINIO_API_SYNC_EVENTS": "on",
    }
