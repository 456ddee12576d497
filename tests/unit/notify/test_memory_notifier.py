"""The notifier that keeps what it is given."""

from __future__ import annotations

import pytest

from marea.errors import TransientError
from marea.messages.notification import Notification
from marea.notify.memory import MemoryNotifier


def test_keeps_what_was_delivered_in_order() -> None:
    notifier = MemoryNotifier()
    first, second = (Notification(name, "job", "", {}) for name in "ab")
    for each in (first, second, first):
        notifier.send(each)
    assert notifier.sent == [first, second, first]


def test_keeps_nothing_that_the_receiver_refused() -> None:
    def answer(notification: Notification) -> None:
        if not notification.tries:
            raise TransientError("not yet")

    notifier = MemoryNotifier(answer)
    with pytest.raises(TransientError):
        notifier.send(Notification("a", "job", "", {}))
    notifier.send(Notification("a", "job", "", {}, tries=1))
    assert [each.tries for each in notifier.sent] == [1]
