"""What workers do for messages, on both databases."""

import pytest
from sqlalchemy import text

from models.messages import jobs
from models.messages.rules import Held, MessageState, NewMessage, Tally
from models.messages.statements import counts
from models.messages.statements.counts import Epochs
from tests.messages.conftest import Queue


async def test_expire_returns_everything_overdue_in_batches(queue: Queue) -> None:
    count = 1_203  # more than two batches of a sweep
    for _ in range(3):
        await queue.put(*(NewMessage("{}", lease_ms=1_000) for _ in range(count // 3)))
    for _ in range(count):
        await queue.take()
    assert await queue.counts() == {"processing": count}

    lapses = jobs.expire(queue.database, now_ms=queue.now_ms + 1_000)

    assert lapses.has_arrivals
    assert [event.name for event in lapses.events] == ["expire"] * count
    assert await queue.counts() == {"queued": count}
    assert jobs.expire(queue.database, now_ms=queue.now_ms + 1_000).events == []


async def test_expire_leaves_leases_in_force_alone(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=5_000))
    await queue.take()

    assert jobs.expire(queue.database, now_ms=queue.now_ms + 4_999).events == []
    assert await queue.counts() == {"processing": 1}


async def test_expire_buries_the_last_attempt(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=1_000, max_attempts=1))
    await queue.take()

    lapses = jobs.expire(queue.database, now_ms=queue.now_ms + 1_000)

    assert not lapses.has_arrivals
    assert [event.name for event in lapses.events] == ["expire", "dead"]
    assert await queue.counts() == {"dead": 1}


async def test_messages_grow_old_and_go(queue: Queue) -> None:
    held = []
    for _ in range(3):
        await queue.put(NewMessage("{}", type="old"))
        lease = await queue.take()
        assert lease is not None
        held.append(Held(lease.id, lease.lock_token))
        await queue.service.acknowledge(held[-1], now_ms=queue.now_ms)
        queue.now_ms += 10_000
    grow = {"archive_after_ms": 15_000, "delete_after_ms": 25_000}

    assert jobs.grow_old(queue.database, now_ms=queue.now_ms, **grow) == (2, 1)
    assert await queue.counts() == {"acknowledged": 1, "archived": 1}
    assert jobs.grow_old(queue.database, now_ms=queue.now_ms, **grow) == (0, 0)
    assert jobs.grow_old(queue.database, now_ms=queue.now_ms + 10**9, **grow) == (1, 2)
    assert await queue.counts() == {}


async def test_archived_message_still_knows_its_token(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None
    held = Held(lease.id, lease.lock_token)
    at_ms = await queue.service.acknowledge(held, now_ms=queue.now_ms)
    jobs.grow_old(
        queue.database, archive_after_ms=1, delete_after_ms=10**9, now_ms=queue.now_ms + 1_000
    )

    assert await queue.service.acknowledge(held, now_ms=queue.now_ms + 2_000) == at_ms
    assert await queue.counts() == {"archived": 1}


async def test_recount_finds_true_counters_true(queue: Queue) -> None:
    await queue.put(NewMessage("{}", type="a"), NewMessage("{}"), NewMessage("{}", lease_ms=1_000))
    for _ in range(2):
        lease = await queue.take()
        assert lease is not None
    await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
    jobs.fold_counters(queue.database)

    assert jobs.recount(queue.database) == {}
    assert await queue.counts() == {"queued": 1, "processing": 1, "acknowledged": 1}


async def test_recount_sets_wrong_counters_right(queue: Queue) -> None:
    await queue.put(NewMessage("{}", type="a"))
    with queue.database.begin() as connection:
        connection.execute(text("DELETE FROM message_ready"))

    assert jobs.recount(queue.database) == {("default", "a", "queued"): (1, 0)}
    assert await queue.counts() == {}


async def test_counters_that_got_slow_go_on_in_other_rows(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    with queue.database.begin() as connection:
        epochs = connection.info["counter_epochs"] = Epochs()
        for _ in range(1_000):
            epochs.note(0.01)
        tally = Tally()
        tally.move("default", None, target=MessageState.QUEUED)
        tally.move("default", None, source=MessageState.QUEUED)
        tally.move("default", "b", target=MessageState.DEAD, count=2)
        counts.bump(connection, 7, tally)
        connection.info.pop("counter_epochs")
        shards = counts.read_shards(connection)
        connection.execute(text("DELETE FROM message_counter WHERE type = 'b'"))

    assert [shard for shard in shards if shard > 7] == [10_000_007]
    jobs.fold_counters(queue.database)
    assert await queue.counts() == {"queued": 1}
    assert jobs.recount(queue.database) == {}


@pytest.mark.parametrize("spent_s", [0.0001, 0.0019])
def test_counters_that_are_quick_stay(spent_s: float) -> None:
    epochs = Epochs()
    for _ in range(5_000):
        epochs.note(spent_s)

    assert epochs.shard(7) == 7
