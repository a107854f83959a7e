"""Messages for later: nobody gets one before its time, and whoever waits gets it then."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

from models.messages import jobs
from models.messages.policies import QueueFullError, QueueNotEmptyError, QueueSettings
from models.messages.rules import Held, LockLostError, MessageState, NewMessage, Rejection
from tests.messages.conftest import Queue


async def test_nobody_gets_a_message_before_its_time(queue: Queue) -> None:
    [first, later, last] = await queue.put(
        NewMessage("{}"), NewMessage('{"a":1}', delay_ms=5_000), NewMessage("{}")
    )
    assert first < later < last
    assert await queue.counts() == {"queued": 2, "delayed": 1}
    for expected in (first, last):
        lease = await queue.take()
        assert lease
        assert lease.id == expected

    queue.now_ms += 4_999
    assert await queue.take() is None
    queue.now_ms += 1
    lease = await queue.take()

    assert lease
    assert (lease.id, lease.payload) == (later, '{"a":1}')
    assert await queue.counts() == {"processing": 3}
    assert jobs.recount(queue.database) == {}


async def test_message_whose_time_has_come_has_its_old_place(queue: Queue) -> None:
    [later, _] = await queue.put(NewMessage("{}", delay_ms=1_000), NewMessage("{}"))
    queue.now_ms += 1_000

    lease = await queue.take()

    assert lease
    assert lease.id == later


async def test_waiting_consumer_is_served_at_the_time_and_costs_nothing_before(
    queue: Queue,
) -> None:
    queue.follow_the_clock()
    queue.service.set_recheck(3_600)
    [message_id] = await queue.put(NewMessage("{}", delay_ms=2_000))
    waiting = asyncio.create_task(queue.take(timeout_s=60))
    await queue.until_waiting(1)
    await asyncio.sleep(0.5)  # until its first try is over, without which there is no second
    said: list[str] = []

    def hear(*call: Any) -> None:
        said.append(call[2])

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        await asyncio.sleep(0.2)
        said_before = list(said)
        lease = await waiting
    finally:
        event.remove(Engine, "before_cursor_execute", hear)

    assert lease
    assert lease.id == message_id
    assert lease.leased_at_ms >= lease.created_at_ms + 2_000
    assert said_before == []


async def test_consumer_that_waits_first_is_served_at_the_time(queue: Queue) -> None:
    queue.follow_the_clock()
    queue.service.set_recheck(3_600)
    other = Queue(queue.database)
    other.follow_the_clock()
    other.service.set_recheck(3_600)
    here = asyncio.create_task(queue.take(type_="a", timeout_s=60))
    there = asyncio.create_task(other.take(type_="b", timeout_s=60))
    await queue.until_waiting(1)
    await other.until_waiting(1)

    [first, second] = await queue.put(
        NewMessage("{}", type="a", delay_ms=1_000), NewMessage("{}", type="b", delay_ms=1_500)
    )
    [arrived] = queue.recorder.arrivals
    other.service.wake(arrived)

    leases = [await here, await there]
    assert [lease.id for lease in leases if lease] == [first, second]
    await other.service.close()


async def test_worker_lets_in_what_is_due_and_tells_of_it(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}", delay_ms=1_000)] * 3, NewMessage("{}", delay_ms=2_000))

    assert not jobs.expire(queue.database, now_ms=queue.now_ms + 999).has_arrivals
    assert jobs.expire(queue.database, now_ms=queue.now_ms + 1_000).has_arrivals

    assert await queue.counts() == {"queued": 3, "delayed": 1}
    assert jobs.recount(queue.database) == {}


async def test_nack_says_when_the_message_may_come_again(queue: Queue) -> None:
    await queue.put(NewMessage("{}", max_attempts=2))
    lease = await queue.take()
    assert lease
    held = Held(lease.id, lease.lock_token)

    returned = await queue.service.reject(held, "later", now_ms=queue.now_ms, delay_ms=7_000)

    assert returned.state is MessageState.DELAYED
    assert returned.due_at_ms == queue.now_ms + 7_000
    with pytest.raises(LockLostError):
        await queue.service.acknowledge(held, now_ms=queue.now_ms)
    queue.now_ms += 6_999
    assert await queue.take() is None
    queue.now_ms += 1
    again = await queue.take()
    assert again
    assert again.attempt_count == 2
    [last] = await queue.service.reject_many(
        [Rejection(Held(again.id, again.lock_token), "no", 7_000)], now_ms=queue.now_ms
    )
    assert not isinstance(last, Exception)
    assert last.state is MessageState.DEAD
    assert await queue.counts() == {"dead": 1}
    assert jobs.recount(queue.database) == {}


async def test_what_waits_for_its_time_fills_and_leaves_its_queue(queue: Queue) -> None:
    await queue.service.queues.create("mail", QueueSettings(waiting_max=2), now_ms=queue.now_ms)
    await queue.put(*[NewMessage("{}", queue="mail", delay_ms=1_000)] * 2)
    with pytest.raises(QueueFullError):
        await queue.put(NewMessage("{}", queue="mail"))
    with pytest.raises(QueueNotEmptyError):
        await queue.service.queues.delete("mail")

    assert await queue.service.queues.purge("mail") == 2

    assert await queue.service.queues.delete("mail") == 0
    assert jobs.recount(queue.database) == {}


def test_wire_says_until_when_a_message_is_delayed(http: httpx.Client) -> None:
    kind = uuid.uuid4().hex
    new = {"payload": {}, "type": kind, "delay_seconds": 3_600}

    one = http.post("/api/queue/message", json=new).json()
    many = http.post("/api/queue/batch", json=[new, {"payload": {}, "type": kind}]).json()
    lease = http.get("/api/queue/message", params={"type": kind, "timeout": 0}).json()
    back = http.post(
        f"/api/queue/message/{lease['id']}/nack",
        json={"lock_token": lease["lock_token"], "delay_seconds": 60},
    ).json()
    metrics = http.get("/api/queue/metrics").json()
    none = http.get("/api/queue/message", params={"type": kind, "timeout": 0})

    assert (one["status"], one["due_at"] > one["created_at"]) == ("delayed", True)
    assert [message["status"] for message in many["messages"]] == ["delayed", "queued"]
    assert (back["status"], back["due_at"] > lease["dequeued_at"]) == ("delayed", True)
    assert (metrics["delayed"], metrics["queued"], metrics["total"]) == (3, 0, 3)
    assert none.json()["code"] == "NO_MESSAGES"
    wrong = http.post("/api/queue/message", json={"payload": {}, "delay_seconds": -1})
    assert list(wrong.json()["details"]) == ["delay_seconds"]
