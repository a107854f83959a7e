"""Connections to Redis with bounded patience: a dead server is noticed in well under a second."""

from typing import Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

# redis-py's own default tries ten times, 3.5 s for each command against a dead server.
_BACKOFF: Final = ExponentialBackoff(cap=0.2, base=0.02)
_RETRIES: Final = 2
_CONNECT_TIMEOUT_S: Final = 2.0
_ANSWER_TIMEOUT_S: Final = 5.0

# Every error that means "Redis is away", for the few who can go on without it.
RedisAwayError: Final = (redis.RedisError, OSError)


def connect(url: str) -> redis.Redis:
    """Return a blocking client for jobs and beat; it connects at its first command."""
    return redis.Redis.from_url(
        url,
        retry=Retry(_BACKOFF, _RETRIES),
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=_ANSWER_TIMEOUT_S,
        health_check_interval=10,
    )


def connect_async(
    url: str, *, answer_timeout_s: float | None = _ANSWER_TIMEOUT_S
) -> redis.asyncio.Redis:
    """Return a client for an event loop; a reader that blocks on purpose passes no time-out."""
    return redis.asyncio.Redis.from_url(
        url,
        retry=AsyncRetry(_BACKOFF, _RETRIES),
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=answer_timeout_s,
        health_check_interval=10,
    )


def broker_url(url: str) -> str:
    """Return an address in kombu's spelling: `unix:///p?db=1` is `redis+socket:///p?virtual_host=1`.

    Over TLS the server has to prove who it is, unless the address says otherwise; kombu would ask
    for no proof where the address says nothing.
    """
    if url.startswith("rediss://") and "ssl_cert_reqs=" not in url:
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    number = query.removeprefix("db=") or "0"
    return f"redis+socket://{path}?virtual_host={number}"
