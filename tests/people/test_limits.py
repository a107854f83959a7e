"""Counting requests: in Redis by all processes together, in memory while it is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis

from models.limits.counts import Count, Limit, LocalCounter
from models.limits.limiter import Limiter
from models.limits.scripts import count_requests
from models.redis import connect_async
from tests.servers import RedisServer

THREE = Limit(name="three", requests_max=3)
NOW_MS = 1_000_000_050_000  # half a minute before the next
ENDS_AT_MS = 1_000_000_080_000


@pytest.fixture
async def client(redis_client: redis.Redis, redis_server: RedisServer) -> AsyncIterator[object]:
    assert redis_client.dbsize() == 0
    async with connect_async(redis_server.url) as made:
        yield made


def allowed(left: int) -> Count:
    return Count(is_allowed=True, left=left, ends_at_ms=ENDS_AT_MS)


REFUSED = Count(is_allowed=False, left=0, ends_at_ms=ENDS_AT_MS)


def local_counts(times: list[int], subject: str = "a") -> list[Count]:
    counter = LocalCounter(subjects_max=10)
    return [counter.count(THREE, subject, now_ms=at_ms) for at_ms in times]


async def test_both_ways_of_counting_agree(client: redis.asyncio.Redis) -> None:
    times = [NOW_MS, NOW_MS, NOW_MS + 1, NOW_MS + 2, ENDS_AT_MS - 1, ENDS_AT_MS, ENDS_AT_MS]

    shared = [(await count_requests(client, [(THREE, "a")], now_ms=at_ms))[0] for at_ms in times]

    assert shared == local_counts(times)
    assert shared[:5] == [allowed(2), allowed(1), allowed(0), REFUSED, REFUSED]
    assert shared[5] == Count(is_allowed=True, left=2, ends_at_ms=ENDS_AT_MS + 60_000)


async def test_subjects_and_limits_are_counted_apart(client: redis.asyncio.Redis) -> None:
    other = Limit(name="other", requests_max=3)

    counts = await count_requests(
        client, [(THREE, "a"), (THREE, "a"), (THREE, "b"), (other, "a")], now_ms=NOW_MS
    )

    assert counts == [allowed(2), allowed(1), allowed(2), allowed(2)]


async def test_what_was_counted_is_forgotten_with_its_window(
    client: redis.asyncio.Redis,
) -> None:
    await count_requests(client, [(THREE, "a")], now_ms=NOW_MS)

    assert 0 < await client.pttl("limit:three:a") <= 30_000


async def test_processes_count_together(client: redis.asyncio.Redis) -> None:
    limiters = [Limiter(client, clock=lambda: NOW_MS, subjects_max=10) for _ in range(2)]
    limit = Limit(name="many", requests_max=50, window_ms=3_600_000)

    counts = await asyncio.gather(
        *(limiter.count(limit, "a") for _ in range(50) for limiter in limiters)
    )

    assert sum(count.is_allowed for count in counts) == 50


async def test_who_is_refused_costs_redis_nothing(client: redis.asyncio.Redis) -> None:
    limiter = Limiter(client, clock=lambda: NOW_MS, subjects_max=10)
    limit = Limit(name="one", requests_max=1, window_ms=10**15)
    refusals = [await limiter.count(limit, "a") for _ in range(2)][1:]
    await client.flushall()

    refusals += [await limiter.count(limit, "a") for _ in range(2)]

    assert not any(count.is_allowed for count in refusals)


async def test_without_redis_each_process_counts_for_itself(
    new_folder: Callable[[str], Path],
) -> None:
    now_ms = NOW_MS
    async with connect_async(f"unix://{new_folder('r')}/redis.sock") as client:
        limiter = Limiter(client, clock=lambda: now_ms, subjects_max=10)

        counts = [await limiter.count(THREE, "a") for _ in range(4)]

    assert counts == [allowed(2), allowed(1), allowed(0), REFUSED]


async def test_redis_counts_again_when_it_is_back(new_folder: Callable[[str], Path]) -> None:
    clock = [NOW_MS]
    server = RedisServer(new_folder("r"))
    async with connect_async(server.url) as client:
        limiter = Limiter(client, clock=lambda: clock[0], subjects_max=10)
        await limiter.count(THREE, "a")
        with server:
            clock[0] += 2_000

            await limiter.count(THREE, "a")

            assert await client.exists("limit:three:a")


async def test_a_frozen_redis_holds_nobody_up(new_folder: Callable[[str], Path]) -> None:
    with RedisServer(new_folder("r")) as server:
        async with connect_async(server.url) as client:
            limiter = Limiter(client, clock=lambda: NOW_MS, subjects_max=10)
            await limiter.count(THREE, "b")
            server.process.freeze()
            try:
                counts = [await limiter.count(THREE, "a") for _ in range(4)]
            finally:
                server.process.thaw()

    assert counts == [allowed(2), allowed(1), allowed(0), REFUSED]


def test_memory_is_bounded() -> None:
    counter = LocalCounter(subjects_max=10)
    for number in range(1_000):
        counter.count(THREE, str(number), now_ms=NOW_MS)

    [(_, counts)] = counter._windows.values()
    assert len(counts) <= 10
