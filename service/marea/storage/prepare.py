"""Makes a store ready for Marea: buckets, versions, users, events. What `marea store prepare` does.

Idempotent, and in the order in which a platform starts up best: processes wait until their
key is known and their buckets are there. Each step says what it did; one that failed does
not keep the next from being tried. What a store cannot do is told apart from what it refused:

    failed    asked for and not done: the platform does not work, or not as it was asked to
    missing   this store cannot do it; the platform works without, and the sentence says how
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from marea.clock import Clock
from marea.errors import MareaError, StoreUnavailable
from marea.settings import StoreSettings
from marea.storage.bucket_events import target_arn
from marea.storage.minio_admin import MinioAdmin, NoAdminApi
from marea.storage.policies import normal_document, policy_documents
from marea.storage.probing import without_versions
from marea.storage.s3 import S3ObjectStore
from marea.storage.s3_admin import Change, NotSupported, S3Admin

PAUSE_S = 1.0
"""Between two looks at a store that is not there yet."""
TARGETS_WAIT_S = 10.0
"""For MinIO's targets and new users to become known: both take under a second (measured)."""

State = Change | Literal["missing", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at, and done if need be."""

    what: str
    state: State
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to make. `users` is access key id and secret by process."""

    create_buckets: bool = True
    versioning: bool = True
    users: Mapping[str, tuple[str, str]] | None = None
    events: Sequence[str] = ()


def wait_for_answer(
    settings: StoreSettings, clock: Clock, timeout_s: float, say: Callable[[str], None]
) -> None:
    """Return once the store answers and knows the access key; `say` each new reason why not.

    Raises `StoreUnavailable` after `timeout_s`.
    """
    admin = S3Admin.of(settings, clock)
    deadline, told = clock.now() + timeout_s, ""
    while reason := admin.trouble(settings.results_bucket):
        if reason != told:
            told = reason
            say(f"waiting for the object store: {reason}")
        if clock.now() >= deadline:
            raise StoreUnavailable(f"Gave up after {timeout_s:g} s: {reason}.")
        clock.sleep(PAUSE_S)


def prepare_store(settings: StoreSettings, wishes: Wishes, clock: Clock) -> Iterator[Step]:
    """Do everything in `wishes`, step by step."""
    admin = S3Admin.of(settings, clock)
    yield from _buckets(settings, wishes, admin)
    for process, keys in (wishes.users or {}).items():
        yield from _user(settings, process, keys, clock)
    for bucket in settings.source_buckets:
        if _is_missing(bucket, admin):  # said already; its rules would be asked for until given up
            yield Step(f"events of {bucket}", "failed", "there is no such bucket")
        else:
            yield _events(settings, wishes.events, bucket, admin, clock)
    yield _conditional_put(settings, clock)


def _buckets(settings: StoreSettings, wishes: Wishes, admin: S3Admin) -> Iterator[Step]:
    for bucket in (*settings.source_buckets, settings.results_bucket):
        what = f"bucket {bucket}"
        try:
            if admin.has_bucket(bucket):
                yield Step(what, "already there")
            elif wishes.create_buckets:
                yield Step(what, admin.create_bucket(bucket, versioned=False))
            else:
                yield Step(
                    what, "failed", "does not exist: create it, or leave --no-create-buckets out"
                )
                continue
        except MareaError as exc:
            yield Step(what, "failed", str(exc))
            continue
        if bucket != settings.results_bucket:
            yield _versions(bucket, wishes, admin)


def _is_missing(bucket: str, admin: S3Admin) -> bool:
    """Whether it is known not to be there."""
    try:
        return not admin.has_bucket(bucket)
    except MareaError:
        return False


def _versions(bucket: str, wishes: Wishes, admin: S3Admin) -> Step:
    what = f"versions of {bucket}"
    try:
        if admin.versioning(bucket) == "Enabled":
            return Step(what, "already there")
        if not wishes.versioning:
            return Step(what, "missing", without_versions(bucket))
        admin.set_versioning(bucket, "Enabled")
    except NotSupported as exc:
        return Step(what, "missing", f"{exc}. {without_versions(bucket)}")
    except MareaError as exc:
        if not wishes.versioning:
            return Step(what, "missing", f"{exc}: whether it keeps versions is unknown")
        return Step(what, "failed", f"{exc}; or choose --no-versioning")
    return Step(what, "created")


def _user(
    settings: StoreSettings, process: str, keys: tuple[str, str], clock: Clock
) -> Iterator[Step]:
    access_key, secret = keys
    what = f"user {access_key}"
    document = policy_documents(
        settings.source_buckets, settings.results_bucket, settings.reserved_prefix
    )[process]
    try:
        admin = MinioAdmin(settings)
        before = admin.policy(access_key)
        if before is None or normal_document(before) != normal_document(document):
            admin.put_policy(access_key, document)
            yield Step(f"policy {access_key}", "created" if before is None else "changed")
        else:
            yield Step(f"policy {access_key}", "already there")
        user = admin.user(access_key)
        is_right = user is not None and user.is_enabled and user.policies == {access_key}
        own = S3Admin.of(settings, clock, keys=keys)
        if is_right and not own.trouble(settings.results_bucket):
            yield Step(what, "already there")
            return
        admin.put_user(access_key, secret, access_key)
        if not _until(lambda: not own.trouble(settings.results_bucket), clock, TARGETS_WAIT_S):
            raise StoreUnavailable(
                "the store took the user and does not know its key yet; run this again"
            )
        yield Step(what, "created" if user is None else "changed")
    except NoAdminApi as exc:
        yield Step(
            what,
            "failed",
            f"{exc} Make the user in the store's own way, with the policy that"
            f" `marea store policies {process}` prints, and leave --users out.",
        )
    except MareaError as exc:
        yield Step(what, "failed", str(exc))


def _events(
    settings: StoreSettings, targets: Sequence[str], bucket: str, admin: S3Admin, clock: Clock
) -> Step:
    what = f"events of {bucket}"
    sweeps = "uploads are found by the reconciler's sweeps instead"
    try:
        arns = _arns(settings, targets, clock)
        change = admin.connect_events(bucket, arns)
    except NotSupported as exc:
        return Step(what, "missing", f"{exc}; {sweeps}")
    except (MareaError, ValueError) as exc:
        if not targets:
            # Nothing was asked for; there was only the question whether ours are to be removed.
            return Step(what, "missing", f"{exc}; {sweeps}")
        return Step(what, "failed", str(exc))
    if not arns:
        state: State = "removed" if change == "removed" else "missing"
        return Step(what, state, f"no target is given: {sweeps}")
    return Step(what, change, f"to {', '.join(arns)}")


def _arns(settings: StoreSettings, targets: Sequence[str], clock: Clock) -> list[str]:
    """ARNs of `targets`. Raises ValueError with a sentence for one that MinIO does not have."""
    named = [target for target in targets if not target.startswith("arn:")]
    known: Sequence[str] = ()
    if named:
        admin = MinioAdmin(settings)

        def has_all() -> bool:
            nonlocal known
            known = admin.event_targets()
            return {arn.split(":")[4] for arn in known} >= set(named)

        try:
            _until(has_all, clock, TARGETS_WAIT_S)
        except NoAdminApi:
            known = ()  # the store may still know the name: it is asked
    return [target_arn(target, known) for target in targets]


def _conditional_put(settings: StoreSettings, clock: Clock) -> Step:
    what = "conditional PUT"
    store = S3ObjectStore(settings, clock)
    try:
        abilities = store.probe(settings.source_buckets, settings.results_bucket)
    except MareaError as exc:
        return Step(what, "failed", str(exc))
    if abilities.conditional_put:
        return Step(what, "already there", "the store honours it")
    return Step(what, "missing" if settings.allow_unordered else "failed", abilities.sentence)


def _until(is_so: Callable[[], bool], clock: Clock, timeout_s: float) -> bool:
    deadline = clock.now() + timeout_s
    while not is_so():
        if clock.now() >= deadline:
            return False
        clock.sleep(PAUSE_S / 4)
    return True
