"""Our notification rules among those of others."""

from __future__ import annotations

from typing import Any

import pytest

from marea.storage.bucket_events import (
    CREATED,
    connected_arns,
    is_same,
    merged_rules,
    target_arn,
)

MAREA = "arn:minio:sqs::MAREA:webhook"
DIRECT = "arn:minio:sqs::MAREA_DIRECT:webhook"
THEIRS: dict[str, Any] = {
    "QueueConfigurations": [
        {
            "Id": "audit",
            "QueueArn": "arn:minio:sqs::AUDIT:kafka",
            "Events": ["s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
        }
    ],
    "EventBridgeConfiguration": {},
    "ResponseMetadata": {"HTTPStatusCode": 200},
}


def test_other_peoples_rules_stay_as_they_are() -> None:
    merged = merged_rules(THEIRS, [MAREA])
    assert merged["QueueConfigurations"][0] == THEIRS["QueueConfigurations"][0]
    assert merged["QueueConfigurations"][1] == {
        "Id": "marea-MAREA",
        "QueueArn": MAREA,
        "Events": [CREATED],
    }
    assert "ResponseMetadata" not in merged


def test_without_targets_only_ours_go() -> None:
    merged = merged_rules(merged_rules(THEIRS, [MAREA, DIRECT]), [])
    assert merged == {"QueueConfigurations": THEIRS["QueueConfigurations"]}


def test_the_second_time_nothing_changes() -> None:
    once = merged_rules(THEIRS, [MAREA, DIRECT])
    assert is_same(once, merged_rules(once, [MAREA, DIRECT]))
    assert is_same(once, merged_rules(once, [DIRECT, MAREA]))
    assert not is_same(once, merged_rules(once, [MAREA]))


def test_a_region_that_the_store_fills_in_is_no_change() -> None:
    once = merged_rules({}, [MAREA])
    stored = {
        "QueueConfigurations": [
            {**once["QueueConfigurations"][0], "QueueArn": "arn:minio:sqs:eu-1:MAREA:webhook"}
        ]
    }
    assert is_same(stored, once)
    assert is_same(stored, merged_rules(stored, [MAREA]))


def test_a_target_that_somebody_told_everything_already_gets_no_second_rule() -> None:
    by_hand = {"QueueConfigurations": [{"Id": "", "QueueArn": MAREA, "Events": [CREATED]}]}
    assert merged_rules(by_hand, [MAREA]) == by_hand


def test_a_target_that_is_told_a_part_gets_a_rule_for_the_whole() -> None:
    part = {
        "QueueConfigurations": [
            {
                "Id": "part",
                "QueueArn": MAREA,
                "Events": [CREATED],
                "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
            }
        ]
    }
    assert connected_arns(part) == []
    assert connected_arns(merged_rules(part, [MAREA])) == [MAREA]


@pytest.mark.parametrize(
    ("arn", "rules", "key"),
    [
        ("arn:aws:sqs:eu-west-1:1234:uploads", "QueueConfigurations", "QueueArn"),
        ("arn:aws:sns:eu-west-1:1234:uploads", "TopicConfigurations", "TopicArn"),
        (
            "arn:aws:lambda:eu-west-1:1234:function:f",
            "LambdaFunctionConfigurations",
            "LambdaFunctionArn",
        ),
    ],
)
def test_the_arn_tells_what_kind_of_rule_a_target_takes(arn: str, rules: str, key: str) -> None:
    merged = merged_rules({}, [arn])
    assert [rule[key] for rule in merged[rules]] == [arn]
    assert connected_arns(merged) == [arn]


def test_a_name_is_a_webhook_of_minio_s_and_an_arn_stays() -> None:
    assert target_arn("MAREA") == MAREA
    assert target_arn("arn:aws:sqs:eu:1:q", [MAREA]) == "arn:aws:sqs:eu:1:q"
    assert target_arn("MAREA", ["arn:minio:sqs:eu-1:MAREA:webhook"]).split(":")[3] == "eu-1"


def test_a_webhook_that_the_store_does_not_have_is_told_with_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"no webhook 'MAREE' \(it has: MAREA, MAREA_DIRECT\)"):
        target_arn("MAREE", [MAREA, DIRECT, "arn:minio:sqs::OTHER:kafka"])
