"""Pauses of a type or a group, rates, and the back-off of a queue."""

import asyncio
import uuid

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from models.database import Database
from models.messages import jobs, tables
from models.messages.policies import QueueSettings, Rate, backoff_ms
from models.messages.rules import Held, Lease, LeaseRequest, MessageState, NewMessage
from tests.messages.conftest import Listener, Queue


async def arrange(queue: Queue, **settings: object) -> None:
    await queue.service.queues.patch("default", settings, now_ms=queue.now_ms)


async def drain(queue: Queue) -> list[Lease]:
    leases = []
    while lease := await queue.take():
        leases.append(lease)
    return leases


def one(type_: str | None = None, key: str | None = None, **more: object) -> NewMessage:
    return NewMessage("{}", type=type_, group_key=key, **more)  # type: ignore[arg-type]


def count_rows(database: Database, *of: object) -> int:
    with database.begin() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]
            for table in of
        )


async def test_a_paused_type_waits_and_the_others_go_on(queue: Queue) -> None:
    ids = await queue.put(*[one("mail")] * 600, one("sms"), one())
    await arrange(queue, paused_types=["mail"])
    ids += await queue.put(*[one("mail")] * 600, one("sms"))

    given = await drain(queue)

    assert [lease.type for lease in given] == ["sms", None, "sms"]
    assert await queue.counts() == {"queued": 1_200, "processing": 3}
    assert await queue.take(type_="mail") is None
    assert jobs.recount(queue.database) == {}

    await arrange(queue, paused_types=None)
    requests = [LeaseRequest("many", f"lt_{n}") for n in range(500)]
    back = []
    while leases := await queue.service.lease_many(requests, timeout_s=0, caller=Listener()):
        back += leases
    mails = [message_id for place, message_id in enumerate(ids) if place not in {600, 601, 1_202}]
    assert [lease.id for lease in back] == mails  # at their places, and no attempt was counted
    assert {lease.attempt_count for lease in back} == {1}


async def test_a_paused_group_waits_with_all_its_messages(queue: Queue) -> None:
    first, second, other = await queue.put(one(key="a"), one(key="a"), one(key="b"))
    await arrange(queue, paused_keys=["a"])
    assert [lease.id for lease in await drain(queue)] == [other]
    await arrange(queue, paused_keys=["c"])
    head = await queue.take()
    assert head
    assert head.id == first
    assert await queue.take() is None
    await queue.service.acknowledge(Held(head.id, head.lock_token), now_ms=queue.now_ms)
    assert [lease.id for lease in await drain(queue)] == [second]


async def test_who_waits_is_served_at_the_end_of_a_pause(queue: Queue) -> None:
    await arrange(queue, paused_types=["mail"])
    await queue.put(one("mail"))
    waiting = asyncio.create_task(queue.take(timeout_s=60))
    await queue.until_waiting(1)
    await asyncio.sleep(0.1)  # it was tried, and its message put aside
    await arrange(queue, paused_types=None)
    assert (await waiting) is not None


