"""Many messages moved, deleted, redriven: what goes where, what was seen before, races, trail."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from models.audit import Actor, Signature
from models.confirmations import ChangedCountError, UnconfirmedError
from models.errors import InvalidError
from models.messages import jobs, tables
from models.messages.filters import MessageFilter
from models.messages.mass import (
    Act,
    Done,
    Pace,
    deleting,
    moving,
    redriving,
)
from models.messages.policies import QueueFullError, QueueNotFoundError, QueueSettings
from models.messages.rules import Held, MessageNotFoundError, MessageState, NewMessage, public_id
from tests.messages.conftest import Queue
from tests.messages.test_changes import dead, log_of

SIGNATURE = Signature(actor=Actor(kind="key", name="tester", id="7"), action="messages_changed")
PACE = Pace(messages_max=100_000, rows_per_transaction=500)
REDRIVE = redriving(queue=None, resets_attempts=True, rate_per_s=None)
ALL = MessageFilter()


async def act(
    queue: Queue,
    what: Act,
    chosen: MessageFilter = ALL,
    *states: MessageState,
    pace: Pace = PACE,
) -> Done:
    what = what.within(states, "status") if states else what.unless_said
    seen = await queue.service.mass.preview(what, chosen, now_ms=queue.now_ms)
    return await queue.service.mass.act(
        what, chosen, seen.confirm, SIGNATURE, pace=pace, now_ms=queue.now_ms
    )


async def act_named(queue: Queue, what: Act, ids: Sequence[int], pace: Pace = PACE) -> Done:
    return await queue.service.mass.act_named(what, ids, SIGNATURE, pace=pace, now_ms=queue.now_ms)


async def die(queue: Queue, count: int, **fields: Any) -> list[int]:
    """Put messages in that are dead right away."""
    ids = await queue.put(*[NewMessage("{}", max_attempts=1, **fields)] * count)
    for _ in ids:
        lease = await queue.take(queue=fields.get("queue", "default"), type_=fields.get("type"))
        assert lease
        await queue.service.reject(Held(lease.id, lease.lock_token), "broken", now_ms=queue.now_ms)
    return ids


def due_times(queue: Queue) -> list[int]:
    with queue.database.begin() as connection:
        order = tables.delayed.c.id
        statement = select(tables.delayed.c.due_at_ms).order_by(order)
        return list(connection.execute(statement).scalars())


# Redrive -------------------------------------------------------------------------------------


async def test_redriven_messages_wait_at_their_old_places_with_attempts_anew(queue: Queue) -> None:
    ids = await die(queue, 3, type="a")
    [other] = await die(queue, 1, type="b")
    [later] = await queue.put(NewMessage("{}", type="a"))

    done = await act(queue, REDRIVE, MessageFilter(type="a"))

    assert done == Done(count=3)
    leases = [await queue.take(type_="a") for _ in range(4)]
    assert [lease and lease.id for lease in leases] == [*ids, later]
    assert [lease and lease.attempt_count for lease in leases] == [1] * 4
    assert await queue.counts() == {"processing": 4, "dead": 1}
    assert jobs.recount(queue.database) == {}
    assert (await queue.service.mass.preview(REDRIVE, ALL, now_ms=queue.now_ms)).count == 1
    assert other


async def test_redrive_without_reset_gives_one_more_attempt(queue: Queue) -> None:
    await die(queue, 1)

    await act(queue, redriving(queue=None, resets_attempts=False, rate_per_s=None))

    lease = await queue.take()
    assert lease
    assert (lease.attempt_count, lease.max_attempts) == (2, 1)
    await queue.service.reject(Held(lease.id, lease.lock_token), None, now_ms=queue.now_ms)
    assert await queue.counts() == {"dead": 1}


async def test_who_waits_gets_a_redriven_message_in_its_new_queue(queue: Queue) -> None:
    await queue.service.queues.create("retry", QueueSettings(), now_ms=queue.now_ms)
    [message_id] = await die(queue, 1)
    waiting = asyncio.create_task(queue.take(queue="retry", timeout_s=60))
    await queue.until_waiting(1)

    await act(queue, redriving(queue="retry", resets_attempts=True, rate_per_s=None))

    lease = await waiting
    assert lease
    assert lease.id == message_id
    assert jobs.recount(queue.database) == {}


async def test_rate_spaces_the_due_times_over_all_batches_and_requests(queue: Queue) -> None:
    ids = await die(queue, 10)
    what = redriving(queue=None, resets_attempts=True, rate_per_s=4)
    start_ms = queue.now_ms

    done = await act(queue, what, pace=Pace(messages_max=5, rows_per_transaction=2))
    assert (done.count, done.left) == (5, 5)
    assert done.confirm
    queue.now_ms += 100
    rest = await queue.service.mass.act(
        what, ALL, done.confirm, SIGNATURE, pace=PACE, now_ms=queue.now_ms
    )

    assert (rest.count, rest.left, rest.confirm) == (5, 0, None)
    assert due_times(queue) == [start_ms + turn * 250 for turn in range(10)]
    assert await queue.counts() == {"delayed": 10}
    told = [event for event in queue.recorder.events if event.name == "redrive"]
    assert [event.data for event in told] == [
        {"id": public_id(message_id), "status": "delayed", "attempt_count": 0} for message_id in ids
    ]
    for turn in range(10):
        queue.now_ms = start_ms + turn * 250
        assert await queue.take()
        assert await queue.take() is None
    assert jobs.recount(queue.database) == {}


async def test_rate_that_takes_more_than_a_year_is_refused(queue: Queue) -> None:
    ids = await die(queue, 2)
    what = redriving(queue=None, resets_attempts=True, rate_per_s=0.00000001)

    with pytest.raises(InvalidError):
        await act(queue, what)
    with pytest.raises(InvalidError):
        await act_named(queue, what, ids)

    assert await queue.counts() == {"dead": 2}


# Seen before it is done ----------------------------------------------------------------------


async def test_preview_shows_and_changes_nothing(queue: Queue) -> None:
    ids = await die(queue, 12)

    seen = await queue.service.mass.preview(REDRIVE, ALL, now_ms=queue.now_ms)

    assert seen.count == 12
    assert [(state.value, row["id"]) for state, row in seen.sample] == [
        ("dead", message_id) for message_id in ids[:10]
    ]
    assert await queue.counts() == {"dead": 12}
    assert log_of(queue) == []


async def test_confirm_of_anything_else_is_refused(queue: Queue) -> None:
    await die(queue, 2)
    mass, now_ms = queue.service.mass, queue.now_ms
    confirm = (await mass.preview(REDRIVE, ALL, now_ms=now_ms)).confirm
    slowly = redriving(queue=None, resets_attempts=True, rate_per_s=1)

    for what, chosen, given in (
        (slowly, ALL, confirm),
        (REDRIVE, MessageFilter(type="a"), confirm),
        (deleting(force=False), ALL, confirm),
        (REDRIVE, ALL, f"0{confirm}"),
        (REDRIVE, ALL, "2"),
        (REDRIVE, ALL, ""),
        (REDRIVE, ALL, "-" * 9),
    ):
        with pytest.raises(UnconfirmedError):
            await mass.act(what, chosen, given, SIGNATURE, pace=PACE, now_ms=now_ms)

    assert await queue.counts() == {"dead": 2}


async def test_what_died_after_the_preview_is_not_redriven(queue: Queue) -> None:
    seen_ids = await die(queue, 2)
    seen = await queue.service.mass.preview(REDRIVE, ALL, now_ms=queue.now_ms)
    queue.now_ms += 1
    await die(queue, 3)

    done = await queue.service.mass.act(
        REDRIVE, ALL, seen.confirm, SIGNATURE, pace=PACE, now_ms=queue.now_ms
    )

    assert done == Done(count=2)
    assert await queue.counts() == {"queued": 2, "dead": 3}
    assert [lease and lease.id for lease in (await queue.take(), await queue.take())] == seen_ids


async def test_confirm_is_good_once_and_not_after_somebody_else(queue: Queue) -> None:
    ids = await die(queue, 3)
    seen = await queue.service.mass.preview(REDRIVE, ALL, now_ms=queue.now_ms)
    await act_named(queue, deleting(force=False), ids[:1])

    with pytest.raises(ChangedCountError) as refusal:
        await queue.service.mass.act(
            REDRIVE, ALL, seen.confirm, SIGNATURE, pace=PACE, now_ms=queue.now_ms
        )

    assert refusal.value.details == {"seen": "3", "count": "2"}
    assert await queue.counts() == {"dead": 2}


async def test_fewer_that_wait_are_as_good_but_none_that_came_in_is_touched(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 3)
    what = deleting(force=False).unless_said
    seen = await queue.service.mass.preview(what, ALL, now_ms=queue.now_ms)
    assert await queue.take()
    queue.now_ms += 1
    await queue.put(*[NewMessage("{}")] * 5)

    done = await queue.service.mass.act(
        what, ALL, seen.confirm, SIGNATURE, pace=PACE, now_ms=queue.now_ms
    )

    assert done == Done(count=2)
    assert await queue.counts() == {"queued": 5, "processing": 1}


# Move and delete -----------------------------------------------------------------------------


async def test_messages_move_to_another_queue_and_keep_state_and_due_time(queue: Queue) -> None:
    await queue.service.queues.create("mail", QueueSettings(), now_ms=queue.now_ms)
    lost = await dead(queue)
    await queue.put(NewMessage("{}"), NewMessage("{}", delay_ms=5_000))
    [there] = await queue.put(NewMessage("{}", queue="mail"))
    due = due_times(queue)

    done = await act(queue, moving(queue="mail", state=None, reason=None))

    assert done == Done(count=3)
    found = await queue.service.queues.get("mail")
    assert (found.counts.queued, found.counts.delayed, found.counts.dead) == (2, 1, 1)
    assert due_times(queue) == due
    assert await queue.take() is None
    assert jobs.recount(queue.database) == {}
    again = await queue.service.mass.preview(
        moving(queue="mail", state=None, reason=None), ALL, now_ms=queue.now_ms
    )
    assert (again.count, lost < there) == (0, True)


async def test_delayed_and_dead_messages_move_to_those_that_wait(queue: Queue) -> None:
    lost = await dead(queue)
    [delayed, ready] = await queue.put(NewMessage("{}", delay_ms=5_000), NewMessage("{}"))

    done = await act_named(
        queue,
        moving(queue=None, state=MessageState.QUEUED, reason=None),
        [lost, delayed, ready, 4_711],
    )

    assert done == Done(count=2, skipped={ready: MessageState.QUEUED, 4_711: None})
    assert await queue.counts() == {"queued": 3}
    leases = [await queue.take() for _ in range(3)]
    assert [lease and (lease.id, lease.attempt_count) for lease in leases] == [
        (lost, 1),
        (delayed, 1),
        (ready, 1),
    ]


async def test_waiting_messages_move_to_the_dead_with_a_reason(queue: Queue) -> None:
    ids = await queue.put(NewMessage("{}"), NewMessage("{}", delay_ms=5_000))

    await act(queue, moving(queue=None, state=MessageState.DEAD, reason="poison"))

    with queue.database.begin() as connection:
        rows = connection.execute(select(tables.dead.c.id, tables.dead.c.reason)).all()
    assert sorted(map(tuple, rows)) == [(message_id, "poison") for message_id in ids]
    assert jobs.recount(queue.database) == {}


async def test_move_to_a_queue_that_is_not_there_or_full_changes_nothing(queue: Queue) -> None:
    ids = await queue.put(*[NewMessage("{}")] * 3)
    nowhere = moving(queue="mial", state=None, reason=None)
    with pytest.raises(QueueNotFoundError):
        await act(queue, nowhere)
    with pytest.raises(QueueNotFoundError):
        await act_named(queue, nowhere, ids)
    await queue.service.queues.create("tiny", QueueSettings(waiting_max=2), now_ms=queue.now_ms)
    tiny = moving(queue="tiny", state=None, reason=None)
    with pytest.raises(QueueFullError):
        await act_named(queue, tiny, ids)
    assert (await queue.service.status("default")).counts.queued == 3

    done = await act(queue, tiny, pace=Pace(messages_max=9, rows_per_transaction=1))

    assert (done.count, done.left, bool(done.confirm)) == (2, 1, True)
    assert jobs.recount(queue.database) == {}


async def test_delete_without_a_state_leaves_what_is_held_or_done(queue: Queue) -> None:
    await dead(queue)
    await queue.put(*[NewMessage("{}")] * 4, NewMessage("{}", delay_ms=5_000))
    leases = [await queue.take(), await queue.take()]
    assert leases[0]
    assert leases[1]
    held = Held(leases[0].id, leases[0].lock_token)
    await queue.service.acknowledge(held, now_ms=queue.now_ms)

    assert (await act(queue, deleting(force=False))).count == 4

    assert await queue.counts() == {"processing": 1, "acknowledged": 1}
    with pytest.raises(InvalidError):
        await act(queue, deleting(force=False), ALL, MessageState.PROCESSING)
    assert (await act(queue, deleting(force=True), ALL, MessageState.PROCESSING)).count == 1
    assert (await act(queue, deleting(force=False), ALL, MessageState.ARCHIVED)).count == 0
    assert (await act(queue, deleting(force=False), ALL, MessageState.ACKNOWLEDGED)).count == 1
    assert await queue.counts() == {}
    assert jobs.recount(queue.database) == {}


async def test_archived_messages_are_deleted_where_they_are_counted(queue: Queue) -> None:
    for _ in range(2):
        await queue.put(NewMessage("{}"))
        lease = await queue.take()
        assert lease
        await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
        queue.now_ms += 1_000
    jobs.grow_old(
        queue.database, archive_after_ms=1_500, delete_after_ms=99_000, now_ms=queue.now_ms
    )
    assert await queue.counts() == {"archived": 1, "acknowledged": 1}

    assert (await act(queue, deleting(force=False), ALL, MessageState.ARCHIVED)).count == 1

    assert await queue.counts() == {"acknowledged": 1}
    assert jobs.recount(queue.database) == {}


async def test_work_is_done_in_transactions_of_the_size_that_is_asked_for(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 25)

    done = await act(
        queue, deleting(force=False), pace=Pace(messages_max=22, rows_per_transaction=10)
    )

    assert (done.count, done.left) == (22, 3)
    assert queue.recorder.names().count("delete") == 22
    assert [details["count"] for *_, details in log_of(queue)] == [10, 10, 2]


async def test_request_that_takes_long_ends_and_says_what_is_left(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 10)
    times = itertools.count(queue.now_ms, 8_000)
    queue.set_clock(lambda: next(times))

    done = await act(
        queue, deleting(force=False), pace=Pace(messages_max=10, rows_per_transaction=2)
    )

    assert (done.count, done.left) == (6, 4)


async def test_large_messages_are_taken_a_few_at_a_time(queue: Queue) -> None:
    payload = '{"a": "' + "x" * 6_000_000 + '"}'
    for _ in range(5):
        await queue.put(NewMessage(payload, max_attempts=1))

    assert (await act(queue, deleting(force=False))).count == 5

    assert [details["count"] for *_, details in log_of(queue)] == [3, 2]


async def test_each_batch_is_in_the_audit_log_with_the_filter(queue: Queue) -> None:
    await queue.service.queues.create("mail", QueueSettings(), now_ms=queue.now_ms)
    await die(queue, 2, type="a")

    await act(
        queue,
        redriving(queue="mail", resets_attempts=True, rate_per_s=5),
        MessageFilter(type="a"),
    )

    [(name, _, target, details)] = log_of(queue)
    assert (name, target) == ("tester", "mail")
    assert {**details, "filter": None} == {
        "filter": None,
        "count": 2,
        "queue": "mail",
        "status": "delayed",
        "rate_per_second": 5,
    }
    assert details["filter"]["type"] == "a"


# Races ---------------------------------------------------------------------------------------


async def test_two_redrives_and_consumers_at_once_bring_each_message_once(queue: Queue) -> None:
    other = Queue(queue.database)
    ids = await die(queue, 60)
    pace = Pace(messages_max=100, rows_per_transaction=7)
    seen = await queue.service.mass.preview(REDRIVE, ALL, now_ms=queue.now_ms)
    is_over = asyncio.Event()

    async def consume() -> list[int]:
        taken = []
        while not is_over.is_set() or (await queue.counts()).get("queued"):
            if lease := await other.take():
                taken.append(lease.id)
                held = Held(lease.id, lease.lock_token)
                await other.service.acknowledge(held, now_ms=other.now_ms)
        return taken

    async def redrive(one: Queue) -> int:
        try:
            done = await one.service.mass.act(
                REDRIVE, ALL, seen.confirm, SIGNATURE, pace=pace, now_ms=one.now_ms
            )
        except ChangedCountError:
            return 0
        return done.count

    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    counts = await asyncio.gather(redrive(queue), redrive(other))
    is_over.set()
    taken = [one for part in await asyncio.gather(*consumers) for one in part]

    assert sum(counts) == 60
    assert sorted(taken) == ids
    assert await queue.counts() == {"acknowledged": 60}
    assert jobs.recount(queue.database) == {}
    await other.service.close()


async def test_moves_and_deletes_race_with_claims_and_acks(queue: Queue) -> None:
    other = Queue(queue.database)
    await queue.service.queues.create("mail", QueueSettings(), now_ms=queue.now_ms)
    ids = await queue.put(*[NewMessage("{}")] * 80)
    to_mail = moving(queue="mail", state=None, reason=None)

    async def consume(name: str) -> list[int]:
        taken = []
        while lease := await other.take(queue=name):
            taken.append(lease.id)
            held = Held(lease.id, lease.lock_token)
            with contextlib.suppress(MessageNotFoundError):  # it was deleted by force
                await other.service.acknowledge(held, now_ms=other.now_ms)
        return taken

    moved, gone, *taken = await asyncio.gather(
        act_named(queue, to_mail, ids[::2], Pace(messages_max=100, rows_per_transaction=5)),
        act_named(queue, deleting(force=True), ids[::3]),
        *(consume("default") for _ in range(3)),
    )
    rest = [*await consume("mail"), *await consume("default")]

    delivered = [*rest, *(one for part in taken for one in part)]
    assert len(delivered) == len(set(delivered))
    deleted = set(ids[::3]) - gone.skipped.keys()
    assert set(delivered) | deleted == set(ids)
    assert set(moved.skipped) <= set(ids[::2])
    assert jobs.recount(queue.database) == {}
    await other.service.close()


async def test_consumers_are_served_between_the_transactions(queue: Queue) -> None:
    other = Queue(queue.database)
    await queue.put(*[NewMessage("{}", type="old")] * 600)
    pace = Pace(messages_max=1_000, rows_per_transaction=20)
    deleting_all = asyncio.create_task(
        act(queue, deleting(force=False), MessageFilter(type="old"), pace=pace)
    )
    served = 0

    while not deleting_all.done():
        await other.put(NewMessage("{}", type="new"))
        lease = await other.take(type_="new")
        assert lease
        await other.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=other.now_ms)
        served += not deleting_all.done()

    assert (await deleting_all).count == 600
    assert served > 0
    assert jobs.recount(queue.database) == {}
    await other.service.close()
