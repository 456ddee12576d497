"""Every error Marea raises on purpose, each with a stable code.

    MareaError
    ├── ConfigError             settings, rules or pipelines are wrong: nothing starts
    ├── TransientError          trouble outside the job; it is tried again and never charged
    │   ├── StoreUnavailable        the object store did not answer (a write may have happened)
    │   ├── BrokerUnavailable       the broker did not confirm (a publish may have happened)
    │   ├── LedgerUnavailable       the ledger did not answer (a save may have happened)
    │   ├── BacklogUnavailable      a queue could not be counted: unknown, never zero
    │   └── CommitContended         other versions of the key kept winning the swap
    ├── PreconditionFailed      a conditional PUT met another state of the key (404, 409, 412)
    ├── ObjectGone              the version that the job names no longer exists
    ├── ObjectChanged           an unversioned key holds other content than the job names
    └── PermanentError          this input can never succeed: `rejected`, with the code

`code` is used in records, metrics labels, HTTP bodies and the docs; it never changes meaning.
The message is a sentence for the person who uploaded the file: what, which limit, what next.
"""

from __future__ import annotations


class MareaError(Exception):
    """Base of every error raised on purpose. `code` is stable; `str(error)` is a sentence."""

    code = "marea-error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ConfigError(MareaError):
    """One or more settings, rules or pipelines are wrong; `problems` names each of them."""

    code = "config-invalid"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TransientError(MareaError):
    """Trouble outside the job: tried again with backoff, never charged to its attempts."""

    code = "transient"


class StoreUnavailable(TransientError):
    """The object store did not answer; a write may or may not have happened."""

    code = "store-unavailable"


class BrokerUnavailable(TransientError):
    """The broker did not confirm; the message may or may not be queued."""

    code = "broker-unavailable"


class LedgerUnavailable(TransientError):
    """The ledger did not answer; a save may or may not have happened."""

    code = "ledger-unavailable"


class BacklogUnavailable(TransientError):
    """A queue could not be counted. Unknown is not zero: callers hold what they have."""

    code = "backlog-unavailable"


class FleetUnavailable(TransientError):
    """The platform that runs the replicas did not answer, or refused; nothing is concluded."""

    code = "fleet-unavailable"


class CommitContended(TransientError):
    """The compare-and-swap of a result lost too often in a row."""

    code = "commit-contended"


class PreconditionFailed(MareaError):
    """A conditional PUT met another state: 412, 409, or 404 for a stale If-Match."""

    code = "precondition-failed"


class ObjectGone(MareaError):
    """The exact version that was asked for no longer exists."""

    code = "object-gone"


class ObjectChanged(MareaError):
    """A key without versions now holds other content than was asked for."""

    code = "object-changed"


class PermanentError(MareaError):
    """The input can never succeed; the job ends `rejected` with this code and sentence."""

    code = "rejected"