async def test_a_paused_message_can_be_purged(queue: Queue) -> None:
    await arrange(queue, paused_types=["mail"])
    await queue.put(*[one("mail", "k")] * 3)
    assert await queue.take() is None
    assert await queue.service.queues.purge("default") == 3
    assert count_rows(queue.database, tables.aside, tables.group) == 0
    assert jobs.recount(queue.database) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": {"count": 2, "seconds": 10}},
        {"type_rates": {"mail": {"count": 2, "seconds": 10}}},
        {"key_rate": {"count": 2, "seconds": 10}},
    ],
)
async def test_a_rate_lets_so_many_through_and_gives_the_others_their_turns(
    queue: Queue, settings: dict[str, object]
) -> None:
    await arrange(queue, **settings)
    key = "k" if "key_rate" in settings else None
    ids = await queue.put(*[one("mail")] * 6) if key is None else []
    for _ in range(6 if key else 0):  # each of its own transaction, one done before the next
        ids += await queue.put(one("mail", key))
    taken: list[tuple[int, int]] = []
    start_ms = queue.now_ms
    for _ in range(21):
        for lease in await drain(queue):
            taken.append((lease.id, (queue.now_ms - start_ms) // 1000))
            assert lease.attempt_count == 1
            await queue.service.acknowledge(Held(lease.id, lease.lock_token), now_ms=queue.now_ms)
            for more in await drain(queue):  # of a group the next one came in with the ack
                taken.append((more.id, (queue.now_ms - start_ms) // 1000))
                held = Held(more.id, more.lock_token)
                await queue.service.acknowledge(held, now_ms=queue.now_ms)
        queue.now_ms += 1_000
    assert [message_id for message_id, _ in taken] == ids
    assert [second for _, second in taken] == [0, 0, 5, 10, 15, 20]
    assert jobs.recount(queue.database) == {}


async def test_turns_that_nobody_took_are_given_anew(queue: Queue) -> None:
    """Else all who waited for their turns would go at once when a consumer comes back."""
    await arrange(queue, rate={"count": 1, "seconds": 10})
    await queue.put(*[one(lease_ms=1_000_000)] * 5)
    requests = [LeaseRequest("many", f"lt_of_{n}") for n in range(5)]
    assert len(await queue.service.lease_many(requests, timeout_s=0, caller=Listener())) == 1
    assert await queue.counts() == {"processing": 1, "delayed": 4}
    queue.now_ms += 100_000
    assert len(await drain(queue)) == 1
    assert await queue.counts() == {"processing": 2, "delayed": 1, "queued": 2}


async def test_processes_share_a_rate(database: Database) -> None:
    sides = [Queue(database), Queue(database)]
    await arrange(sides[0], rate={"count": 5, "seconds": 60})
    await sides[0].put(*[one()] * 30)
    for side in sides:
        side.service.wake(None)
    given = await asyncio.gather(*(side.take() for side in sides for _ in range(10)))
    assert len([lease for lease in given if lease]) == 5
    for side in sides:
        await side.service.close()
    assert jobs.recount(database) == {}


async def test_what_is_spent_no_more_is_forgotten(queue: Queue) -> None:
    await arrange(queue, key_rate={"count": 1, "seconds": 1})
    await queue.put(*[one(key=f"k{n}") for n in range(520)])
    assert len(await drain(queue)) == 520
    jobs.expire(queue.database, now_ms=queue.now_ms + 999)
    assert count_rows(queue.database, tables.rate) == 520
    jobs.expire(queue.database, now_ms=queue.now_ms + 1_001)
    assert count_rows(queue.database, tables.rate) == 0


async def test_a_failed_message_waits_as_its_queue_says(queue: Queue) -> None:
    await arrange(queue, retry_delay_ms=10_000, retry_factor=3, retry_delay_max_ms=60_000)
    await queue.put(one(max_attempts=5))
    for delay_s in (10, 30, 60, 60):
        lease = await queue.take()
        assert lease
        held = Held(lease.id, lease.lock_token)
        returned = await queue.service.reject(held, "no", now_ms=queue.now_ms)
        assert returned.state is MessageState.DELAYED
        assert returned.due_at_ms == queue.now_ms + delay_s * 1000
        queue.now_ms += delay_s * 1000
    lease = await queue.take()
    assert lease
    last = await queue.service.reject(Held(lease.id, lease.lock_token), "no", now_ms=queue.now_ms)
    assert last.state is MessageState.DEAD


async def test_a_lapsed_lease_backs_off_too_and_a_consumer_may_choose(queue: Queue) -> None:
    await arrange(queue, retry_delay_ms=10_000)
    await queue.put(one(lease_ms=1_000))
    assert await queue.take()
    queue.now_ms += 1_000
    assert await queue.take() is None  # its lease ran out, and it waits for its time
    queue.now_ms += 10_000
    lease = await queue.take()
    assert lease
    held = Held(lease.id, lease.lock_token)
    returned = await queue.service.reject(held, None, now_ms=queue.now_ms, delay_ms=0)
    assert returned.state is MessageState.QUEUED


@given(
    settings=st.builds(
        QueueSettings,
        retry_delay_ms=st.integers(1, 31_536_000_000),
        retry_factor=st.floats(1, 10),
        retry_delay_max_ms=st.integers(1_000, 31_536_000_000),
        retry_jitter=st.floats(0, 1),
    ),
    attempt=st.integers(1, 10_000),
    message_id=st.integers(1, 2**63 - 1),
)
def test_a_back_off_never_leaves_its_bounds(
    settings: QueueSettings, attempt: int, message_id: int
) -> None:
    assert 0 <= backoff_ms(settings, attempt, message_id) <= settings.retry_delay_max_ms


@given(
    count=st.integers(1, 1_000),
    seconds=st.integers(1, 60),
    waits=st.lists(st.integers(0, 5_000_000), min_size=1, max_size=300),
)
def test_no_window_holds_more_than_a_burst_and_its_share(
    count: int, seconds: int, waits: list[int]
) -> None:
    rate, spent_us, now_us = Rate(count, seconds), 0, 0
    turns = []
    for wait_us in waits:
        now_us += wait_us
        spent_us, turn_us = rate.next_us(spent_us, now_us)
        turns.append(turn_us)
    assert turns == sorted(turns)
    for start, first_us in enumerate(turns):
        within = [us for us in turns[start:] if us < first_us + count * rate.interval_us]
        assert len(within) <= 2 * count


def test_wire_sets_shows_and_takes_back(http: httpx.Client) -> None:
    path = f"/api/queue/queues/q{uuid.uuid4().hex}"
    settings = {
        "paused_types": ["mail"],
        "retry_delay_seconds": 5,
        "retry_jitter": 0.5,
        "type_rates": {"sms": {"count": 10, "seconds": 60}},
    }
    made = http.put(path, json=settings)
    assert made.status_code == 201
    assert made.json() == {**made.json(), **settings}
    patched = http.patch(path, json={"paused_types": None, "rate": {"count": 3}}).json()
    assert (patched["paused_types"], patched["rate"]) == ([], {"count": 3, "seconds": 1})
    assert patched["type_rates"] == settings["type_rates"]
    assert http.put(path, json={}).json()["retry_delay_seconds"] == 0
    for wrong, field in (
        ({"rate": {"count": 0}}, "rate.count"),
        ({"type_rates": {"a": {"count": 1, "per": 2}}}, "type_rates[...]"),
        ({"retry_factor": 0.5}, "retry_factor"),
        ({"paused_keys": [""]}, "paused_keys[0]"),
    ):
        assert list(http.patch(path, json=wrong).json()["details"]) == [field]
    http.delete(path)


async def test_a_spent_rate_leaves_the_others_in_line(queue: Queue) -> None:
    await queue.put(*[one()] * 100)
    await arrange(queue, rate={"count": 1, "seconds": 60})
    assert await queue.take()

    assert await queue.take() is None
    assert await queue.counts() == {"queued": 98, "delayed": 1, "processing": 1}


async def test_whose_turn_it_is_goes_before_those_of_a_higher_priority(queue: Queue) -> None:
    _, second = await queue.put(one(), one())
    await arrange(queue, rate={"count": 1, "seconds": 60})
    assert await queue.take()
    assert await queue.take() is None  # it is the turn of the second in a minute

    await queue.put(*[one(priority=9)] * 10)
    queue.now_ms += 60_000
    lease = await queue.take()
    assert lease
    assert lease.id == second
