"""Messages of one group that are edited, deleted, moved, redriven: still one after the other."""

import asyncio

from models.messages import jobs
from models.messages.mass import Pace, deleting, moving
from models.messages.policies import NO_SETTINGS
from models.messages.rules import Held, Lease, MessageState
from tests.messages.conftest import Queue
from tests.messages.test_changes import delete, edit
from tests.messages.test_groups import grouped
from tests.messages.test_mass import REDRIVE, act, act_named


async def drain(queue: Queue, name: str = "default") -> list[int]:
    """Take and acknowledge all there is; no two of a group may be there at once."""
    order: list[int] = []
    while lease := await queue.take(queue=name):
        if lease.group_key is not None:
            other = await queue.take(queue=name)
            assert other is None or other.group_key != lease.group_key
            if other is not None:
                order.append(other.id)
                await ack(queue, other)
        order.append(lease.id)
        await ack(queue, lease)
    return order


async def ack(queue: Queue, lease: Lease) -> None:
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)


async def test_who_waits_gets_the_next_when_the_head_is_deleted(queue: Queue) -> None:
    head, second, third = await queue.put(*[grouped("a")] * 3)
    lease = await queue.take()
    assert lease
    waiting = asyncio.create_task(queue.take(timeout_s=60))
    await queue.until_waiting(1)

    await delete(queue, head, force=True)

    following = await waiting
    assert following
    assert following.id == second
    await delete(queue, third)
    await ack(queue, following)
    assert await queue.take() is None
    assert await queue.counts() == {"acknowledged": 1}
    assert jobs.recount(queue.database) == {}


async def test_one_that_waits_behind_its_group_is_edited_and_deleted_there(queue: Queue) -> None:
    head, second, third = await queue.put(*[grouped("a")] * 3)

    await edit(queue, second, priority=9, payload='{"b": 1}')
    await delete(queue, third)

    first = await queue.take()
    assert first
    assert (first.id, await queue.take()) == (head, None)
    await ack(queue, first)
    following = await queue.take()
    assert following
    assert (following.id, following.payload, following.priority) == (second, '{"b": 1}', 9)
    assert jobs.recount(queue.database) == {}


async def test_whole_groups_are_deleted_and_begin_anew(queue: Queue) -> None:
    await queue.put(*[grouped("a")] * 5, *[grouped("b")] * 5, grouped(None))

    done = await act(
        queue, deleting(force=False), pace=Pace(messages_max=99, rows_per_transaction=2)
    )

    assert (done.count, done.left) == (11, 0)
    [new] = await queue.put(grouped("a"))
    assert await drain(queue) == [new]
    assert jobs.recount(queue.database) == {}


async def test_groups_move_to_another_queue_in_their_order(queue: Queue) -> None:
    await queue.service.queues.create("mail", NO_SETTINGS, now_ms=queue.now_ms)
    ids = await queue.put(*[grouped("a")] * 7, grouped(None))
    to_mail = moving(queue="mail", state=None, reason=None)

    done = await act(queue, to_mail, pace=Pace(messages_max=99, rows_per_transaction=2))

    assert (done.count, done.left) == (8, 0)
    moved = await drain(queue, "mail")
    assert [each for each in moved if each != ids[7]] == ids[:7]
    assert jobs.recount(queue.database) == {}
    assert await drain(queue) == []


async def test_paused_messages_move_to_where_nothing_is_paused(queue: Queue) -> None:
    await queue.service.queues.create("mail", NO_SETTINGS, now_ms=queue.now_ms)
    ids = await queue.put(*[grouped("a", type="slow")] * 3)
    await queue.service.queues.patch("default", {"paused_types": ["slow"]}, now_ms=queue.now_ms)
    assert await queue.take() is None

    done = await act(queue, moving(queue="mail", state=None, reason=None))

    assert (done.count, done.left) == (3, 0)
    assert await drain(queue, "mail") == ids
    assert jobs.recount(queue.database) == {}


async def test_redriven_messages_join_the_end_of_what_their_group_does(queue: Queue) -> None:
    lost, second = await queue.put(grouped("a", max_attempts=1), grouped("a"))
    lease = await queue.take()
    assert lease
    await queue.service.reject(Held(lost, lease.lock_token), None, now_ms=queue.now_ms)
    held = await queue.take()
    assert held
    assert held.id == second

    await act(queue, REDRIVE)

    assert await queue.take() is None
    await ack(queue, held)
    assert await drain(queue) == [lost]
    assert jobs.recount(queue.database) == {}


async def test_head_that_is_laid_by_lets_the_next_one_go(queue: Queue) -> None:
    head, second = await queue.put(grouped("a"), grouped("a"))
    to_dead = moving(queue=None, state=MessageState.DEAD, reason="poison")

    await act_named(queue, to_dead, [head])

    assert await drain(queue) == [second]
    assert await queue.counts() == {"dead": 1, "acknowledged": 1}
    assert jobs.recount(queue.database) == {}


async def test_acts_race_with_consumers_and_groups_stay_whole(queue: Queue) -> None:
    other = Queue(queue.database)
    await queue.service.queues.create("mail", NO_SETTINGS, now_ms=queue.now_ms)
    ids = await queue.put(*[grouped(key) for key in "abc"] * 25)
    held: set[str] = set()

    async def consume(name: str, taken: list[int]) -> None:
        while lease := await other.take(queue=name):
            key = f"{name} {lease.group_key}"
            assert key not in held
            held.add(key)
            taken.append(lease.id)
            await asyncio.sleep(0)
            held.discard(key)
            await ack(other, lease)

    taken: list[int] = []
    pace = Pace(messages_max=99, rows_per_transaction=3)
    _, gone, *_ = await asyncio.gather(
        act_named(queue, moving(queue="mail", state=None, reason=None), ids[::4], pace),
        act_named(queue, deleting(force=False), ids[::5], pace),
        *(consume("default", taken) for _ in range(3)),
    )
    for _ in range(2):
        await consume("mail", taken)
        await consume("default", taken)

    assert len(taken) == len(set(taken))
    assert set(taken) | (set(ids[::5]) - gone.skipped.keys()) == set(ids)
    assert jobs.recount(queue.database) == {}
    [new] = await queue.put(grouped("a"))
    assert await drain(queue) == [new]
    await other.service.close()
