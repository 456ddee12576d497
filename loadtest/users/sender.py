"""What all senders do: take the next upload of their way when it is due, send, write it down."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass

from locust import User, task

from loadtest.files import LoadFile, make_file
from loadtest.history import Operation
from loadtest.runs.data import Send, Way
from loadtest.schedule import Arrival
from loadtest.users.session import current_session

IDLE_S = 0.25
"""Between two looks of a sender that has nothing to do."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one upload."""

    operation: Operation
    problem: str = ""


class Sender(User):
    """One connection's worth of uploads. As many senders as uploads may be under way at once."""

    abstract = True
    way: Way

    def on_start(self) -> None:
        self.session = current_session()

    @task
    def send_next(self) -> None:
        arrival = self.session.line.take(self.way)
        if arrival is None:
            time.sleep(IDLE_S)  # gevent's, under Locust: other users go on
            return
        try:
            self._send(arrival)
        finally:
            self.session.line.done()

    def _send(self, arrival: Arrival) -> None:
        file = self.file_of(arrival)
        began_at = self.session.line.began_at
        sent_s = time.time() - began_at
        result = self.upload(arrival, file)
        done_s = time.time() - began_at
        operation = result.operation
        self.session.notebook.sent(
            Send(
                number=arrival.number,
                due_s=arrival.due_s,
                sent_s=sent_s,
                done_s=done_s,
                way=arrival.way,
                key=arrival.key,
                kind=arrival.kind,
                size_bytes=len(file.body),
                outcome=operation.outcome,
                problem=result.problem,
            )
        )
        if operation.outcome == "ok" and operation.expected:
            self.session.latest.append(operation)
        is_well = operation.outcome == "ok" and not result.problem
        self.environment.events.request.fire(
            request_type=self.way,
            name="upload, from when it was due",
            response_time=(done_s - arrival.due_s) * 1000,
            response_length=len(file.body),
            exception=None if is_well else RuntimeError(result.problem or operation.outcome),
            context={},
        )

    def file_of(self, arrival: Arrival) -> LoadFile:
        return make_file(arrival.kind, arrival.key, arrival.serial)

    @abstractmethod
    def upload(self, arrival: Arrival, file: LoadFile) -> Sent:
        """Send it. Never raises what the platform did: the outcome says it."""
