"""What a command works with: settings from the environment, ports built on first use."""

from __future__ import annotations

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from marea.lifecycle.finish import Place
    from marea.lifecycle.policy import Policy
    from marea.perform import Performer
    from marea.results.ledger import Ledger
    from marea.settings import Settings
    from marea.wiring import Declarations

LOCAL_ENV_FILE = Path(".marea/marea.env")
"""Where `marea up` in this folder leaves its addresses."""


class Session:
    """Built once per invocation; nothing is read or connected before it is used."""

    def __init__(self, env_file: Path | None = None) -> None:
        self._env_file = env_file

    def load(self, overrides: dict[str, Any] | None = None) -> Settings:
        """The settings. Without --env, `.marea/marea.env` counts if it is there."""
        from marea.settings import load_settings

        env_file = self._env_file
        if env_file is None and LOCAL_ENV_FILE.exists():
            env_file = LOCAL_ENV_FILE
        return load_settings(env_file=env_file, overrides=overrides)

    @cached_property
    def settings(self) -> Settings:
        return self.load()

    @cached_property
    def declarations(self) -> Declarations:
        from marea.wiring import build_declarations

        return build_declarations(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """Alone: the verbs that only ask it are spared the clients of store and broker."""
        from marea.clock import SystemClock
        from marea.wiring import build_ledger

        return build_ledger(self.settings, SystemClock())

    @cached_property
    def performer(self) -> Performer:
        from marea.perform import Performer
        from marea.wiring import build_ports

        return Performer(build_ports(self.settings, self.declarations.pipelines))

    @cached_property
    def place(self) -> Place:
        from marea.wiring import build_place

        return build_place(self.settings)

    @cached_property
    def policy(self) -> Policy:
        from marea.wiring import build_policy

        return build_policy(self.settings)

    @cached_property
    def console(self) -> Console:
        """For people, on stdout. It wraps and cuts nothing, and colours only what we say."""
        from rich.console import Console

        return Console(soft_wrap=True, highlight=False, emoji=False)

    @cached_property
    def stderr(self) -> Console:
        """For progress and warnings; stdout stays what was asked for."""
        from rich.console import Console

        return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def session_of(context: typer.Context) -> Session:
    """The invocation's session."""
    session = context.find_root().obj
    assert isinstance(session, Session)
    return session


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=None)
    sys.stdout.write("\n")


JsonFlag = typer.Option(False, "--json", help="Print JSON instead of text for people.")
