"""The Celery application and what every task stands on; importing it has no effect.

A Celery message is a hint: Redis may lose one when a worker is killed, and delivers some twice. So
tasks are harmless to repeat, and work that must happen is a row first (`models/outbox`). Tasks
run in threads, which Celery cannot stop: what waits in a task has a deadline of its own.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import celery
import redis
import structlog
from celery import signals
from celery.utils.time import timezone as celery_timezone
from kombu.exceptions import OperationalError

from models import clock
from models.database import Database
from models.errors import StanchionError, UnavailableError
from models.events import Arrivals, Event, encode_entry, encode_wake, stream_key, wake_channel
from models.log import set_up_log
from models.redis import RedisAwayError, broker_url, connect
from models.settings import Settings
from models.tracing import Kind, Started, tracing
from workers.broker import TASK_TIME_MAX_S, BrokerAMQP, transport_options

# Celery speaks of each message at `info` in these; what matters we log ourselves, once. Warnings
# of Python are for who changes the code, and Celery insists on showing its own.
_QUIET: Final = {
    "py.warnings": "ERROR",
    "celery.app.trace": "CRITICAL",
    "celery.worker.strategy": "WARNING",
    "celery.worker.request": "WARNING",
}

_HEALING: Final = (UnavailableError, redis.ConnectionError, redis.TimeoutError)

_log = structlog.stdlib.get_logger(__name__)


class App(celery.Celery):
    """Celery with the stores that tasks use, opened at first use and shared by all threads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settings: Settings  # what the operator set, once `configure` ran
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._redis: redis.Redis | None = None

    @property
    def database(self) -> Database:
        """The database; a task blocks in it, so it has a connection for each thread."""
        with self._lock:
            if self._database is None:
                self._database = Database(
                    self.settings.database_url,
                    connections_max=self.settings.worker_threads + 1,
                    timeout_s=self.settings.database_timeout_s,
                )
            return self._database

    @property
    def redis(self) -> redis.Redis:
        """The Redis of events and signs of life, which need not be the broker."""
        with self._lock:
            if self._redis is None:
                self._redis = connect(self.settings.redis_url)
            return self._redis

    # Celery lets CELERY_BROKER_URL win over the configuration, which would split the house in two.
    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """Return a connection to take messages from."""
        return super().connection_for_read(url or self._broker_url, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """Return a connection to send messages with."""
        return super().connection_for_write(url or self._broker_url, **options)

    @property
    def _broker_url(self) -> str:
        return broker_url(self.settings.broker_url)


class Task(celery.Task):
    """What a task finds under `self`: the stores, and ways to tell live clients."""

    abstract = True

    @property
    def settings(self) -> Settings:
        """What the operator set."""
        return app.settings

    @property
    def database(self) -> Database:
        """The database, for `begin`."""
        return app.database

    @property
    def redis(self) -> redis.Redis:
        """A blocking client of the Redis of events."""
        return app.redis

    def publish(self, domain: str, events: Sequence[Event]) -> None:
        """Tell live clients what changed; call it after the commit, so no event runs ahead of it.

        An event is a hint: with Redis away it is dropped, and a client reads the state over HTTP.
        """
        if not events:
            return
        try:
            self.redis.xadd(
                stream_key(domain),
                encode_entry(events, at_ms=clock.now_ms()),
                maxlen=self.settings.events_kept_max,
                approximate=True,
            )
        except RedisAwayError as error:
            _log.warning("events_dropped", domain=domain, count=len(events), reason=str(error))

    def wake(self, domain: str, arrived: Arrivals | None = None) -> None:
        """Tell every API process what arrived for those who wait, None: anything; may be lost."""
        try:
            self.redis.publish(wake_channel(domain), encode_wake("", arrived))
        except RedisAwayError as error:
            _log.warning("wake_dropped", domain=domain, reason=str(error))


# Tasks under way in this process that belong to a trace, by id.
_traced: Final[dict[str, Started]] = {}
app = App("stanchion", task_cls=Task, amqp=BrokerAMQP)


def configure(settings: Settings, *, confined_to: str = "") -> None:
    """Set the application up for this process; opens nothing yet.

    `confined_to` names the only task queue of a process that is elsewhere and trusted with no
    other: it keeps to keys of its own, and hears nothing of what workers tell one another.
    """
    app.settings = settings
    app.conf.update(
        broker_url=broker_url(settings.broker_url),
        broker_transport_options=transport_options(settings.broker_url, confined_to=confined_to),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker as long as it takes
        # With the broker away a send fails within a second; who sends decides what then.
        task_publish_retry_policy={
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.2,
        },
        task_serializer="json",
        accept_content=["json"],
        task_default_queue="system",
        task_routes=(_route,),
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=TASK_TIME_MAX_S,  # for pools of processes; threads cannot be stopped
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,  # what Flower shows
        # To be asked and told anything, it would have to hear what all of them are.
        worker_enable_remote_control=not confined_to,
        # By default RabbitMQ holds this queue for one connection: a worker that comes back before
        # its dead connection was noticed, or a second one of the same name, would end.
        control_queue_exclusive=False,
        control_queue_durable=True,
        event_queue_ttl=60,
        event_queue_expires=60,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone=settings.timezone or celery_timezone.local,  # of `crontab`; messages carry UTC
    )


def send(
    task_name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    queue: str,
    expires_s: float | None = None,
    request_id: str | None = None,
) -> None:
    """Hand a message to the broker; blocks, some 0.6 s when the broker is away.

    The message carries `request_id`, or else the one bound to the log. Raises UnavailableError; the
    message may have been sent all the same.
    """
    headers = {"request_id": request_id} if request_id else {}
    try:
        with tracing.span(f"send {task_name}", Kind.PRODUCER, **{"messaging.destination": queue}):
            app.send_task(
                task_name,
                args=list(args),
                kwargs=dict(kwargs or {}),
                queue=queue,
                expires=expires_s,
                headers={**headers, **tracing.carried()} or None,
            )
    except (OperationalError, OSError) as error:
        raise UnavailableError("broker", " ".join(str(error).split())[:200]) from error


def describe(error: BaseException) -> str:
    """Say what went wrong without the values it went wrong with, unless the error is ours."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, StanchionError) else name


def _route(name: str, *_args: object, **_options: object) -> dict[str, str] | None:
    """Send a task to the queue of its domain: `messages.expire` to `messages`."""
    domain = name.partition(".")[0]
    return None if domain == "celery" else {"queue": domain}


@signals.setup_logging.connect
def _set_up_log(**_facts: object) -> None:
    settings = app.settings
    set_up_log(
        settings.log_format or ("text" if sys.stderr.isatty() else "json"), settings.log_level
    )
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


@signals.worker_init.connect
def _trace(**_facts: object) -> None:
    settings = app.settings
    role = "worker" if app.conf.worker_enable_remote_control else "mail-host"
    tracing.set_up(
        settings.otlp_url, role=role, version=version("stanchion"), share=settings.trace_share
    )


@signals.worker_shutdown.connect
def _stop_tracing(**_facts: object) -> None:
    tracing.close()


@signals.before_task_publish.connect
def _carry_request_id(headers: dict[str, Any], **_facts: object) -> None:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id and "request_id" not in headers:
        headers["request_id"] = request_id


@signals.task_prerun.connect
def _bind(task_id: str, task: Any, **_facts: object) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    if request_id := task.request.get("request_id"):
        structlog.contextvars.bind_contextvars(request_id=request_id)
    # What beat sends belongs to no trace, and would be most of all.
    if tracing.is_on and (parent := task.request.get("traceparent")):
        _traced[task_id] = tracing.start(task.name, Kind.CONSUMER, carrier={"traceparent": parent})


@signals.task_postrun.connect
def _unbind(task_id: str, **_facts: object) -> None:
    structlog.contextvars.clear_contextvars()
    if (started := _traced.pop(task_id, None)) is not None:
        started.end()


@signals.task_failure.connect
def _report(
    exception: BaseException, traceback: Any = None, task_id: str = "", **_facts: object
) -> None:
    """Report a failure once: by its place in the code, since values may be secrets."""
    if (started := _traced.get(task_id)) is not None:
        started.fail(exception)
    heals = isinstance(exception, _HEALING)
    report = _log.warning if heals else _log.error
    report("task_failed", error=describe(exception), stack=None if heals else _stack(traceback))


def _stack(frames: Any) -> str:
    return "".join(traceback.format_tb(frames))
