"""Anomalies: each is raised by what it is about, and gone again once that is over.

A real service tells a real Redis, the worker's jobs write it down and look.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
import redis.asyncio

from models.database import Database
from models.messages import watching
from models.messages.anomalies import Anomaly, Kind, Thresholds
from models.messages.rules import NewMessage
from tests.messages.test_history import Town
from tests.servers import RedisServer

MINUTE_MS = 60_000


class Watch(Town):
    """A town that is looked at."""

    async def look(self, kind: Kind) -> list[Anomaly]:
        await self.record()
        found, _ = await self.activity.anomalies(now_ms=self.now_ms)
        return [each for each in found if each.kind is kind]

    async def sample(self) -> watching.Watched:
        await self.record()
        return await asyncio.to_thread(
            watching.sample, self.database, Thresholds(), now_ms=self.now_ms
        )


@pytest.fixture
async def watch(
    database: Database, redis_client: redis.Redis, redis_server: RedisServer
) -> AsyncIterator[Watch]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as waiting:
        made = Watch(database, redis_client, waiting, kept_max=100_000)
        yield made
        await made.service.close()


async def test_nothing_is_wrong_with_an_empty_queue(watch: Watch) -> None:
    assert await watch.sample() == watching.Watched([], [])
    assert (await watch.activity.anomalies(now_ms=watch.now_ms))[0] == []


async def test_consumer_whose_leases_lapse(watch: Watch) -> None:
    await watch.put(*(NewMessage("{}") for _ in range(6)))
    await watch.ack(await watch.take("anna"))
    for _ in range(5):
        await watch.take("anna", lease_ms=1_000)
    assert await watch.look(Kind.LEASES_LAPSE) == []
    watch.now_ms += 1_000
    await watch.lapse()

    [found] = await watch.look(Kind.LEASES_LAPSE)
    assert (found.consumer_ids, found.amount, found.threshold) == (("anna",), 5, 5)
    assert "5 of 6 leases" in found.said
    watch.now_ms += 11 * MINUTE_MS
    assert await watch.look(Kind.LEASES_LAPSE) == []


async def test_message_that_fails_again_and_again(watch: Watch) -> None:
    [message_id] = await watch.put(NewMessage("{}", type="a", max_attempts=10))
    began_ms = watch.now_ms
    for _ in range(4):
        await watch.nack(await watch.take("anna"), "hot")
        watch.now_ms += 1_000
    assert await watch.look(Kind.POISON) == []
    await watch.nack(await watch.take("berta"), "hot")

    [found] = await watch.look(Kind.POISON)
    assert (found.message_ids, found.amount, found.type) == ((message_id,), 5, "a")
    assert (found.since_ms, found.consumer_ids) == (began_ms, ("berta",))
    await watch.ack(await watch.take("anna"))
    assert await watch.look(Kind.POISON) == []


async def test_type_whose_failures_jumped(watch: Watch) -> None:
    await watch.put(*(NewMessage("{}", type="a", max_attempts=1) for _ in range(60)))
    for number in range(30):
        held = await watch.take("anna")
        await (watch.nack(held) if number == 0 else watch.ack(held))
    assert await watch.look(Kind.FAILURES_JUMPED) == []
    watch.now_ms += 15 * MINUTE_MS
    for number in range(30):
        held = await watch.take("berta")
        await (watch.nack(held) if number < 10 else watch.ack(held))

    [found] = await watch.look(Kind.FAILURES_JUMPED)
    assert (found.queue, found.type, found.amount) == ("default", "a", 33.3)
    assert "10 of 30 attempts failed in 10 minutes, 1 of 30" in found.said
    assert found.consumer_ids == ("berta",)
    watch.now_ms += 15 * MINUTE_MS
    assert await watch.look(Kind.FAILURES_JUMPED) == []


async def test_message_that_waits_too_long(watch: Watch) -> None:
    [message_id] = await watch.put(NewMessage("{}"))
    began_ms = watch.now_ms
    watch.now_ms += 899_000
    assert await watch.look(Kind.WAITING_LONG) == []
    watch.now_ms += 2_000

    [found] = await watch.look(Kind.WAITING_LONG)
    assert (found.queue, found.amount, found.threshold) == ("default", 901, 900)
    assert (found.message_ids, found.since_ms) == ((message_id,), began_ms + 900_000)
    await watch.ack(await watch.take("anna"))
    assert await watch.look(Kind.WAITING_LONG) == []


async def test_queue_that_grows_without_a_consumer(watch: Watch) -> None:
    await watch.sample()
    await watch.put(*(NewMessage("{}") for _ in range(12)))
    watch.now_ms += 10 * MINUTE_MS

    [found] = await watch.look(Kind.NO_CONSUMER)
    assert (found.queue, found.amount) == ("default", 12)
    await watch.take("anna")
    assert await watch.look(Kind.NO_CONSUMER) == []


async def test_dead_letters_that_grow(watch: Watch) -> None:
    await watch.sample()
    watch.now_ms += 2 * MINUTE_MS
    await watch.put(*(NewMessage("{}", max_attempts=1) for _ in range(10)))
    for _ in range(10):
        await watch.nack(await watch.take("anna"))

    [found] = await watch.look(Kind.DEAD_GROWING)
    assert (found.queue, found.amount) == ("default", 10)
    watch.now_ms += 58 * MINUTE_MS
    await watch.sample()
    watch.now_ms += 30 * MINUTE_MS
    assert await watch.look(Kind.DEAD_GROWING) == []


async def test_lease_about_to_end_untouched(watch: Watch) -> None:
    ids = await watch.put(NewMessage("{}"), NewMessage("{}"))
    held = await watch.take("anna", lease_ms=10_000)
    await watch.take("berta", lease_ms=100_000)
    watch.now_ms += 7_999
    assert await watch.look(Kind.LEASE_ENDING) == []
    watch.now_ms += 1

    [found] = await watch.look(Kind.LEASE_ENDING)
    assert (found.consumer_ids, found.message_ids) == (("anna",), (ids[0],))
    await watch.service.extend(held, None, now_ms=watch.now_ms)
    assert await watch.look(Kind.LEASE_ENDING) == []


async def test_look_knows_since_when_and_says_what_is_over(watch: Watch) -> None:
    await watch.sample()
    await watch.put(*(NewMessage("{}") for _ in range(12)))
    watch.now_ms += 8 * MINUTE_MS
    first_ms = watch.now_ms
    grows = (Kind.NO_CONSUMER.value, "default")

    assert await watch.sample() == watching.Watched([grows], [])
    watch.now_ms += MINUTE_MS
    assert await watch.sample() == watching.Watched([], [])
    [found] = await watch.look(Kind.NO_CONSUMER)
    assert found.since_ms == first_ms
    await watch.take("anna")
    assert (await watch.sample()).over == [grows]
    assert (await watch.sample()) == watching.Watched([], [])


async def test_two_looks_at_once_find_the_same(watch: Watch) -> None:
    await watch.sample()
    await watch.put(*(NewMessage("{}") for _ in range(12)))
    watch.now_ms += 8 * MINUTE_MS

    looks = await asyncio.gather(*(watch.sample() for _ in range(3)))

    assert sorted(len(each.new) for each in looks) == [0, 0, 1]
