"""Settings that other promises rest on and that no single run of a worker would show wrong."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from marea.queues.celery import RECONNECT_PAUSE_MAX_S, create_celery_app
from marea.settings import Settings, load_settings

REDIS = "redis://127.0.0.1:1/0"
RABBITMQ = "amqp://127.0.0.1:1//"


def settings_for(url: str, **worker: Any) -> Settings:
    return load_settings({}, overrides={"broker": {"url": url}, "worker": worker})


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_leaves_every_verdict_over_a_job_to_the_ledger(url: str) -> None:
    conf = create_celery_app(settings_for(url), worker="w1", pools=("images",)).conf
    assert conf.task_acks_late
    assert conf.task_acks_on_failure
    assert conf.task_acks_on_timeout
    assert not conf.task_reject_on_worker_lost
    assert not conf.task_retry_on_worker_lost
    assert not conf.worker_cancel_long_running_tasks_on_connection_loss


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_takes_json_only(url: str) -> None:
    conf = create_celery_app(settings_for(url)).conf
    assert conf.accept_content == ["json"]
    assert conf.result_accept_content == ["json"]
    assert conf.task_serializer == "json"


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_serves_the_pools_queues_high_first_on_the_default_exchange(url: str) -> None:
    app = create_celery_app(settings_for(url), worker="w1", pools=("images", "tables"))
    served = list(app.amqp.queues.consume_from.values())
    assert [queue.name for queue in served] == [
        "images.high",
        "images.normal",
        "tables.high",
        "tables.normal",
    ]
    assert {queue.exchange.name for queue in served} == {""}


def test_never_gives_up_connecting() -> None:
    conf = create_celery_app(settings_for(REDIS)).conf
    assert conf.broker_connection_retry
    assert conf.broker_connection_retry_on_startup
    assert conf.broker_connection_max_retries is None


def test_quarantine_runs_one_job_at_a_time_whatever_the_concurrency() -> None:
    settings = settings_for(REDIS, concurrency=8)
    assert create_celery_app(settings, pools=("images",)).conf.worker_concurrency == 8
    assert create_celery_app(settings, pools=("quarantine",)).conf.worker_concurrency == 1


def test_each_worker_on_redis_keeps_its_messages_under_its_own_name() -> None:
    names = [
        create_celery_app(
            settings_for(REDIS), worker=worker, pools=("images",)
        ).conf.broker_transport_options["unacked_key"]
        for worker in ("w1", "w2")
    ]
    assert names == ["marea:unacked:w1", "marea:unacked:w2"]


def test_the_last_resort_of_redis_is_later_than_any_job_and_the_same_for_all_clients() -> None:
    settings = settings_for(REDIS, soft_time_limit_s=500, hard_time_limit_s=600)
    timeouts = {
        create_celery_app(settings, worker=worker).conf.broker_transport_options[
            "visibility_timeout"
        ]
        for worker in ("", "w1")
    }
    assert timeouts == {1260}


def test_rediss_verifies_the_server_unless_the_address_says_otherwise() -> None:
    app = create_celery_app(settings_for("rediss://127.0.0.1:1/0"))
    assert app.connection_for_write().ssl["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    app = create_celery_app(settings_for("rediss://127.0.0.1:1/0?ssl_cert_reqs=none"))
    assert app.connection_for_write().ssl["ssl_cert_reqs"] == ssl.CERT_NONE


def test_all_declarers_on_rabbitmq_give_the_same_arguments() -> None:
    settings = load_settings({}, overrides={"broker": {"url": RABBITMQ, "delivery_limit": 7}})
    app = create_celery_app(settings, worker="w1", pools=("images",))
    for queue in app.amqp.queues.consume_from.values():
        assert queue.queue_arguments == {
            "x-queue-type": "quorum",
            "x-delivery-limit": 7,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "images.dead-letter",
        }


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_a_worker_is_back_within_seconds_of_its_broker_however_long_that_was_away(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    pauses: list[float] = []
    app = create_celery_app(settings_for(url), worker="w1", pools=("images",))
    with pytest.raises(OperationalError):  # as the worker's consumer does, but for the limit
        app.connection_for_read().ensure_connection(
            errback=lambda _exc, interval: pauses.append(interval), max_retries=20
        )
    assert pauses[:4] == [1, 2, 3, 4]
    assert max(pauses) == RECONNECT_PAUSE_MAX_S
    assert sum(slept) == sum(pauses)
