"""Where looks begin, and that nothing stays out of sight: the rules, then the queue itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from models import clock
from models.audit import Actor, Signature
from models.database import Database
from models.messages import jobs
from models.messages.acts import Edit
from models.messages.marks import (
    FROM_THE_START,
    LAG_MS,
    LOOK_EVERY_MAX_MS,
    Key,
    Look,
    Marks,
    Start,
)
from models.messages.rules import Held, Lease, NewMessage, lane_of
from tests.messages.conftest import Queue

LINE: Key = ("default", None)
SLOW_MS = 40.0


class Lane:
    """The ids that wait in lane 0, and a process with marks that takes them, slowly."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.waiting: set[int] = set()
        self.marks = Marks()
        self.newest_id = 0

    def put(self, count: int) -> None:
        self.waiting |= set(range(self.newest_id + 1, self.newest_id + count + 1))
        self.newest_id += count

    def take(self, count: int, *, spent_ms: float = SLOW_MS) -> tuple[list[int], Start]:
        start = self.marks.start(LINE, now_ms=self.now_ms)
        ids = sorted(one for one in self.waiting if one > start.after[0])[:count]
        self.waiting -= set(ids)
        look = Look(
            key=LINE,
            start=start,
            ends={0: (ids[0], ids[-1])} if ids else {},
            asked_count=len(ids),
            is_short=len(ids) < count,
            newest_id=self.newest_id if len(ids) < count else 0,
            spent_ms=spent_ms,
        )
        self.marks.note(look, began_ms=self.now_ms, now_ms=self.now_ms)
        return ids, start

    def wear_down(self) -> None:
        """Take messages until looks from the start are known to be slow and a mark is set."""
        for _ in range(8):
            self.put(10)
            self.take(10)
            self.now_ms += LAG_MS
        assert self.marks.start(LINE, now_ms=self.now_ms).skips


def test_cheap_looks_begin_at_the_start() -> None:
    lane = Lane()

    for _ in range(20):
        lane.put(10)
        _, start = lane.take(10, spent_ms=0.5)
        lane.now_ms += LAG_MS

        assert start == FROM_THE_START


def test_one_slow_look_means_nothing() -> None:
    lane = Lane()
    for spent_ms in (0.5, SLOW_MS, 0.5, 0.5):
        lane.put(10)
        lane.take(10, spent_ms=spent_ms)
        lane.now_ms += LAG_MS

    assert lane.marks.start(LINE, now_ms=lane.now_ms) == FROM_THE_START


def test_mark_follows_what_was_taken() -> None:
    lane = Lane()

    lane.wear_down()

    assert lane.newest_id - 40 <= lane.marks.start(LINE, now_ms=lane.now_ms).after[0]


def test_mark_lags_behind_what_may_not_be_committed_yet() -> None:
    lane = Lane()
    lane.wear_down()
    mark = lane.marks.start(LINE, now_ms=lane.now_ms).after[0]
    lane.put(20)
    late = lane.newest_id - 15
    lane.waiting.remove(late)  # it has its id, but nobody sees it
    lane.take(20)
    lane.now_ms += LAG_MS - 1

    lane.waiting.add(late)

    assert mark < late
    assert lane.take(1)[0] == [late]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(1, 20)),
            st.tuples(st.just("take"), st.integers(1, 20)),
            st.tuples(st.just("wait"), st.sampled_from([1, 50, LAG_MS, 700, 3_000])),
            st.tuples(st.just("back"), st.integers(1, 100)),
            st.tuples(st.just("back elsewhere"), st.integers(1, 100)),
        ),
        max_size=60,
    )
)
def test_nothing_stays_out_of_sight_in_any_history(history: list[tuple[str, int]]) -> None:
    lane = Lane()
    lane.wear_down()
    for step, number in history:
        if step == "put":
            lane.put(number)
        elif step == "take":
            expected = sorted(lane.waiting)[:number]
            ids, start = lane.take(number)
            assert start.skips or ids == expected
        elif step == "wait":
            lane.now_ms += number
        elif number <= lane.newest_id:
            lane.waiting.add(number)
            if step == "back":
                lane.marks.lower([number], queue="default")
                start = lane.marks.start(LINE, now_ms=lane.now_ms)
                assert start.after[0] < number

    lane.now_ms += LOOK_EVERY_MAX_MS
    rest = sorted(lane.waiting)
    assert lane.take(len(rest) + 1)[0] == rest


