"""A notifier that keeps what it is given: for tests, simulations and trials without a receiver."""

from __future__ import annotations

from collections.abc import Callable

from marea.messages.notification import Notification


class MemoryNotifier:
    """The `Notifier` port on a list. `answer`, if given, stands for the receiver: called first
    with each notification, it raises `TransientError` or `PermanentError` to refuse it."""

    def __init__(self, answer: Callable[[Notification], None] | None = None) -> None:
        self._answer = answer
        self.sent: list[Notification] = []
        """What was delivered, in order; a repeated delivery is there twice."""

    def send(self, notification: Notification) -> None:
        if self._answer is not None:
            self._answer(notification)
        self.sent.append(notification)
