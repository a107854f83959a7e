"""What the service promises, on both databases."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from models.database import Database
from models.errors import LimitError, UnavailableError
from models.messages.policies import QueueSettings
from models.messages.rules import (
    Extension,
    Held,
    InvalidStateError,
    LeaseRequest,
    LockLostError,
    MessageNotFoundError,
    MessageState,
    NewMessage,
    Rejection,
    Returned,
)
from models.messages.service import MessageLimits
from tests.messages.conftest import Listener, Queue


async def test_lease_goes_by_priority_then_by_age(queue: Queue) -> None:
    low, first, second = await queue.put(
        NewMessage("{}", priority=0), NewMessage("{}", priority=9), NewMessage("{}", priority=9)
    )

    taken = [await queue.take() for _ in range(3)]

    assert [lease.id for lease in taken if lease] == [first, second, low]


async def test_lease_by_type_leaves_other_types_alone(queue: Queue) -> None:
    [_, wanted] = await queue.put(NewMessage("{}", type="a"), NewMessage("{}", type="b"))

    lease = await queue.take(type_="b")

    assert lease is not None
    assert lease.id == wanted
    assert await queue.take(type_="b") is None


async def test_payload_comes_back_to_the_letter(queue: Queue) -> None:
    text = '{"b": 1.0e5,   "a": 12345678901234567890, "ü": "\\u0000 \\ud83d"}'
    await queue.put(NewMessage(text))

    lease = await queue.take()

    assert lease is not None
    assert lease.payload == text


async def test_lease_hides_the_message_until_it_ends(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=5_000))
    first = await queue.take()
    assert first is not None

    queue.now_ms += 4_999
    assert await queue.take() is None
    queue.now_ms += 1
    again = await queue.take()

    assert again is not None
    assert (again.id, again.attempt_count) == (first.id, 2)
    assert again.lock_token != first.lock_token


async def test_lease_length_of_the_consumer_wins_over_the_messages(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=5_000))

    lease = await queue.take(lease_ms=7_000)

    assert lease is not None
    assert lease.lease_until_ms == queue.now_ms + 7_000


async def test_lapsed_message_keeps_its_place(queue: Queue) -> None:
    first, second = await queue.put(NewMessage("{}", lease_ms=1_000), NewMessage("{}"))
    await queue.take()
    queue.now_ms += 1_000

    taken = [await queue.take(), await queue.take()]

    assert [lease.id for lease in taken if lease] == [first, second]
    assert "expire" in queue.recorder.names()


async def test_acknowledge_repeated_with_its_token_returns_the_first_moment(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None
    held = Held(lease.id, lease.lock_token)
    first_ms = await queue.service.acknowledge(held, now_ms=queue.now_ms)

    again_ms = await queue.service.acknowledge(held, now_ms=queue.now_ms + 5_000)

    assert first_ms == again_ms == queue.now_ms
    assert queue.recorder.names().count("ack") == 1 + 1  # told again, harmless
    assert await queue.counts() == {"acknowledged": 1}


async def test_acknowledge_with_a_foreign_token_changes_nothing(queue: Queue) -> None:
    [message_id] = await queue.put(NewMessage("{}"))
    with pytest.raises(InvalidStateError):
        await queue.service.acknowledge(Held(message_id, "lt_never"), now_ms=queue.now_ms)
    await queue.take()

    with pytest.raises(LockLostError):
        await queue.service.acknowledge(Held(message_id, "lt_other"), now_ms=queue.now_ms)

    assert await queue.counts() == {"processing": 1}


async def test_old_token_is_refused_once_another_consumer_has_the_message(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=1_000))
    old = await queue.take()
    queue.now_ms += 1_000
    new = await queue.take()
    assert old
    assert new

    for settle in (queue.service.acknowledge, queue.service.extend, queue.service.reject):
        arguments = () if settle == queue.service.acknowledge else (None,)
        with pytest.raises(LockLostError):
            await settle(Held(old.id, old.lock_token), *arguments, now_ms=queue.now_ms)

    await queue.service.acknowledge(Held(new.id, new.lock_token), now_ms=queue.now_ms)


async def test_unknown_message_is_not_found(queue: Queue) -> None:
    with pytest.raises(MessageNotFoundError):
        await queue.service.acknowledge(Held(4711, "lt_x"), now_ms=queue.now_ms)
    with pytest.raises(MessageNotFoundError):
        await queue.service.reject(Held(4711, "lt_x"), None, now_ms=queue.now_ms)
    with pytest.raises(MessageNotFoundError):
        await queue.service.extend(Held(4711, "lt_x"), None, now_ms=queue.now_ms)


async def test_reject_returns_the_message_to_its_place_until_its_last_attempt(
    queue: Queue,
) -> None:
    first, _second = await queue.put(NewMessage("{}", max_attempts=2), NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None
    returned = await queue.service.reject(
        Held(first, lease.lock_token), "too hot", now_ms=queue.now_ms
    )
    assert (returned.state, returned.attempt_count) == (MessageState.QUEUED, 1)

    lease = await queue.take()
    assert lease is not None
    assert lease.id == first
    returned = await queue.service.reject(Held(first, lease.lock_token), None, now_ms=queue.now_ms)

    assert (returned.state, returned.error) == (MessageState.DEAD, None)
    assert await queue.counts() == {"queued": 1, "dead": 1}
    assert queue.recorder.names()[-2:] == ["nack", "dead"]


async def test_lapse_of_the_last_attempt_is_death(queue: Queue) -> None:
    await queue.put(NewMessage("{}", max_attempts=1, lease_ms=1_000))
    await queue.take()
    queue.now_ms += 1_000

    assert await queue.take() is None

    assert await queue.counts() == {"dead": 1}
    assert queue.recorder.names()[-2:] == ["expire", "dead"]


async def test_extend_counts_from_now_by_the_leases_own_length(queue: Queue) -> None:
    await queue.put(NewMessage("{}", lease_ms=5_000))
    lease = await queue.take(lease_ms=8_000)
    assert lease is not None
    held = Held(lease.id, lease.lock_token)

    queue.now_ms += 3_000
    assert await queue.service.extend(held, None, now_ms=queue.now_ms) == queue.now_ms + 8_000
    assert await queue.service.extend(held, 2_000, now_ms=queue.now_ms) == queue.now_ms + 2_000


async def test_batch_is_stored_in_order_and_together(queue: Queue) -> None:
    ids = await queue.put(*(NewMessage(f'{{"n": {n}}}') for n in range(700)))

    taken = await asyncio.gather(*(queue.take() for _ in range(700)))

    assert ids == sorted(ids)
    assert [lease.payload for lease in taken if lease] == [f'{{"n": {n}}}' for n in range(700)]


async def test_bad_row_in_a_group_fails_alone(queue: Queue) -> None:
    # The wire's own checks would have refused it; here the database does.
    bad = NewMessage(None)  # type: ignore[arg-type]
    puts = [queue.put(NewMessage("{}")), queue.put(bad), queue.put(NewMessage("{}"))]

    outcomes = await asyncio.gather(*puts, return_exceptions=True)

    assert [isinstance(outcome, list) for outcome in outcomes] == [True, False, True]
    assert await queue.counts() == {"queued": 2}


async def test_too_many_waiting_writes_are_refused(database: Database) -> None:
    queue = Queue(database, MessageLimits(flush_rows_max=1, flush_waiting_max=5))

    outcomes = await asyncio.gather(
        *(queue.put(NewMessage("{}")) for _ in range(20)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, LimitError)]
    assert refused
    assert await queue.counts() == {"queued": 20 - len(refused)}
    await queue.service.close()


async def test_status_tells_types_and_ends_of_the_line(queue: Queue) -> None:
    await queue.put(NewMessage("{}", type="a", priority=3), NewMessage("{}"))
    queue.now_ms += 500
    await queue.put(NewMessage("{}", type="a"))
    await queue.take(type_="a")

    status = await queue.service.status()

    assert {name: (c.queued, c.processing) for name, c in status.by_type.items()} == {
        "": (1, 0),
        "a": (1, 1),
    }
    assert status.oldest_queued_at_ms == queue.now_ms - 500
    assert status.newest_queued_at_ms == queue.now_ms
    assert status.oldest_queue == "default"


async def test_waiting_consumer_gets_what_comes(queue: Queue) -> None:
    waiting = asyncio.create_task(queue.take(timeout_s=30))
    await queue.until_waiting(1)

    [message_id] = await queue.put(NewMessage("{}"))

    lease = await waiting
    assert lease is not None
    assert lease.id == message_id


async def test_waiting_consumers_are_served_in_order_of_arrival(queue: Queue) -> None:
    waiting = [asyncio.create_task(queue.take(timeout_s=30)) for _ in range(5)]
    await queue.until_waiting(5)

    ids = [(await queue.put(NewMessage("{}")))[0] for _ in range(5)]

    leases = await asyncio.gather(*waiting)
    assert [lease.id for lease in leases if lease] == ids


async def test_consumer_that_hung_up_gets_no_lease(queue: Queue) -> None:
    listener = Listener()
    gone = asyncio.create_task(queue.take(timeout_s=30, listener=listener))
    await queue.until_waiting(1)
    listener.hang_up()
    await queue.put(NewMessage("{}"))

    assert await gone is None
    lease = await queue.take(timeout_s=5)

    assert lease is not None
    assert lease.attempt_count == 1
    assert await queue.counts() == {"processing": 1}


async def test_lease_for_a_caller_lost_in_the_meantime_is_undone(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    listener = Listener()
    listener.hang_up()

    assert await queue.take(listener=listener) is None

    lease = await queue.take(timeout_s=5)
    assert lease is not None
    assert lease.attempt_count == 1
    assert "dequeue" not in queue.recorder.names()[:-1]


async def test_drain_answers_those_who_wait(queue: Queue) -> None:
    waiting = [asyncio.create_task(queue.take(timeout_s=30)) for _ in range(3)]
    await queue.until_waiting(3)

    queue.service.drain()

    assert await asyncio.gather(*waiting) == [None, None, None]
    assert await queue.take(timeout_s=30) is None


async def test_waiting_consumer_gets_a_message_whose_lease_ends(database: Database) -> None:
    queue = Queue(database)
    await queue.put(NewMessage("{}", lease_ms=1_000))
    first = await queue.take()
    assert first is not None
    waiting = asyncio.create_task(queue.take(timeout_s=30))
    await queue.until_waiting(1)

    queue.now_ms += 1_000
    queue.service.wake(None)

    lease = await waiting
    assert lease is not None
    assert (lease.id, lease.attempt_count) == (first.id, 2)
    await queue.service.close()


async def test_every_message_of_a_crowd_is_leased_once(queue: Queue) -> None:
    ids = set(await queue.put(*(NewMessage("{}") for _ in range(300))))
    other = Queue(queue.database)

    leases = await asyncio.gather(
        *(queue.take() for _ in range(200)), *(other.take() for _ in range(200))
    )

    taken = [lease.id for lease in leases if lease]
    assert len(taken) == len(set(taken)) == 300
    assert set(taken) == ids
    await other.service.close()


async def test_drain_answers_those_whose_try_is_under_way(queue: Queue) -> None:
    waiting = asyncio.create_task(queue.take(timeout_s=30))
    await queue.until_waiting(1)  # its first try has not come back

    queue.service.drain()

    assert await asyncio.wait_for(waiting, 5) is None


async def test_reject_twice_at_once_succeeds_once(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None
    rejections = [
        queue.service.reject(Held(lease.id, token), "x", now_ms=queue.now_ms)
        for token in ("lt_stranger", lease.lock_token, lease.lock_token)
    ]

    outcomes = await asyncio.gather(*rejections, return_exceptions=True)

    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["LockLostError", "Returned", "LockLostError"]
    assert await queue.counts() == {"queued": 1}


async def test_error_with_a_character_no_database_keeps_is_kept_without_it(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None

    held = Held(lease.id, lease.lock_token)
    returned = await queue.service.reject(held, "a\0b", now_ms=queue.now_ms)

    assert returned.error == "a\ufffdb"


async def test_reason_of_a_death_is_the_last_one(queue: Queue) -> None:
    await queue.put(NewMessage("{}", max_attempts=2, lease_ms=1_000))
    lease = await queue.take()
    assert lease is not None
    held = Held(lease.id, lease.lock_token)
    await queue.service.reject(held, "too hot", now_ms=queue.now_ms)
    await queue.take()
    queue.now_ms += 1_000
    await queue.take()

    with queue.database.begin() as connection:
        reason = connection.execute(text("SELECT reason FROM message_dead")).scalar_one()

    assert reason == "lease expired"


async def test_claim_that_commits_too_late_is_undone(queue: Queue, database_url: str) -> None:
    if queue.database.is_sqlite:
        pytest.skip("SQLite has no server that could be frozen")
    hasty_database = Database(database_url, connections_max=6, timeout_s=0.3)
    hasty = Queue(hasty_database)
    await hasty.put(NewMessage("{}"))
    assert await hasty.take(type_="none of it") is None  # opens the connection to be frozen
    with frozen_backends(queue.database), pytest.raises(UnavailableError):
        await hasty.take()

    lease = await queue.take(timeout_s=20)

    assert lease is not None
    assert lease.attempt_count == 1
    await hasty.service.close()
    hasty_database.close()


async def test_waiting_consumer_is_rung_up_when_a_lease_ends(database: Database) -> None:
    queue = Queue(database)
    queue.follow_the_clock()
    await queue.put(NewMessage("{}", lease_ms=1_000))
    first = await queue.take()
    assert first is not None

    # The recheck comes after five seconds only, so it is the end of the lease that wakes.
    again = await queue.take(timeout_s=3)

    assert again is not None
    assert again.id == first.id
    await queue.service.close()


async def test_consumers_of_many_types_each_get_their_own(queue: Queue) -> None:
    types = [f"type {n}" for n in range(40)]
    waiting = [asyncio.create_task(queue.take(type_=type_, timeout_s=30)) for type_ in types]
    await queue.until_waiting(len(types))

    ids = await queue.put(*(NewMessage("{}", type=type_) for type_ in types))

    leases = await asyncio.gather(*waiting)
    assert [lease.id for lease in leases if lease] == ids


@contextmanager
def frozen_backends(database: Database) -> Iterator[None]:
    """Stop every server process of the database but the one that tells which there are."""
    with database.begin() as connection:
        pids = connection.execute(
            text(
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database() AND application_name = 'stanchion'"
            )
        ).scalars()
        frozen = list(pids)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def requests(count: int, *, type_: str | None = None) -> list[LeaseRequest]:
    return [LeaseRequest("many", f"lt_many_{n}", type_) for n in range(count)]


async def test_many_leases_come_in_one_claim_in_order(queue: Queue) -> None:
    ids = await queue.put(*[NewMessage("{}")] * 5)

    leases = await queue.service.lease_many(requests(3), timeout_s=0, caller=Listener())

    assert [lease.id for lease in leases] == ids[:3]
    assert [lease.lock_token for lease in leases] == ["lt_many_0", "lt_many_1", "lt_many_2"]
    rest = await queue.service.lease_many(requests(9), timeout_s=0, caller=Listener())
    assert [lease.id for lease in rest] == ids[3:]


async def test_who_waits_for_many_is_given_what_comes_first(queue: Queue) -> None:
    asking = asyncio.create_task(
        queue.service.lease_many(requests(9), timeout_s=30, caller=Listener())
    )
    await queue.until_waiting(1)

    ids = await queue.put(*[NewMessage("{}")] * 2)

    assert [lease.id for lease in await asking] == ids


async def test_who_wants_many_leaves_the_rest_to_the_next(queue: Queue) -> None:
    ids = await queue.put(*[NewMessage("{}")] * 3)

    many, one = await asyncio.gather(
        queue.service.lease_many(requests(2), timeout_s=30, caller=Listener()),
        queue.take(timeout_s=30),
    )

    assert [lease.id for lease in many] == ids[:2]
    assert one is not None
    assert one.id == ids[2]


async def test_many_leases_of_a_caller_who_hung_up_are_undone(queue: Queue) -> None:
    listener = Listener()
    asking = asyncio.create_task(
        queue.service.lease_many(requests(9), timeout_s=30, caller=listener)
    )
    await queue.until_waiting(1)

    listener.hang_up()
    await queue.put(*[NewMessage("{}")] * 4)

    assert await asking == []
    again = await queue.take(timeout_s=5)
    assert again is not None
    assert again.attempt_count == 1


async def test_leases_given_back_are_as_if_they_had_never_been(queue: Queue) -> None:
    await queue.put(*[NewMessage("{}")] * 2)
    leases = await queue.service.lease_many(requests(2), timeout_s=0, caller=Listener())

    await queue.service.give_back(leases)

    again = await queue.take()
    assert again is not None
    assert (again.id, again.attempt_count) == (leases[0].id, 1)


async def test_leases_given_back_are_told_to_other_processes(queue: Queue) -> None:
    await queue.put(NewMessage("{}"))
    lease = await queue.take()
    assert lease is not None
    queue.recorder.arrivals.clear()

    await queue.service.give_back([lease])

    assert queue.recorder.arrivals == [None]


async def test_a_busy_line_does_not_starve_the_others(queue: Queue) -> None:
    for name in ("busy", "calm"):
        await queue.service.queues.create(name, QueueSettings(), now_ms=queue.now_ms)
    await queue.put(*[NewMessage("{}", queue="busy")] * 4_000)
    await queue.put(NewMessage("{}", queue="calm"))
    taken: list[str] = []

    async def keep_asking(consumer: str) -> None:
        while True:
            wishes = [
                LeaseRequest(consumer, f"lt_{consumer}_{len(taken)}_{n}", queue="busy")
                for n in range(500)
            ]
            if not await queue.service.lease_many(wishes, timeout_s=0, caller=Listener()):
                return
            taken.append("busy")

    async def ask_once() -> None:
        assert await queue.take(queue="calm")
        taken.append("calm")

    await asyncio.gather(keep_asking("one"), keep_asking("two"), keep_asking("three"), ask_once())

    assert taken.index("calm") < 4


async def test_many_are_settled_each_for_itself(queue: Queue) -> None:
    ids = await queue.put(*[NewMessage("{}", max_attempts=1)] * 4)
    leases = await queue.service.lease_many(requests(4), timeout_s=0, caller=Listener())
    held = [Held(lease.id, lease.lock_token) for lease in leases]
    wrong = Held(ids[1], "lt_wrong")

    acked = await queue.service.acknowledge_many([held[0], wrong], now_ms=queue.now_ms)
    extended = await queue.service.extend_many(
        [Extension(held[1], 9_000), Extension(wrong, 9_000)], now_ms=queue.now_ms
    )
    rejected = await queue.service.reject_many(
        [Rejection(held[2], "no"), Rejection(held[0], "no")], now_ms=queue.now_ms
    )

    assert acked[0] == queue.now_ms
    assert isinstance(acked[1], LockLostError)
    assert extended[0] == queue.now_ms + 9_000
    assert isinstance(extended[1], LockLostError)
    assert isinstance(rejected[0], Returned)
    assert rejected[0].state is MessageState.DEAD
    assert isinstance(rejected[1], InvalidStateError)
