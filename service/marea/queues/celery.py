"""The Celery application with every setting it needs, and the publisher on the same broker.

The ledger decides what happens to a job, Celery only carries its id and JSON to a child process
and acknowledges when the parent knows the outcome. Built by the worker (with its name and
pools) and by the gateway and the reconciler (without: they only publish).
The publisher is in `celery_publisher.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer

from marea.queues.celery_publisher import CeleryPublisher
from marea.queues.message import TASK_NAME
from marea.queues.names import QUARANTINE_POOL, pool_queues, queue_name
from marea.queues.rabbitmq_line import work_queue_arguments
from marea.queues.redis import unacked_keys
from marea.queues.redis_address import KombuAddress, broker_address, kombu_address
from marea.settings import BrokerSettings, Settings

__all__ = ["TASK_NAME", "CeleryPublisher", "create_celery_app"]

RECONNECT_PAUSE_MAX_S = 5.0
"""Longest pause of a worker between two tries to reach a broker that is away. kombu's grow to
30 s, which idle workers would sleep on after the broker is back."""


class _Connection(Connection):
    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Pauses of 1, 2, 3 … s, and no longer ones than `RECONNECT_PAUSE_MAX_S`."""
        pauses = {
            "interval_start": 1.0,
            "interval_step": 1.0,
            "interval_max": RECONNECT_PAUSE_MAX_S,
        }
        return super().ensure_connection(*args, **{**pauses, **options})  # type: ignore[no-untyped-call]


def create_celery_app(settings: Settings, *, worker: str = "", pools: Sequence[str] = ()) -> Celery:
    """The application `marea`. `worker` is the process's name, new with every start, and
    `pools` are what it serves, high before normal. Connects to nothing. Raises `ConfigError`
    for a Redis URL that is none."""
    broker, limits = settings.broker, settings.worker
    is_rabbitmq = broker.kind == "rabbitmq"
    slots = 1 if QUARANTINE_POOL in pools else limits.concurrency
    app = Celery("marea", amqp=_rabbitmq_class(slots) if is_rabbitmq else _MareaAMQP)
    place = (
        kombu_address(broker_address(broker))
        if broker.kind == "redis"
        else KombuAddress(broker.full_url)
    )
    app.conf.update(
        broker_url=place.url,
        broker_transport_options={
            **_transport_options(settings, worker),
            **place.transport_options,
        },
        broker_use_ssl=place.use_ssl,
        # A worker outlives any outage of its broker: the default gives up after 100 tries.
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # READONLY and LOADING replies of a server that fails over or starts are outages too.
        broker_channel_error_retry=True,
        # RabbitMQ is taken for dead after two missed beats: a minute, not the default's four.
        broker_heartbeat=30,
        # Two queues per pool. On the default exchange, where the routing key is the queue's
        # name: no binding key exists in Redis that FLUSHALL could take away.
        task_queues=[
            _work_queue(broker, pool, name) for pool in pools for name in pool_queues(pool)
        ]
        or None,
        task_default_exchange="",
        task_default_queue=queue_name(pools[0], "normal") if pools else "marea.none",
        # A typo must not become a queue that nobody serves.
        task_create_missing_queues=False,
        # JSON only, in both directions: unpickling a message would be running its sender's code.
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        # The ledger and the records are the result.
        task_ignore_result=True,
        result_backend=None,
        task_track_started=False,
        # Nobody listens to events, and pidbox and mingle traffic grows with workers squared.
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,  # the process configures its own logging
        # Acknowledged after the outcome is in the ledger, whatever the outcome is. A failure,
        # a time limit and a lost child are judged there (design rule 9), so the broker must
        # not send the message again by itself: that would be a second, unbounded budget.
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_reject_on_worker_lost=False,
        task_retry_on_worker_lost=False,
        # When a connection is lost RabbitMQ delivers the message again while the child still
        # runs, and Redis may. That delivery meets the live lease in the ledger and is
        # postponed (rule 7), so the child may finish; killing it would let each blip of the
        # network cost all the work under way.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Only prefork can kill a decoder that does not return.
        worker_pool="prefork",
        worker_concurrency=slots,
        worker_max_tasks_per_child=limits.max_jobs_per_child,
        task_soft_time_limit=limits.soft_time_limit_s,
        task_time_limit=limits.hard_time_limit_s,
        # One message per child: a prefetched one waits here while other workers are idle.
        worker_prefetch_multiplier=1,
        # Redis: none at all, the next message is popped when a child is free, so a low job
        # starts before a high one by at most the one pop under way.
        worker_disable_prefetch=broker.kind == "redis",
        # It counts the running children of a lost connection already, and the reduction on
        # top has left workers with less than their share (celery#9512).
        worker_enable_prefetch_count_reduction=False,
        # Quorum queues know no prefetch per channel, only per consumer.
        worker_detect_quorum_queues=True,
    )
    if is_rabbitmq:
        app.steps["worker"].add(_HighFirst)
        app.conf.worker_consumer = _consumer_class()
    return app


