"""Messages with one key go one after the other, whatever becomes of each."""

import asyncio
import random
import uuid

import httpx
import pytest
from sqlalchemy import func, select

from models.audit import Actor, Signature
from models.database import Database
from models.messages import jobs, tables
from models.messages.policies import NO_SETTINGS
from models.messages.rules import Held, Lease, LeaseRequest, MessageState, NewMessage
from tests.messages.conftest import Listener, Queue


def grouped(key: str | None, n: int = 0, **more: object) -> NewMessage:
    return NewMessage(f'{{"n":{n}}}', group_key=key, **more)  # type: ignore[arg-type]


async def take(queue: Queue) -> Lease:
    lease = await queue.take()
    assert lease is not None
    return lease


async def ack(queue: Queue, lease: Lease) -> None:
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)


def count_rows(database: Database, *of: object) -> int:
    with database.begin() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]
            for table in of
        )


async def test_a_message_waits_for_the_one_before_it(queue: Queue) -> None:
    first, second, free = await queue.put(grouped("a"), grouped("a", priority=9), grouped(None))
    assert await queue.counts() == {"queued": 3}
    lease = await take(queue)
    assert (lease.id, lease.group_key) == (first, "a")
    assert (await take(queue)).id == free
    assert await queue.take() is None
    await ack(queue, lease)
    assert (await take(queue)).id == second
    assert jobs.recount(queue.database) == {}


async def test_groups_do_not_wait_for_each_other_nor_do_queues(queue: Queue) -> None:
    await queue.service.queues.create("other", NO_SETTINGS, now_ms=0)
    await queue.put(grouped("a"), grouped("b"), grouped("a", queue="other"))
    assert [(await take(queue)).group_key for _ in range(2)] == ["a", "b"]
    assert await queue.take(queue="other") is not None


async def test_one_that_comes_back_stays_the_head(queue: Queue) -> None:
    first, _second = await queue.put(grouped("a"), grouped("a"))
    lease = await take(queue)
    held = Held(lease.id, lease.lock_token)
    await queue.service.reject(held, "no", now_ms=queue.now_ms, delay_ms=5_000)
    assert await queue.take() is None  # the group waits with its head
    queue.now_ms += 5_000
    assert (await take(queue)).id == first
    queue.now_ms += 60_000  # its lease runs out
    again = await take(queue)
    assert again.id == first
    await queue.service.give_back([again])
    assert (await take(queue)).id == first


@pytest.mark.parametrize("end", ["nack", "lapse", "sweep"])
async def test_a_group_goes_on_when_its_head_is_dead(queue: Queue, end: str) -> None:
    first, second = await queue.put(grouped("a", max_attempts=1), grouped("a"))
    lease = await take(queue)
    assert lease.id == first
    if end == "nack":
        held = Held(lease.id, lease.lock_token)
        returned = await queue.service.reject(held, None, now_ms=queue.now_ms)
        assert returned.state is MessageState.DEAD
    else:
        queue.now_ms += 60_000
    if end == "sweep":
        assert jobs.expire(queue.database, now_ms=queue.now_ms).has_arrivals
    assert (await take(queue)).id == second
    assert await queue.counts() == {"processing": 1, "dead": 1}


@pytest.mark.parametrize("end", ["ack", "nack"])
async def test_who_waits_is_told_of_the_next_one(queue: Queue, end: str) -> None:
    """The wake-up names the line of the one that is next, not of the one that went."""
    await queue.put(grouped("a", type="x", max_attempts=1), grouped("a", type="y"))
    lease = await take(queue)
    waiting = asyncio.create_task(queue.take(type_="y", timeout_s=60))
    await queue.until_waiting(1)
    queue.recorder.arrivals.clear()
    if end == "ack":
        await ack(queue, lease)
    else:
        held = Held(lease.id, lease.lock_token)
        await queue.service.reject(held, None, now_ms=queue.now_ms)
    assert (await waiting) is not None
    assert {("default", "y"): 1} in queue.recorder.arrivals