def test_what_is_back_elsewhere_is_all_found_once_one_is() -> None:
    lane = Lane()
    lane.wear_down()
    lane.waiting |= {5, 6, 7}
    lane.now_ms += LOOK_EVERY_MAX_MS

    assert [lane.take(1)[0] for _ in range(3)] == [[5], [6], [7]]


def test_a_hurry_looks_from_the_start_without_the_rest() -> None:
    lane = Lane()
    lane.wear_down()
    lane.waiting.add(5)
    lane.put(50)
    lane.now_ms += LOOK_EVERY_MAX_MS
    lane.take(1)
    lane.take(1)  # a look from the start and one that begins behind it, both just now
    lane.waiting.add(4)

    lane.marks.hurry()
    lane.now_ms += int(5 * SLOW_MS)

    assert lane.take(1)[0] == [4]


def test_clock_that_was_set_back_blinds_nobody() -> None:
    lane = Lane()
    lane.wear_down()

    assert lane.marks.start(LINE, now_ms=lane.now_ms - 10_000) == FROM_THE_START


def test_marks_of_other_queues_stay() -> None:
    lane = Lane()
    lane.wear_down()

    lane.marks.lower([1], queue="other")

    assert lane.marks.start(LINE, now_ms=lane.now_ms).skips


# --- The queue itself, with a transaction open elsewhere ---

_WEAR = text(
    """
    INSERT INTO message_ready (queue, lane, payload, attempt_count, max_attempts, lease_ms,
                               created_at_ms)
    SELECT 'default', 9 * (n % 2), '{}', 0, 3, 60000, 0 FROM generate_series(1, 5000) AS n
    """
)
_NEXT_ID = text("SELECT nextval('message_ready_id_seq')")
_LATE = text(
    """
    INSERT INTO message_ready (id, queue, lane, payload, attempt_count, max_attempts, lease_ms,
                               created_at_ms)
    VALUES (:id, 'default', 9, '"late"', 0, 3, 60000, 0)
    """
)


@pytest.fixture
def other(database_url: str) -> Iterator[Queue]:
    """The same queue as another process has it, which does not wake this one."""
    database = Database(database_url, connections_max=4, timeout_s=10)
    made = Queue(database)
    made.follow_the_clock()
    yield made
    database.close()


@pytest.fixture
async def worn(queue: Queue, database_url: str) -> AsyncIterator[Queue]:
    """A queue whose looks from the start go through the dead rows of 40,000 messages.

    SQLite has no dead rows; there it is the queue as it is.
    """
    queue.follow_the_clock()
    if queue.database.is_sqlite:
        yield queue
        return
    with psycopg.connect(database_url) as elsewhere:
        elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        elsewhere.execute("SELECT count(*) FROM message_ready")
        for _ in range(8):  # each is quick enough for the deadlines of a loaded machine
            with queue.database.begin() as connection:
                connection.execute(_WEAR)
                connection.execute(text("DELETE FROM message_ready"))
        yield queue


async def found(queue: Queue, **wishes: Any) -> Lease:
    """Take a message, waiting as long as looks from the start may be apart, and then some."""
    lease = await queue.take(timeout_s=10 * LOOK_EVERY_MAX_MS / 1000, **wishes)
    assert lease is not None
    return lease


async def pass_by(queue: Queue, *, priority: int = 0, **new: Any) -> Lease:
    """Take a message, and then as many as it takes until looks begin behind its place."""
    await queue.put(NewMessage("{}", **{"lease_ms": 60_000, "priority": priority, **new}))
    lease = await found(queue)
    marks = queue.service._dispatcher._marks
    while (
        not queue.database.is_sqlite
        and marks.start(LINE, now_ms=clock.now_ms()).after[lane_of(priority)] < lease.id
    ):
        await queue.put(NewMessage("{}", lease_ms=60_000, priority=priority))
        await queue.service.acknowledge(held_by(await found(queue)), now_ms=clock.now_ms())
        await asyncio.sleep(LAG_MS / 4 / 1000)
    return lease


