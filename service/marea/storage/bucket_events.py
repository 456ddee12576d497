"""A bucket's notification rules: ours among those of others. Pure.

A rule is ours if its Id begins with `marea-`. The rest is somebody else's and is written back as
it was read, whatever is in it; the API replaces all rules of a bucket at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OUR_IDS = "marea-"
CREATED = "s3:ObjectCreated:*"

_KINDS = {
    "sns": ("TopicConfigurations", "TopicArn"),
    "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}
"""Of a target, by the service in its ARN. Everything else, MinIO's targets included, is a queue."""
_QUEUES = ("QueueConfigurations", "QueueArn")
_LISTS = (*_KINDS.values(), _QUEUES)

Rules = dict[str, Any]


def minio_webhook(name: str) -> str:
    """The ARN of MinIO's webhook target `name`."""
    return f"arn:minio:sqs::{name}:webhook"


def target_arn(target: str, known: Sequence[str] = ()) -> str:
    """The ARN of `target`, which is one already or the name of a MinIO webhook; of the ARNs in
    `known`, where there are any. Raises ValueError with a sentence that lists them."""
    if target.startswith("arn:"):
        return target
    names = {arn.split(":")[4]: arn for arn in known if arn.endswith(":webhook")}
    if known and target not in names:
        raise ValueError(
            f"the store has no webhook {target!r} (it has: {', '.join(sorted(names)) or 'none'});"
            f" set MINIO_NOTIFY_WEBHOOK_ENABLE_{target}=on and its ENDPOINT where it runs"
        )
    return names.get(target, minio_webhook(target))


def merged_rules(existing: Mapping[str, Any], arns: Sequence[str]) -> Rules:
    """`existing` with a rule of ours for each of `arns` and no other of ours.

    A target that somebody else's rule sends all created objects to already gets none: the
    event would come twice.
    """
    merged: Rules = {
        name: value for name, value in existing.items() if name != "ResponseMetadata" and value
    }
    for rules, _ in _LISTS:
        foreign = [rule for rule in merged.pop(rules, []) if not _is_ours(rule)]
        if foreign:
            merged[rules] = foreign
    served = {identity(arn) for arn in connected_arns(merged)}
    for arn in arns:
        if identity(arn) not in served:
            served.add(identity(arn))
            rules, target = _KINDS.get(_service(arn), _QUEUES)
            rule = {"Id": f"{OUR_IDS}{_short_name(arn)}", target: arn, "Events": [CREATED]}
            merged[rules] = [*merged.get(rules, []), rule]
    return merged


def connected_arns(rules: Mapping[str, Any]) -> list[str]:
    """The targets to which every created object of the bucket is told."""
    return [
        rule[target]
        for name, target in _LISTS
        for rule in rules.get(name, [])
        if CREATED in rule.get("Events", []) and not _filters(rule)
    ]


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of rules say the same, as far as this file knows them."""
    return _comparable(one) == _comparable(other)


def identity(arn: str) -> str:
    """An ARN without its region, which MinIO fills in or leaves out as it likes."""
    parts = arn.split(":", 5)
    return ":".join((*parts[:3], *parts[4:])) if parts[:2] == ["arn", "minio"] else arn


def _comparable(rules: Mapping[str, Any]) -> list[str]:
    return sorted(
        repr((rule.get("Id"), identity(rule[target]), sorted(rule["Events"]), _filters(rule)))
        for name, target in _LISTS
        for rule in rules.get(name, [])
    )


def _is_ours(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("Id", "")).startswith(OUR_IDS)


def _filters(rule: Mapping[str, Any]) -> list[Any]:
    return list(rule.get("Filter", {}).get("Key", {}).get("FilterRules", []))


def _service(arn: str) -> str:
    return [*arn.split(":"), "", "", ""][2]


def _short_name(arn: str) -> str:
    """`MAREA_DIRECT` of MinIO's, else the last part: an Id is for people who look at the rules."""
    parts = arn.split(":")
    return parts[4] if parts[1] == "minio" and len(parts) == 6 else parts[-1]