async def test_a_purge_leaves_no_group_behind(queue: Queue) -> None:
    await queue.put(*[grouped("a")] * 700, *[grouped("b")] * 3)
    lease = await take(queue)
    assert await queue.service.queues.purge("default") == 702
    assert await queue.take() is None
    await ack(queue, lease)
    assert count_rows(queue.database, tables.group, tables.aside) == 0
    [new] = await queue.put(grouped("a"))
    assert (await take(queue)).id == new
    assert jobs.recount(queue.database) == {}


KEYS, EACH = ("a", "b", "c"), 20


async def produce(side: Queue, key: str) -> None:
    for n in range(EACH):
        await side.put(grouped(key, n, max_attempts=50), grouped(None, n))


async def consume(side: Queue, name: str, seen: dict[str, list[int]]) -> None:
    chance = random.Random(name)
    while sum(map(len, seen.values())) < EACH * len(KEYS):
        request = LeaseRequest(name, f"lt_{name}_{chance.getrandbits(64):x}")
        lease = await side.service.lease(request, timeout_s=0.2, caller=Listener())
        if lease is None:
            continue
        held = Held(lease.id, lease.lock_token)
        if lease.group_key and chance.random() < 0.2:
            await side.service.reject(held, "again", now_ms=side.now_ms)
            continue
        if lease.group_key:
            seen[lease.group_key].append(int(lease.payload[5:-1]))
        await side.service.acknowledge(held, now_ms=side.now_ms)


async def test_producers_and_consumers_at_once_keep_every_order(database: Database) -> None:
    """Two processes, several keys, some messages given back: each key in its order."""
    sides = [Queue(database), Queue(database)]
    for side in sides:
        side.follow_the_clock()
    seen: dict[str, list[int]] = {key: [] for key in KEYS}
    producers = [produce(sides[index % 2], key) for index, key in enumerate(KEYS)]
    consumers = [
        consume(side, f"{index}{n}", seen) for index, side in enumerate(sides) for n in range(3)
    ]
    async with asyncio.timeout(120):
        await asyncio.gather(*producers, *consumers)
    for side in sides:
        await side.service.close()
    assert seen == {key: list(range(EACH)) for key in KEYS}
    assert count_rows(database, tables.group, tables.aside) == 0
    assert jobs.recount(database) == {}


async def test_a_group_goes_on_when_somebody_deletes_its_head(queue: Queue) -> None:
    first, second, third = await queue.put(*[grouped("a")] * 3)
    by = Signature(actor=Actor(kind="key", name="tester", id="7"), action="message_deleted")
    await queue.service.changes.delete(second, by, now_ms=queue.now_ms)  # it waits behind
    await queue.service.changes.delete(first, by, now_ms=queue.now_ms)
    assert (await take(queue)).id == third
    assert await queue.counts() == {"processing": 1}
    await queue.service.changes.delete(third, by, force=True, now_ms=queue.now_ms)
    assert count_rows(queue.database, tables.group, tables.aside) == 0
    assert jobs.recount(queue.database) == {}


def test_wire_takes_and_shows_the_key(http: httpx.Client) -> None:
    kind, key = uuid.uuid4().hex, uuid.uuid4().hex
    new = {"payload": {}, "type": kind, "group_key": key}
    http.post("/api/queue/batch", json=[new, {"payload": {}, "type": kind, "groupKey": key}])
    http.post("/api/queue/message", json={"payload": {}, "type": kind})

    given = [
        http.get("/api/queue/message", params={"type": kind, "timeout": 0}).json() for _ in range(3)
    ]

    assert given[0]["group_key"] == key
    assert "group_key" not in given[1]
    assert given[2]["code"] == "NO_MESSAGES"
    both = http.post("/api/queue/message", json={**new, "delay_seconds": 5})
    assert list(both.json()["details"]) == ["delay_seconds"]
