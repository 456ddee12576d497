"""The port through which subscribers are told that a job ended."""

from __future__ import annotations

from typing import Protocol

from marea.messages.notification import Notification


class Notifier(Protocol):
    """Sends one notification. Called by the reconciler only, never on a worker's slot."""

    def send(self, notification: Notification) -> None:
        """Deliver. Raises `TransientError` to be tried again, `PermanentError` to give up."""
        ...
