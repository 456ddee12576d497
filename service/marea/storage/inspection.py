"""What a store can do for Marea, found by asking it. What `marea store check` shows.

Unlike `prepare.py` it changes nothing but the small object of the probe. What the access key may
not ask stays unknown, which is neither yes nor no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from marea.clock import Clock
from marea.errors import MareaError
from marea.settings import StoreSettings
from marea.storage.bucket_events import connected_arns
from marea.storage.probing import missing_bucket, without_versions
from marea.storage.s3 import S3ObjectStore
from marea.storage.s3_admin import NotPermitted, NotSupported, S3Admin

GIVE_UP_AFTER_S = 5.0
"""For one answer; this is a look, not a wait."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question."""

    what: str
    is_so: bool | None
    """None = could not be found out."""
    sentence: str
    is_needed: bool = True
    """Whether the platform does not work without."""


def inspect_store(settings: StoreSettings, clock: Clock) -> Iterator[Finding]:
    """Every question, most basic first; ends early where the rest could not be asked."""
    admin = S3Admin.of(settings, clock, give_up_after_s=GIVE_UP_AFTER_S)
    if trouble := admin.trouble(settings.results_bucket):
        yield Finding("reachable", False, trouble)
        return
    where = settings.endpoint_url or "AWS"
    yield Finding("reachable", True, f"{where} answers, and knows the access key")
    names = (*settings.source_buckets, settings.results_bucket)
    buckets = [_asked(f"bucket {name}", partial(_bucket, admin, name)) for name in names]
    yield from buckets
    if any(finding.is_so is False for finding in buckets):
        return
    for name in settings.source_buckets:
        yield _asked(f"versions of {name}", partial(_versions, admin, name), is_needed=False)
    yield _asked(
        "conditional PUT",
        partial(_conditional_put, settings, clock),
        is_needed=not settings.allow_unordered,
    )
    for name in settings.source_buckets:
        yield _asked(f"events of {name}", partial(_events, admin, name), is_needed=False)


Answer = tuple[bool, str]


def _asked(what: str, question: Callable[[], Answer], *, is_needed: bool = True) -> Finding:
    try:
        is_so, sentence = question()
    except NotSupported as exc:
        return Finding(what, False, str(exc), is_needed)
    except NotPermitted as exc:
        return Finding(what, None, f"{exc}; ask with a key that may", is_needed)
    except MareaError as exc:
        return Finding(what, None, str(exc), is_needed)
    return Finding(what, is_so, sentence, is_needed)


def _bucket(admin: S3Admin, name: str) -> Answer:
    if admin.has_bucket(name):
        return True, "is there"
    return False, missing_bucket(name)


def _versions(admin: S3Admin, name: str) -> Answer:
    if admin.versioning(name) == "Enabled":
        return True, "every upload keeps its content"
    return False, without_versions(name)


def _conditional_put(settings: StoreSettings, clock: Clock) -> Answer:
    abilities = S3ObjectStore(settings, clock).probe(
        settings.source_buckets, settings.results_bucket
    )
    return abilities.conditional_put, abilities.sentence or "the store honours it"


def _events(admin: S3Admin, name: str) -> Answer:
    if arns := connected_arns(admin.rules(name)):
        return True, f"go to {', '.join(arns)}"
    return False, (
        "go nowhere: uploads are found by the reconciler's sweeps, within"
        " MAREA_RECONCILER__SWEEP_INTERVAL_S; `marea store prepare --events` connects them"
    )
