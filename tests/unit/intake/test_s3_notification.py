"""Bodies as stores and relays send them (recorded, or read in their sources)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from marea.intake.s3_notification import MalformedEvent, Parsed, parse_notification
from marea.messages.objects import ObjectRef
from marea.messages.upload_event import UploadEvent


def minio_record(key: str = "photos/a b.jpg", **described: Any) -> dict[str, Any]:
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-21T09:30:00.250Z",
        "eventName": "s3:ObjectCreated:Put",
        "userIdentity": {"principalId": "minio"},
        "responseElements": {"x-minio-origin-endpoint": "http://127.0.0.1:9000"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
            "object": {
                "key": quote_plus(key),  # url.QueryEscape: slashes too
                "size": 1024,
                "eTag": "9b2cf535f27731c974343645a3985328",
                "contentType": "image/jpeg",
                "userMetadata": {"X-Amz-Meta-Album": "Summer", "content-type": "image/jpeg"},
                "versionId": "9c1fbf2d-4b2a-4c8e-8a7f-1f0d6b1f8a55",
                "sequencer": "17A1B2C3D4E5F600",
                **described,
            },
        },
        "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO"},
    }


def minio_body(*records: dict[str, Any]) -> dict[str, Any]:
    return {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "uploads/photos/a b.jpg",
        "Records": list(records or (minio_record(),)),
    }


def aws_record(key: str = "photos/a b.jpg", **described: Any) -> dict[str, Any]:
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-21T09:30:00.250Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
            "object": {
                "key": quote(key, safe="/").replace("%20", "+"),  # slashes stay
                "size": 1024,
                "eTag": "9b2cf535f27731c974343645a3985328",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
                **described,
            },
        },
    }


def ceph_record(key: str = "photos/a b.jpg", **described: Any) -> dict[str, Any]:
    record = aws_record(**described)
    record["eventSource"] = "ceph:s3"
    record["s3"]["object"] = {
        **record["s3"]["object"],
        "key": key,  # as it is: rgw_pubsub_s3_event::dump encodes nothing
        "metadata": [{"key": "x-amz-meta-album", "val": "Summer"}],
        "tags": [{"key": "team", "val": "red"}],
        **described,
    }
    return record


def eventbridge(key: str = "photos/a b.jpg", **described: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-11-21T09:30:00Z",
        "detail": {
            "version": "0",
            "bucket": {"name": "uploads"},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "00617F08299329D189",
                **described,
            },
            "reason": "PutObject",
        },
    }


def sns(message: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:uploads",
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(message),
        "Signature": "EXAMPLE",
    }


def sqs(*messages: Any) -> dict[str, Any]:
    return {
        "Messages": [
            {"MessageId": "1", "ReceiptHandle": "x", "Body": json.dumps(message)}
            for message in messages
        ]
    }


def lambda_sqs(*messages: Any) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(message)}
            for message in messages
        ]
    }


def parse(body: Any, *, max_events: int = 100, max_depth: int = 32) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_notification(raw, max_events=max_events, max_depth=max_depth)


def only_event(body: Any) -> UploadEvent:
    parsed = parse(body)
    assert parsed.problems == ()
    (event,) = parsed.events
    return event


def test_reads_a_minio_webhook_with_all_that_it_says() -> None:
    assert only_event(minio_body()) == UploadEvent(
        ref=ObjectRef(
            "uploads",
            "photos/a b.jpg",
            "9c1fbf2d-4b2a-4c8e-8a7f-1f0d6b1f8a55",
            "9b2cf535f27731c974343645a3985328",
            1024,
        ),
        kind="created",
        event_name="ObjectCreated:Put",
        event_time=1795253400.25,
        sequencer="17A1B2C3D4E5F600",
        source="minio",
        content_type="image/jpeg",
        user_metadata={"album": "Summer"},
    )


def test_leaves_unknown_what_aws_does_not_say() -> None:
    event = only_event({"Records": [aws_record()]})
    assert event.source == "aws"
    assert event.ref.key == "photos/a b.jpg"
    assert (event.content_type, event.user_metadata, event.tags) == (None, None, None)


def test_reads_metadata_and_tags_of_ceph() -> None:
    event = only_event({"Records": [ceph_record()]})
    assert (event.source, event.user_metadata, event.tags) == (
        "ceph",
        {"album": "Summer"},
        {"team": "red"},
    )


def test_takes_empty_metadata_and_tags_of_ceph_for_unsaid() -> None:
    event = only_event({"Records": [ceph_record(metadata=[], tags=[])]})
    assert (event.user_metadata, event.tags) == (None, None)


def test_does_not_url_decode_keys_of_ceph_and_eventbridge() -> None:
    assert only_event({"Records": [ceph_record("a+b%20c.jpg")]}).ref.key == "a+b%20c.jpg"
    assert only_event(eventbridge("a+b%20c.jpg")).ref.key == "a+b%20c.jpg"


def test_reads_eventbridge() -> None:
    event = only_event(eventbridge())
    assert (event.source, event.kind, event.event_name) == (
        "eventbridge",
        "created",
        "Object Created",
    )
    assert event.ref.version_id == "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"
    assert event.event_time == 1795253400.0


def test_reads_a_bare_list_of_records_as_versitygw_sends_it() -> None:
    assert only_event([aws_record()]).source == "aws"


def test_reads_the_access_format_of_minio_redis_target() -> None:
    assert only_event([{"Event": [minio_record()], "EventTime": "x"}]).source == "minio"


@pytest.mark.parametrize(
    "wrapped",
    [
        sns({"Records": [aws_record()]}),
        sqs({"Records": [aws_record()]}),
        sqs(sns({"Records": [aws_record()]})),
        lambda_sqs(sns({"Records": [aws_record()]})),
        sqs(eventbridge()),
        {"Records": [{"EventSource": "aws:sns", "Sns": sns(minio_body())}]},
        {"MessageId": "1", "Body": json.dumps(minio_body())},
    ],
    ids=["sns", "sqs", "sqs-sns", "lambda-sqs-sns", "sqs-eventbridge", "lambda-sns", "one-sqs"],
)
def test_opens_the_envelopes_of_relays(wrapped: dict[str, Any]) -> None:
    assert only_event(wrapped).ref.key == "photos/a b.jpg"


def test_takes_a_test_event_and_an_empty_batch_for_nothing() -> None:
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}
    for body in (test_event, sns(test_event), {"Records": []}, {**minio_body()}):
        body = {**body, "Records": None} if "EventName" in body else body
        assert parse(body) == Parsed()


def test_reports_a_subscription_request_and_leaves_its_address_alone() -> None:
    parsed = parse(
        {
            "Type": "SubscriptionConfirmation",
            "TopicArn": "arn:aws:sns:eu-west-1:1:uploads",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        }
    )
    assert parsed.subscription is not None
    assert parsed.subscription.topic == "arn:aws:sns:eu-west-1:1:uploads"
    assert parsed.events == ()


@pytest.mark.parametrize(
    ("event_name", "kind"),
    [
        ("s3:ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectCreated:Copy", "created"),
        ("s3:ObjectRemoved:Delete", "deleted"),
        ("ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("LifecycleExpiration:Delete", "deleted"),
        ("s3:ObjectLifecycle:Expiration:Current", "deleted"),
        ("s3:ObjectLifecycle:Transition:Current", "other"),
        ("ObjectRestore:Completed", "other"),
        ("s3:ObjectAccessed:Get", "other"),
    ],
)
def test_tells_creation_from_deletion_from_the_rest(event_name: str, kind: str) -> None:
    assert only_event({"Records": [{**aws_record(), "eventName": event_name}]}).kind == kind


def test_strips_quotes_of_etags_and_normalises_the_null_version() -> None:
    ref = only_event({"Records": [aws_record(eTag='"abc-2"', versionId="null")]}).ref
    assert (ref.etag, ref.version_id, ref.identity) == ("abc-2", "", "etag:abc-2")


def test_takes_a_missing_size_for_zero_as_minio_means_it() -> None:
    record = minio_record("folder/")
    del record["s3"]["object"]["size"]
    assert only_event({"Records": [record]}).ref.size_bytes == 0


def test_keeps_the_good_records_of_a_batch_with_broken_ones() -> None:
    nameless = aws_record()
    del nameless["s3"]["bucket"]["name"]
    parsed = parse(
        {
            "Records": [
                aws_record("first.jpg"),
                nameless,
                7,
                aws_record(size=-1),
                aws_record("last.jpg"),
            ]
        }
    )
    assert [event.ref.key for event in parsed.events] == ["first.jpg", "last.jpg"]
    assert [problem.split(":")[0] for problem in parsed.problems] == [
        "record 2",
        "record 3",
        "record 4",
    ]
    assert "s3.bucket has no name" in parsed.problems[0]
    assert "-1" in parsed.problems[2]


def test_keeps_the_good_messages_beside_one_that_is_not_json() -> None:
    body = sqs({"Records": [aws_record()]}, "x")
    body["Messages"][1]["Body"] = "not json"
    parsed = parse(body)
    assert len(parsed.events) == 1
    assert "record 2: the body is not JSON" in parsed.problems[0]


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        ({"key": "a" * 1025}, "the key has 1025 bytes"),
        ({"key": "%FF%FE"}, "is not UTF-8 when URL-decoded"),
        ({"key": ""}, "s3.object has no key"),
        ({"key": "\ud800"}, "half a surrogate pair"),
        ({"eTag": "", "versionId": None}, "names neither a version nor an ETag"),
        ({"size": True}, "is not a number of bytes"),
        ({"size": 2**63}, "is not a number of bytes"),
        ({"versionId": 7}, "expected to be a string"),
        ({"versionId": "v" * 1025}, "has 1025 characters"),
    ],
)
def test_says_what_is_wrong_with_a_record(described: dict[str, Any], sentence: str) -> None:
    record = aws_record()
    record["s3"]["object"].update(described)
    parsed = parse({"Records": [record]})
    assert parsed.events == ()
    assert sentence in parsed.problems[0]


def test_needs_no_identity_of_a_deleted_object() -> None:
    record = {**aws_record(eTag=None, versionId=None), "eventName": "ObjectRemoved:Delete"}
    assert only_event({"Records": [record]}).kind == "deleted"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the body is empty"),
        (b"{", "leaves brackets open"),
        (b"nonsense", "is not JSON"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
        (b"{}", "no notification is recognised"),
        (b'"text"', "got a str"),
        (b'{"Type": "Notification"}', "the Message of the SNS notification is missing"),
        (b"[" * 100_000, "nests more than 32 levels"),
        (b'{"Records": [' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"]}", "nests more than 32 levels"),
    ],
)
def test_refuses_a_body_of_another_shape(body: bytes, sentence: str) -> None:
    with pytest.raises(MalformedEvent, match=sentence) as caught:
        parse(body)
    assert caught.value.code == "event-malformed"


def test_measures_the_nesting_inside_envelopes_too() -> None:
    with pytest.raises(MalformedEvent, match="nests more than"):
        parse({"Type": "Notification", "Message": "[" * 1000 + "]" * 1000})


def test_refuses_envelopes_in_envelopes_without_end() -> None:
    body: Any = {"Records": [aws_record()]}
    for _ in range(8):
        body = sns(body)
    with pytest.raises(MalformedEvent, match="envelopes around the event"):
        parse(body)


def test_refuses_more_records_than_allowed_also_when_spread_over_messages() -> None:
    batch = {"Records": [aws_record()] * 4}
    with pytest.raises(MalformedEvent, match="more than 3 records"):
        parse(batch, max_events=3)
    with pytest.raises(MalformedEvent, match="more than 9 records"):
        parse(sqs(batch, batch), max_events=9)
    assert len(parse(sqs(batch, batch), max_events=10).events) == 8
