"""What the users of one process share: the scenario, the platform, the line, the notebook."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import requests

from loadtest.collect import open_client
from loadtest.history import Operation
from loadtest.scenario import Load
from loadtest.target import Target
from loadtest.users.line import Line
from loadtest.users.notebook import Notebook

WATCHED = 200
"""The latest uploads, which watchers take theirs from. Arbitrary."""


@dataclass
class Session:
    """Made once a process, before its first user."""

    load: Load
    target: Target
    line: Line
    notebook: Notebook
    latest: deque[Operation] = field(default_factory=lambda: deque(maxlen=WATCHED))

    @cached_property
    def client(self) -> Any:
        """Shared, as a program with many uploads would; safe between greenlets."""
        return open_client(self.target.store, connections=self.load.senders + self.load.watchers)

    def open_api(self) -> requests.Session:
        """Connections of one user's own to the gateway, with the token."""
        api = requests.Session()
        api.headers["Authorization"] = f"Bearer {self.target.api_token}"
        return api

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(way for way, weight in self.load.ways.items() if weight > 0)


_current: list[Session] = []


def set_session(session: Session) -> None:
    _current[:] = [session]


def current_session() -> Session:
    """Raises `RuntimeError` before it was set: a user outside `loadtest/locustfile.py`."""
    if not _current:
        raise RuntimeError("no scenario was chosen: use loadtest/locustfile.py with --scenario")
    return _current[0]
