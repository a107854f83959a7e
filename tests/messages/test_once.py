"""What is sent twice is stored once: by name of a message, by key of a request."""

import asyncio
import uuid

import httpx
import pytest
from sqlalchemy import func, select

from models.database import Database
from models.messages import jobs, tables
from models.messages.policies import QueueFullError, QueueSettings
from models.messages.rules import Held, KeyReusedError, NewMessage, Once
from tests.messages.conftest import Queue


def named(key: str, payload: str = "{}", **more: object) -> NewMessage:
    once = Once(key, 60_000, replaces=bool(more.pop("replaces", False)))
    return NewMessage(payload, once=once, **more)  # type: ignore[arg-type]


async def test_a_repeat_gets_the_first_until_its_time_is_over(queue: Queue) -> None:
    [first] = await queue.put(named("a"))
    queue.now_ms += 59_999
    again = await queue.service.enqueue([named("a"), named("b")], now_ms=queue.now_ms)
    assert (again.ids[0], again.repeated) == (first, {0})
    assert await queue.counts() == {"queued": 2}
    assert queue.recorder.names() == ["enqueue", "enqueue"]
    queue.now_ms += 1
    [later] = await queue.put(named("a"))
    assert later > again.ids[1]


async def test_names_hold_also_after_the_message_is_done_and_per_queue(queue: Queue) -> None:
    await queue.service.queues.create("other", QueueSettings(), now_ms=0)
    [first] = await queue.put(named("a"))
    lease = await queue.take()
    assert lease
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
    assert await queue.put(named("a")) == [first]
    [other] = await queue.put(named("a", queue="other"))
    assert other != first


async def test_equal_names_in_one_transaction_are_one_message(queue: Queue) -> None:
    stored = await queue.service.enqueue([named("a"), named("a"), named("b")], now_ms=queue.now_ms)
    assert stored.ids[0] == stored.ids[1] != stored.ids[2]
    both = await asyncio.gather(*(queue.put(named("c")) for _ in range(5)))
    assert len({ids[0] for ids in both}) == 1
    assert await queue.counts() == {"queued": 3}


