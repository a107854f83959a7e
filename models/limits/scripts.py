"""Every word said to Redis about limits."""

from collections.abc import Sequence
from typing import Any, Final

import redis.asyncio

from models.limits.counts import Count, Limit
from models.lua import read_script

_SCRIPT: Final = "count_request.lua"


async def count_requests(
    client: redis.asyncio.Redis, requests: Sequence[tuple[Limit, str]], *, now_ms: int = 0
) -> list[Count]:
    """Count requests, each unless its limit is reached, in one round trip.

    `now_ms` 0 is the clock of Redis. Raises what redis-py raises when Redis is away; some may have
    been counted.
    """
    script = read_script("limits", _SCRIPT)
    async with client.pipeline(transaction=False) as pipeline:
        for limit, subject in requests:
            key = f"limit:{limit.name}:{subject}"
            arguments = (limit.requests_max, limit.window_ms, now_ms)
            # With its text, which is short: a server that forgot the script needs no second try.
            pipeline.eval(script, 1, key, *arguments)
        answers: list[Any] = await pipeline.execute()
    return [
        Count(is_allowed=bool(is_allowed), left=left, ends_at_ms=ends_at_ms)
        for is_allowed, left, ends_at_ms in answers
    ]