def held_by(lease: Lease) -> Held:
    return Held(lease.id, lease.lock_token)


async def test_message_given_back_is_found_at_once(worn: Queue) -> None:
    lease = await pass_by(worn)
    await worn.put(NewMessage("{}"))

    await worn.service.reject(held_by(lease), None, now_ms=clock.now_ms())

    again = await worn.take()
    assert again is not None
    assert again.id == lease.id


async def test_lease_nobody_takes_is_found_at_once(worn: Queue) -> None:
    lease = await pass_by(worn)
    await worn.put(NewMessage("{}"))

    await worn.service.give_back([lease])

    again = await worn.take()
    assert again is not None
    assert again.id == lease.id


async def test_message_that_gets_another_priority_is_found_at_once(worn: Queue) -> None:
    [old] = await worn.put(NewMessage("{}"))
    await pass_by(worn, priority=1)
    await worn.put(NewMessage("{}", priority=1))
    signature = Signature(actor=Actor(kind="key", name="tester", id="7"), action="message_edited")

    await worn.service.changes.edit(
        old, Edit(values={"priority": 1}), signature, now_ms=clock.now_ms()
    )

    again = await worn.take()
    assert again is not None
    assert again.id == old


async def test_lease_that_lapsed_is_found(worn: Queue) -> None:
    lease = await pass_by(worn, lease_ms=2_000)

    assert (await found(worn)).id == lease.id


async def test_message_that_became_due_is_found(worn: Queue) -> None:
    lease = await pass_by(worn)
    await worn.service.reject(held_by(lease), None, now_ms=clock.now_ms(), delay_ms=300)

    assert (await found(worn)).id == lease.id


async def test_message_given_back_in_another_process_is_found(worn: Queue, other: Queue) -> None:
    lease = await pass_by(worn)

    await other.service.reject(held_by(lease), None, now_ms=clock.now_ms())

    assert (await found(worn)).id == lease.id


async def test_consumer_that_waits_is_given_what_is_back_elsewhere(
    worn: Queue, other: Queue
) -> None:
    lease = await pass_by(worn)
    if worn.database.is_sqlite:  # where nothing but the recheck tells of another process
        worn.service.set_recheck(0.1)
    waiting = asyncio.create_task(found(worn))
    await worn.until_waiting(1)

    await other.service.reject(held_by(lease), None, now_ms=clock.now_ms())

    assert (await waiting).id == lease.id


async def test_lease_that_a_worker_lets_lapse_is_found(worn: Queue) -> None:
    lease = await pass_by(worn)

    jobs.expire(worn.database, now_ms=clock.now_ms() + 3_600_000)
    worn.service.wake(None)

    assert (await found(worn)).id == lease.id


async def test_message_that_was_committed_late_is_found(worn: Queue) -> None:
    late_id = 10**9
    if not worn.database.is_sqlite:  # which has one writer, so that nobody is late
        with worn.database.begin() as connection:
            late_id = connection.execute(
                text("SELECT nextval('message_ready_id_seq')")
            ).scalar_one()
    await pass_by(worn)

    with worn.database.begin() as connection:
        connection.execute(_LATE, {"id": late_id})

    assert (await found(worn)).id == late_id


async def test_a_look_on_nobody_s_word_is_for_one_and_then_for_all(queue: Queue) -> None:
    """Hundreds wait, and each recheck would ask for hundreds of messages that are not there."""
    queue.service.set_recheck(0.2)
    waiting = [asyncio.create_task(queue.take(timeout_s=60)) for _ in range(40)]
    await queue.until_waiting(40)
    await asyncio.sleep(0.1)  # they have been tried
    # Nobody here is told of what another process, that dies at once, puts in.
    other = Queue(queue.database)
    await other.put(*[NewMessage("{}")] * 40)
    await other.service.close()

    async with asyncio.timeout(30):
        leases = await asyncio.gather(*waiting)

    assert len({lease.id for lease in leases if lease}) == 40