async def test_processes_that_send_the_same_at_once_store_it_once(database: Database) -> None:
    sides = [Queue(database), Queue(database)]
    names = [f"n{n}" for n in range(30)]
    # One goes through the names forwards, the other backwards: they meet in the middle.
    orders = [names, list(reversed(names))]
    results = await asyncio.gather(
        *(
            side.put(*[named(name) for name in order])
            for side, order in zip(sides, orders, strict=True)
            for _ in range(4)
        )
    )
    by_name = [dict(zip(orders[index // 4], ids, strict=True)) for index, ids in enumerate(results)]
    assert all(each == by_name[0] for each in by_name)
    assert await sides[0].counts() == {"queued": 30}
    for side in sides:
        await side.service.close()
    assert jobs.recount(database) == {}


@pytest.mark.parametrize("delay_ms", [0, 5_000])
async def test_a_repeat_may_replace_what_waits(queue: Queue, delay_ms: int) -> None:
    [first] = await queue.put(named("a", '{"n":1}', delay_ms=delay_ms))
    queue.now_ms += 4_000
    again = await queue.put(named("a", '{"n":2}', delay_ms=delay_ms, replaces=True))
    assert again == [first]
    if delay_ms:
        queue.now_ms += 4_999
        assert await queue.take() is None  # the time began anew
        queue.now_ms += 1
    lease = await queue.take()
    assert lease
    assert (lease.id, lease.payload) == (first, '{"n":2}')
    # What is on its way is not changed: this one is new, and the first from now on.
    [new] = await queue.put(named("a", '{"n":3}', replaces=True))
    assert new != first
    assert await queue.put(named("a", '{"n":4}')) == [new]


async def test_a_request_is_carried_out_once(queue: Queue) -> None:
    once = Once("k", 60_000, "print")

    async def send(count: int, once: Once) -> list[int]:
        messages = [NewMessage("{}")] * count
        return (await queue.service.enqueue(messages, now_ms=queue.now_ms, once=once)).ids

    together = await asyncio.gather(send(2, once), send(2, once))
    assert together[0] == together[1] == await send(2, once)
    assert await queue.counts() == {"queued": 2}
    with pytest.raises(KeyReusedError):
        await send(2, Once("k", 60_000, "other print"))
    queue.now_ms += 60_000
    assert (await send(2, Once("k", 60_000, "other print")))[0] > together[0][1]


async def test_what_is_refused_is_not_remembered(queue: Queue) -> None:
    await queue.service.queues.create("small", QueueSettings(waiting_max=1), now_ms=0)
    [held] = await queue.put(NewMessage("{}", queue="small"))
    with pytest.raises(Exception, match="waiting_max"):
        await queue.put(named("a", queue="small"))
    assert await queue.service.queues.purge("small") == 1
    [stored] = await queue.put(named("a", queue="small"))
    assert stored != held


async def test_names_are_forgotten(queue: Queue) -> None:
    await queue.put(*[named(f"n{n}") for n in range(600)])
    jobs.expire(queue.database, now_ms=queue.now_ms + 59_999)
    assert count_names(queue.database) == 600
    jobs.expire(queue.database, now_ms=queue.now_ms + 60_000)
    assert count_names(queue.database) == 0


def count_names(database: Database) -> int:
    with database.begin() as connection:
        return connection.execute(select(func.count()).select_from(tables.once)).scalar_one()


def test_wire_says_what_was_there_before(http: httpx.Client) -> None:
    kind, name = uuid.uuid4().hex, uuid.uuid4().hex
    new = {"payload": {"n": 1}, "type": kind, "dedup_id": name}

    first = http.post("/api/queue/message", json=new)
    again = http.post("/api/queue/message", json=new)
    many = http.post("/api/queue/batch", json=[new, {"payload": {}, "type": kind}])

    assert (first.status_code, "duplicate" in first.json()) == (201, False)
    assert (again.status_code, again.json()) == (200, {**first.json(), "duplicate": True})
    assert many.status_code == 201
    assert many.json()["messages"][0] == {
        "id": first.json()["id"],
        "status": "queued",
        "duplicate": True,
    }
    wrong = http.post("/api/queue/message", json={"payload": {}, "dedup_seconds": 5})
    assert list(wrong.json()["details"]) == ["dedup_id"]


@pytest.mark.parametrize("path", ["message", "batch"])
def test_wire_answers_a_repeated_request_as_the_first(http: httpx.Client, path: str) -> None:
    kind, key = uuid.uuid4().hex, {"Idempotency-Key": uuid.uuid4().hex}
    message = {"payload": {"n": 1}, "type": kind}
    body = message if path == "message" else {"messages": [message, message]}

    first = http.post(f"/api/queue/{path}", json=body, headers=key)
    again = http.post(f"/api/queue/{path}", json=body, headers=key)
    changed = {**message, "payload": {"n": 2}}
    other = http.post(
        f"/api/queue/{path}", json=changed if path == "message" else [changed], headers=key
    )

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    empty = http.post(f"/api/queue/{path}", json=body, headers={"Idempotency-Key": ""})
    assert list(empty.json()["details"]) == ["Idempotency-Key"]


async def test_the_last_of_equal_names_in_one_transaction_replaces(queue: Queue) -> None:
    once = Once("a", 60_000, replaces=True)
    first, second = await queue.put(NewMessage("1", once=once), NewMessage("2", once=once))
    assert first == second
    lease = await queue.take()
    assert lease
    assert lease.payload == "2"


async def test_a_repeat_needs_no_room(queue: Queue) -> None:
    await queue.service.queues.create("small", QueueSettings(waiting_max=2), now_ms=queue.now_ms)
    request, name = Once("r", 60_000, "print"), Once("m", 60_000)

    async def send() -> list[list[int]]:
        messages = [[NewMessage("1", queue="small")], [NewMessage("2", queue="small", once=name)]]
        sent = [
            await queue.service.enqueue(each, now_ms=queue.now_ms, once=once)
            for each, once in zip(messages, (request, None), strict=True)
        ]
        return [stored.ids for stored in sent]

    first = await send()

    assert await send() == first
    assert await queue.counts() == {"queued": 2}
    with pytest.raises(QueueFullError):
        await queue.put(NewMessage("3", queue="small", once=Once("other", 60_000)))
    assert jobs.recount(queue.database) == {}
