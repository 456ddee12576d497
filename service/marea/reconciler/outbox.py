"""Sends what waits in the outbox: completion notices, and removals of retired artifacts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from marea.errors import PermanentError, TransientError
from marea.lifecycle.commit import META_DIGEST, META_JOB
from marea.lifecycle.finish import RETIRE_URL, Place
from marea.messages.notification import Notification
from marea.notify.notifier import Notifier
from marea.perform import Performer
from marea.settings import NotifySettings

log = structlog.get_logger("marea.reconciler")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 3600.0
"""Between tries of one notification, doubling; with 20 tries that is most of a day, as
other webhook senders do (arbitrary within that custom)."""


@dataclass
class Outbox:
    """A dead receiver costs its own notifications only; no worker waits for it."""

    performer: Performer
    notifier: Notifier
    settings: NotifySettings
    place: Place

    def send_due(self, limit: int) -> int:
        """Send up to `limit` due entries, within a few timeouts; how many left the outbox."""
        ports = self.performer.ports
        until = ports.clock.now() + 2 * self.settings.timeout_s
        left = 0
        for notification in ports.ledger.outbox_due(ports.clock.now(), limit):
            if ports.clock.now() >= until:
                break
            left += self._send(notification)
        return left

    def _send(self, notification: Notification) -> bool:
        ledger = self.performer.ports.ledger
        try:
            if notification.url == RETIRE_URL:
                self._retire(notification)
            else:
                self.notifier.send(notification)
        except TransientError as exc:
            tries = notification.tries + 1
            if tries < self.settings.max_tries:
                pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (tries - 1))
                ledger.outbox_save(
                    replace(
                        notification, tries=tries, due_at=self.performer.ports.clock.now() + pause_s
                    )
                )
                return False
            self._give_up(notification, str(exc))
        except PermanentError as exc:
            self._give_up(notification, str(exc))
        ledger.outbox_remove(notification.id)
        return True

    def _give_up(self, notification: Notification, reason: str) -> None:
        log.error("notification given up", job_id=notification.job_id, reason=reason)
        self.performer.ports.ledger.note(
            "notifications-given-up",
            {
                "id": notification.id,
                "job_id": notification.job_id,
                "url": notification.url,
                "reason": reason,
            },
        )

    def _retire(self, notification: Notification) -> None:
        """Remove an artifact that the pipeline's newer digest no longer makes, if it is
        still that one."""
        store = self.performer.ports.store
        bucket, key = str(notification.body["bucket"]), str(notification.body["key"])
        head = store.head(bucket, key)
        if (
            head is not None
            and head.metadata.get(META_JOB) == notification.job_id
            and head.metadata.get(META_DIGEST) == notification.body["digest"]
        ):
            store.delete(bucket, key)
