"""How Celery speaks to its broker: Redis or RabbitMQ."""

from typing import Any, Final

import redis
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis as redis_transport

# How long a task may take: no deadline within one may be longer.
TASK_TIME_MAX_S: Final = 60
# Redis hands a message to a second worker after this; below the task's time it would do so while
# the first still works, and again and again.
_REDELIVERED_AFTER_S: Final = 5 * TASK_TIME_MAX_S


class RedisChannel(redis_transport.Channel):
    """A channel that says so when its connection is gone.

    A task may outlive the connection that its message came by. kombu 5.7 then asks the connection
    for its host, and the AttributeError ends the worker; a connection error is logged, and Redis
    gives the message to somebody else by itself.
    """

    def _connparams(self, *args: Any, **options: Any) -> dict[str, Any]:
        if self.connection.client is None:
            raise redis.ConnectionError("the connection that the message came by is gone")
        parameters: dict[str, Any] = super()._connparams(*args, **options)  # type: ignore[no-untyped-call]
        return parameters


class RedisTransport(redis_transport.Transport):
    """Makes kombu use RedisChannel."""

    Channel = RedisChannel


class BrokerConnection(Connection):
    """Makes kombu use RedisTransport where the broker is Redis."""

    def get_transport_cls(self) -> type:
        """Return the class that speaks to the broker."""
        found: type = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return RedisTransport if found is redis_transport.Transport else found


class BrokerAMQP(AMQP):
    """Makes Celery use BrokerConnection."""

    Connection = BrokerConnection


def transport_options(url: str, *, confined_to: str = "") -> dict[str, Any]:
    """Return what kombu's transport for a broker needs to know.

    `confined_to` is the only task queue that is taken from, if there is but one.
    """
    if url.startswith("amqp"):
        return {"confirm_publish": True}
    options = _confined(confined_to) if confined_to else {}
    return options | {
        "visibility_timeout": _REDELIVERED_AFTER_S,
        # By default what a killed worker held is looked for every 100 s.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


def _confined(task_queue: str) -> dict[str, Any]:
    """Keep one queue's process on keys of its own.

    By default whatever any worker holds lies under one key, and any worker gives back what others
    left: each could read, lose and forge the tasks of all. No task here has a priority, for which
    every queue would have four keys.
    """
    names = ("unacked_key", "unacked_index_key", "unacked_mutex_key")
    keys = {name: f"{name.removesuffix('_key')}/{task_queue}" for name in names}
    return keys | {"priority_steps": [0]}
