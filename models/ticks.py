"""Which ticks of beat are on their way: no tick is sent while its predecessor waits or runs.

Without this an hour without workers would leave an hour of ticks in the broker, and a tick that
hangs would in time hold every thread. A message that got lost must not stop its tick for good: beat
waits for an answer some seconds, and twice as long each time that none came.
"""

from typing import Final

import redis

# The header by which a message names the entry of the schedule that it is a tick of.
HEADER: Final = "tick"
PATIENCE_MS_MIN: Final = 5_000
PATIENCE_MS_MAX: Final = 600_000
_PENDING: Final = "beat:pending"  # hash: name of the entry -> when its tick was sent, Unix ms


def pending_since_ms(client: redis.Redis, name: str) -> int | None:
    """Return when the tick that still waits or runs was sent, None when there is none."""
    sent_at_ms = client.hget(_PENDING, name)
    return None if sent_at_ms is None else int(sent_at_ms)


def note_sent(client: redis.Redis, name: str, *, now_ms: int) -> None:
    """Note that a tick is about to be sent; before it is, or the worker might be faster."""
    client.hset(_PENDING, name, now_ms)


def note_over(client: redis.Redis, name: str) -> None:
    """Note that a tick ran, failed or expired; the next one may be sent."""
    client.hdel(_PENDING, name)
