import pytest
import redis
import redis.asyncio

from models import vitals
from models.vitals import Health, Vitals
from tests.servers import RedisServer

NOW_MS = 1_000_000_000


def _seen(*, beat: int | None, tick: int | None, worker: int | None) -> Vitals:
    """Return what is seen at NOW_MS of something last seen that many milliseconds ago."""
    return Vitals(
        beat_ticked_at_ms=None if beat is None else NOW_MS - beat,
        tick_ran_at_ms=None if tick is None else NOW_MS - tick,
        worker_seen_at_ms={} if worker is None else {"worker@host": NOW_MS - worker},
    )


@pytest.mark.parametrize(
    ("beat", "tick", "worker", "beat_health", "workers_health"),
    [
        (0, 0, 0, Health.HEALTHY, Health.HEALTHY),
        (10_000, 15_000, 15_000, Health.HEALTHY, Health.HEALTHY),
        (10_001, 0, 0, Health.DEGRADED, Health.HEALTHY),
        (0, 15_001, 0, Health.HEALTHY, Health.DEGRADED),
        (0, 0, 15_001, Health.HEALTHY, Health.DEGRADED),
        (0, None, None, Health.HEALTHY, Health.DEGRADED),
        # Workers answer for no tick that beat did not send.
        (None, None, 0, Health.DEGRADED, Health.HEALTHY),
        (None, None, None, Health.DEGRADED, Health.DEGRADED),
        # The clock of another host may run ahead.
        (-5_000, -5_000, -5_000, Health.HEALTHY, Health.HEALTHY),
    ],
)
def test_health_follows_the_last_signs_of_life(
    beat: int | None,
    tick: int | None,
    worker: int | None,
    beat_health: Health,
    workers_health: Health,
) -> None:
    seen = _seen(beat=beat, tick=tick, worker=worker)

    assert vitals.beat_health(seen, now_ms=NOW_MS) is beat_health
    assert vitals.workers_health(seen, now_ms=NOW_MS) is workers_health


def test_read_vitals_knows_nobody_in_an_empty_redis(redis_client: redis.Redis) -> None:
    seen = vitals.read_vitals(redis_client)

    assert seen == Vitals(beat_ticked_at_ms=None, tick_ran_at_ms=None, worker_seen_at_ms={})


async def test_read_vitals_returns_what_was_noted(
    redis_client: redis.Redis, redis_server: RedisServer
) -> None:
    vitals.note_beat(redis_client, now_ms=1)
    vitals.note_tick(redis_client, now_ms=2)
    vitals.note_worker(redis_client, "a@host", now_ms=3)
    vitals.note_worker(redis_client, "b@host", now_ms=4)

    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        seen = await vitals.read_vitals_async(client)

    assert seen == Vitals(
        beat_ticked_at_ms=1, tick_ran_at_ms=2, worker_seen_at_ms={"a@host": 3, "b@host": 4}
    )


def test_note_worker_forgets_those_long_silent(redis_client: redis.Redis) -> None:
    vitals.note_worker(redis_client, "gone@host", now_ms=NOW_MS)
    vitals.note_worker(redis_client, "here@host", now_ms=NOW_MS + 3_600_000)

    assert list(vitals.read_vitals(redis_client).worker_seen_at_ms) == ["here@host"]


def test_forget_worker_forgets_one_that_ended(redis_client: redis.Redis) -> None:
    vitals.note_worker(redis_client, "a@host", now_ms=NOW_MS)
    vitals.note_worker(redis_client, "b@host", now_ms=NOW_MS)

    vitals.forget_worker(redis_client, "a@host")

    assert list(vitals.read_vitals(redis_client).worker_seen_at_ms) == ["b@host"]


def test_vitals_expire(redis_client: redis.Redis) -> None:
    vitals.note_beat(redis_client, now_ms=NOW_MS)
    vitals.note_tick(redis_client, now_ms=NOW_MS)
    vitals.note_worker(redis_client, "a@host", now_ms=NOW_MS)

    assert all(redis_client.pttl(key) > 0 for key in redis_client.keys("vitals:*"))