def _transport_options(settings: Settings, worker: str) -> dict[str, Any]:
    broker = settings.broker
    if broker.kind == "rabbitmq":
        return {
            # Unset, a publish returns before RabbitMQ has seen it (celery#5410).
            "confirm_publish": True,
            # A frozen server must not hold the worker's loop in a read or an ack for ever.
            "read_timeout": broker.socket_timeout_s,
            "write_timeout": broker.socket_timeout_s,
        }
    if broker.kind != "redis":
        return {}  # what kombu speaks besides keeps kombu's defaults
    options = {
        # The last resort, and the shortest of all clients wins, so all get the same.
        "visibility_timeout": settings.worker.visibility_timeout_s,
        # Looks every 10 s; kombu's throttle makes it every 100 s by default (kombu#2558).
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": broker.socket_timeout_s,
        "socket_connect_timeout": min(5.0, broker.socket_timeout_s),
        "socket_keepalive": True,
        # A BRPOP on a half-open connection is given up after 1 + 2 x 10 s (celery#10205).
        "health_check_interval": 10,
        # A timeout may mean "done, but the reply was lost": our own layers decide on retries.
        "retry_on_timeout": False,
        # One list per queue, named like the queue.
        "priority_steps": [0],
        "sep": ":",
        # Always in the order of the queues: high, then normal.
        "queue_order_strategy": "priority",
        # Text as it is instead of base64: smaller, and readable in redis-cli.
        "body_encoding": "utf-8",
    }
    if worker:
        keys = unacked_keys(worker)  # its own, so that they can be returned when it dies
        options |= {
            "unacked_key": keys.messages,
            "unacked_index_key": keys.index,
            "unacked_mutex_key": keys.mutex,
        }
    return options


def _work_queue(broker: BrokerSettings, pool: str, name: str) -> Queue:
    arguments = (
        work_queue_arguments(pool, broker.delivery_limit) if broker.kind == "rabbitmq" else None
    )
    return Queue(  # type: ignore[no-untyped-call]
        name,
        Exchange(""),  # type: ignore[no-untyped-call]
        routing_key=name,
        queue_arguments=arguments,
    )


class _MareaAMQP(AMQP):  # type: ignore[misc]  # Celery is untyped
    Connection = _Connection


def _rabbitmq_class(concurrency: int) -> type[AMQP]:
    """Celery's AMQP whose consumers prefetch per queue.

    RabbitMQ pushes from both queues in turn, so with one prefetch for each a low job would
    start after every high one. Twice as many of the high queue keep a high message waiting
    here for each child that ends, as long as there are any, and `_HighFirst` starts it first.
    A low job gets ahead only of what arrives after it started, and where jobs are shorter
    than the few milliseconds from an acknowledgement to the next delivery.
    """

    class PerQueueConsumer(Consumer):
        def _basic_consume(self, queue: Any, *args: Any, **kwargs: Any) -> Any:
            per_child = 2 if queue.name.endswith(".high") else 1
            channel: Any = self.channel
            channel.basic_qos(0, per_child * concurrency, False)
            return super()._basic_consume(queue, *args, **kwargs)  # type: ignore[no-untyped-call]

    return type("PerQueueAMQP", (_MareaAMQP,), {"Consumer": PerQueueConsumer})


def _consumer_class() -> type[Any]:
    """Celery's consumer without native delayed delivery: at the sight of a quorum queue it
    declares 28 more of them, for ETAs, which here wait in the ledger."""
    from celery.worker.consumer import Consumer as WorkerConsumer

    class PoolConsumer(WorkerConsumer):  # type: ignore[misc]
        class Blueprint(WorkerConsumer.Blueprint):  # type: ignore[misc]
            default_steps = [
                step
                for step in WorkerConsumer.Blueprint.default_steps
                if not step.startswith("celery.worker.consumer.delayed_delivery")
            ]

    return PoolConsumer


class _HighFirst(bootsteps.Step):  # type: ignore[misc]
    """Requests that wait for a free child: the high ones before the normal ones.

    Reaches into kombu's LaxBoundedSemaphore, which has no order but first come, first served;
    the broker contract suite fails if it changes.
    """

    requires = ("celery.worker.components:Pool",)

    def create(self, worker: Any) -> None:
        waiting: deque[Any] = worker.semaphore._waiting

        def add_waiter(waiter: tuple[Any, ...]) -> None:
            if not _is_high(waiter):
                waiting.append(waiter)
                return
            ahead = sum(1 for other in waiting if _is_high(other))
            waiting.insert(ahead, waiter)

        worker.semaphore._add_waiter = add_waiter


def _is_high(waiter: tuple[Any, ...]) -> bool:
    _callback, arguments, _keywords = waiter
    key = arguments[0].delivery_info.get("routing_key") if arguments else None
    return bool(key) and str(key).endswith(".high")
