"""Signs of life of worker and beat, in Redis, since neither has an address to ask.

Three moments: beat's last tick, each worker's last heartbeat, and the last tick that went from
beat through the broker into a worker. The keys expire, so what is gone for good is forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import redis
import redis.asyncio

_BEAT: Final = "vitals:beat"
_TICK: Final = "vitals:tick"
_WORKERS: Final = "vitals:workers"  # sorted set: name -> last seen, Unix ms
_KEPT_MS: Final = 600_000

# A beat that takes over needs 6 s, a worker that restarts some 5 s; both tell every 1 to 2 s.
BEAT_SILENT_MS_MAX: Final = 10_000
WORKER_SILENT_MS_MAX: Final = 15_000
TICK_SILENT_MS_MAX: Final = 15_000


class Health(StrEnum):
    """How a component is, in the words of the wire."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """When each was last seen, Unix ms; None or missing: not within ten minutes."""

    beat_ticked_at_ms: int | None
    tick_ran_at_ms: int | None
    worker_seen_at_ms: Mapping[str, int]


def beat_health(vitals: Vitals, *, now_ms: int) -> Health:
    """Say whether some beat leads and ticks; degraded at worst, since the API serves without."""
    ticks = _is_recent(vitals.beat_ticked_at_ms, now_ms, BEAT_SILENT_MS_MAX)
    return Health.HEALTHY if ticks else Health.DEGRADED


def workers_health(vitals: Vitals, *, now_ms: int) -> Health:
    """Say whether work gets done: some worker lives and, while beat ticks, so do the workers."""
    lives = any(
        _is_recent(seen_at_ms, now_ms, WORKER_SILENT_MS_MAX)
        for seen_at_ms in vitals.worker_seen_at_ms.values()
    )
    ticks = _is_recent(vitals.tick_ran_at_ms, now_ms, TICK_SILENT_MS_MAX)
    # Without beat no tick can arrive, and that is not the workers' fault.
    beat_is_silent = beat_health(vitals, now_ms=now_ms) is not Health.HEALTHY
    return Health.HEALTHY if lives and (ticks or beat_is_silent) else Health.DEGRADED


def note_beat(client: redis.Redis, *, now_ms: int) -> None:
    """Note that beat leads and ticks."""
    client.set(_BEAT, now_ms, px=_KEPT_MS)


def note_tick(client: redis.Redis, *, now_ms: int) -> None:
    """Note that a tick of beat went through the broker and ran in a worker."""
    client.set(_TICK, now_ms, px=_KEPT_MS)


def note_worker(client: redis.Redis, name: str, *, now_ms: int) -> None:
    """Note that a worker lives, and forget those that were silent for too long."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.zadd(_WORKERS, {name: now_ms})
        pipeline.zremrangebyscore(_WORKERS, 0, now_ms - _KEPT_MS)
        pipeline.pexpire(_WORKERS, _KEPT_MS)
        pipeline.execute()


def forget_worker(client: redis.Redis, name: str) -> None:
    """Note that a worker ended on purpose."""
    client.zrem(_WORKERS, name)


def read_vitals(client: redis.Redis) -> Vitals:
    """Read all signs of life; raises what redis-py raises when Redis is away."""
    with client.pipeline(transaction=False) as pipeline:
        _ask(pipeline)
        return _parse(pipeline.execute())


async def read_vitals_async(client: redis.asyncio.Redis) -> Vitals:
    """Read all signs of life; raises what redis-py raises when Redis is away."""
    async with client.pipeline(transaction=False) as pipeline:
        _ask(pipeline)
        return _parse(await pipeline.execute())


def _ask(pipeline: Any) -> None:
    pipeline.get(_BEAT)
    pipeline.get(_TICK)
    pipeline.zrange(_WORKERS, 0, -1, withscores=True)


def _parse(answers: list[Any]) -> Vitals:
    beat, tick, workers = answers
    return Vitals(
        beat_ticked_at_ms=None if beat is None else int(beat),
        tick_ran_at_ms=None if tick is None else int(tick),
        worker_seen_at_ms={name.decode(): int(seen_at_ms) for name, seen_at_ms in workers},
    )


def _is_recent(at_ms: int | None, now_ms: int, silent_ms_max: int) -> bool:
    return at_ms is not None and now_ms - at_ms <= silent_ms_max
