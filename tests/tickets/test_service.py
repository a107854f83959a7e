"""Tickets in one process, on both databases: numbers, days, who is called, and races."""

import asyncio
from collections import Counter as Tally

import pytest

from models.database import Database
from models.errors import StanchionError
from models.tickets import jobs
from models.tickets.refusals import (
    BranchClosedError,
    CounterBusyError,
    InvalidCounterError,
    NoWaitingTicketsError,
    StatusTransitionError,
    UnauthorizedCounterError,
)
from models.tickets.rules import (
    CompletionReason,
    Move,
    NewTicket,
    Numbering,
    Policy,
    Priority,
    Status,
)
from models.tickets.service import TicketService
from models.tickets.turnstile import Turnstile
from tests.tickets.conftest import House, acting

EIGHT_TO_FIVE = tuple([((8 * 60, 17 * 60),)] * 5 + [()] * 2)


# Numbers -------------------------------------------------------------------------------------


async def test_each_counter_counts_for_itself(house: House) -> None:
    one, two = await house.counter("1"), await house.counter("2", number_first=201)

    numbers = [(await house.take(each.id)).ticket.number for each in (one, two, one, two)]

    assert numbers == [101, 201, 102, 202]


async def test_a_hall_may_count_as_one(house: House) -> None:
    branch = await house.branch(numbering=Numbering.HALL, number_first=1)
    one = await house.counter("1", branch_id=branch.id)
    two = await house.counter("2", branch_id=branch.id)

    numbers = [(await house.take(each.id)).ticket.number for each in (one, two, one, two)]

    assert numbers == [1, 2, 3, 4]


async def test_numbers_begin_anew_at_the_local_reset_hour(house: House) -> None:
    branch = await house.branch(reset_minute=4 * 60)
    counter = await house.counter(branch_id=branch.id)
    days = []
    for hours in (0, 14, 5, 1):  # from 09:30 to 23:30, 04:30 and 05:30 of the next day
        house.move_clock(hours * 60)
        ticket = (await house.take(counter.id)).ticket
        days.append((ticket.business_day, ticket.number))

    assert days == [
        ("2025-07-16", 101),
        ("2025-07-16", 102),
        ("2025-07-17", 101),
        ("2025-07-17", 102),
    ]


@pytest.mark.parametrize("tickets", [200, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_many_kiosks_never_print_the_same_number(house: House, tickets: int) -> None:
    counter = await house.counter()
    # Each process has a turnstile of its own; what holds between them is the database alone.
    kiosks = [
        TicketService(house.database, Turnstile(house.database, tell=house.told.append))
        for _ in range(4)
    ]
    new = NewTicket(counter_id=counter.id)

    issued = await asyncio.gather(
        *(kiosk.issue(new, now_ms=house.now_ms) for kiosk in kiosks for _ in range(tickets // 4))
    )

    assert sorted(each.ticket.number for each in issued) == list(range(101, 101 + tickets))
    assert len({each.ticket.public_id for each in issued}) == tickets
    versions = [entry.version for entry in house.told]
    assert sorted(versions) == list(range(1, len(versions) + 1))


async def test_a_refused_ticket_takes_no_number_and_harms_no_neighbour(house: House) -> None:
    counter = await house.counter()
    other = await house.counter("2")
    await house.hall.pause(other.id, acting(), reason=None, until_ms=None, now_ms=house.now_ms)

    outcomes = await asyncio.gather(
        *(house.take(counter.id if turn % 2 else other.id) for turn in range(10)),
        return_exceptions=True,
    )

    numbers = [each.ticket.number for each in outcomes if not isinstance(each, BaseException)]
    assert sorted(numbers) == [101, 102, 103, 104, 105]
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert all(isinstance(each, InvalidCounterError) for each in refused)
    assert len(refused) == 5


# Opening hours -------------------------------------------------------------------------------


async def test_a_closed_hall_hands_out_nothing_and_says_when_it_opens(house: House) -> None:
    branch = await house.branch(opening=EIGHT_TO_FIVE)
    counter = await house.counter(branch_id=branch.id)
    await house.take(counter.id)
    house.move_clock(2.5 * 24 * 60)  # Friday, 21:30

    with pytest.raises(BranchClosedError) as refused:
        await house.take(counter.id)

    assert refused.value.opens_at == "2025-07-21T01:00:00Z"


async def test_who_waits_from_a_day_that_is_over_is_cancelled(
    house: House, database: Database
) -> None:
    counter = await house.counter()
    ticket = (await house.take(counter.id)).ticket
    assert jobs.close_days(database, after_ms=3_600_000, now_ms=house.now_ms) == 0
    house.move_clock(24 * 60)
    fresh = (await house.take(counter.id)).ticket

    assert jobs.close_days(database, after_ms=3_600_000, now_ms=house.now_ms) == 1
    assert jobs.close_days(database, after_ms=3_600_000, now_ms=house.now_ms) == 0

    assert (await house.service.get(ticket.id))[0].status is Status.CANCELLED
    assert (await house.service.get(fresh.id))[0].status is Status.WAITING


# Calls ---------------------------------------------------------------------------------------


async def test_two_officers_never_call_the_same_ticket(house: House) -> None:
    counter = await house.counter()
    waiting = [(await house.take(counter.id)).ticket.id for _ in range(5)]
    officers = [
        TicketService(house.database, Turnstile(house.database, tell=house.told.append))
        for _ in range(4)
    ]

    async def call_and_serve(officer: TicketService) -> list[int]:
        called = []
        for _ in range(20):
            try:
                done = await officer.call_next(counter.id, acting(), now_ms=house.now_ms)
            except CounterBusyError:
                continue  # another officer's; it will serve
            except NoWaitingTicketsError:
                break
            called.append(done.ticket.id)
            await officer.move(
                done.ticket.id, Move(status=Status.SERVING), acting(), now_ms=house.now_ms
            )
        return called

    called = await asyncio.gather(*(call_and_serve(officer) for officer in officers))

    times = Tally(ticket_id for each in called for ticket_id in each)
    assert set(times.values()) <= {1}
    assert sum(times.values()) == len(waiting) - len(await house.line(counter.id))


async def test_priority_and_normal_take_turns(house: House) -> None:
    counter = await house.counter()
    for priority in (*[Priority.NORMAL] * 3, Priority.ELDERLY, Priority.PRIORITY):
        await house.take(counter.id, priority)
        house.move_clock(1)
    shown = await house.line(counter.id)

    called = []
    for _ in range(5):
        done = await house.next(counter.id)
        called.append(done.ticket.number)
        await house.set(done.ticket.id, Status.SERVING)

    assert called == shown == [101, 104, 102, 105, 103]


async def test_a_turn_is_remembered_when_somebody_comes_between(house: House) -> None:
    counter = await house.counter()
    for priority in (Priority.NORMAL, Priority.NORMAL, Priority.ELDERLY):
        await house.take(counter.id, priority)
    first = await house.next(counter.id)
    await house.set(first.ticket.id, Status.SERVING)

    await house.take(counter.id)

    assert await house.line(counter.id) == [103, 102, 104]


async def test_a_counter_s_policy_can_be_another(house: House) -> None:
    counter = await house.counter(policy=Policy.STRICT)
    for priority in (Priority.NORMAL, Priority.ELDERLY):
        await house.take(counter.id, priority)

    assert await house.line(counter.id) == [102, 101]


async def test_a_call_by_hand_leaves_who_is_only_called(house: House) -> None:
    counter = await house.counter()
    first, second, third = [(await house.take(counter.id)).ticket.id for _ in range(3)]
    await house.set(first, Status.CALLED)
    await house.set(second, Status.CALLED)
    await house.set(second, Status.SERVING)
    house.move_clock(2)

    await house.set(third, Status.CALLED)

    statuses = [(await house.service.get(each))[0].status for each in (first, second, third)]
    assert statuses == [Status.CALLED, Status.COMPLETED, Status.CALLED]
    current = (await house.desk(counter.id)).current
    assert current is not None
    assert current.id == third
    completed = (await house.service.get(second))[0]
    assert completed.service_s == 120
    assert completed.completion_reason is CompletionReason.SUCCESS


async def test_a_parked_ticket_is_not_called_and_returns_to_its_place(house: House) -> None:
    counter = await house.counter()
    first = (await house.take(counter.id)).ticket
    await house.take(counter.id)
    await house.service.park(first.id, acting(), notes=None, now_ms=house.now_ms)

    called = await house.next(counter.id)
    await house.set(called.ticket.id, Status.SERVING)
    await house.take(counter.id)
    await house.service.unpark(first.id, acting(), now_ms=house.now_ms)

    assert called.ticket.number == 102
    assert await house.line(counter.id) == [101, 103]


async def test_an_officer_without_a_counter_acts_nowhere(house: House) -> None:
    counter = await house.counter()
    await house.take(counter.id)

    with pytest.raises(UnauthorizedCounterError):
        await house.service.call_next(counter.id, acting(is_bound=True), now_ms=house.now_ms)

    assert await house.line(counter.id) == [101]


async def test_what_is_over_cannot_be_parked(house: House) -> None:
    counter = await house.counter()
    ticket = (await house.take(counter.id)).ticket
    await house.set(ticket.id, Status.CANCELLED)

    with pytest.raises(StatusTransitionError):
        await house.service.park(ticket.id, acting(), notes=None, now_ms=house.now_ms)


# What displays are told ----------------------------------------------------------------------


async def test_displays_are_told_as_the_contract_says(house: House) -> None:
    counter = await house.counter()
    ticket = (await house.take(counter.id)).ticket
    await house.take(counter.id)
    await house.next(counter.id)

    [created, _] = house.events("ticket-created")
    [updated] = house.events("ticket-updated")
    [announced] = house.events("queue-announcement")

    assert created["ticket"] == created["ticket"] | {
        "id": ticket.id,
        "number": 101,
        "counter_id": counter.id,
        "counter_name": "Quầy Tư pháp",
        "priority": "normal",
        "created_at": "2025-07-16T02:30:00Z",
    }
    summary = {"counter_id": counter.id, "total_waiting": 1, "estimated_wait_time": 8}
    assert created["queue_summary"] == created["queue_summary"] | summary
    assert updated["ticket"] == updated["ticket"] | {
        "id": ticket.id,
        "number": 101,
        "old_status": "waiting",
        "new_status": "called",
        "updated_at": "2025-07-16T02:30:00Z",
        "updated_by": "officer01",
    }
    assert updated["queue_summary"] == updated["queue_summary"] | {
        "counter_id": counter.id,
        "current_serving": 101,
        "total_waiting": 1,
        "next_numbers": [102],
    }
    assert announced == announced | {
        "event": "queue-announcement",
        "type": "number-calling",
        "message": "Mời số 101 đến quầy Tư pháp",
        "message_en": "Number 101, please go to Quầy Tư pháp",
        "priority": "high",
        "auto_dismiss": 10,
        "timestamp": "2025-07-16T02:30:00Z",
    }
    assert announced["ticket"] == announced["ticket"] | {
        "number": 101,
        "counter_name": "Quầy Tư pháp",
    }


async def test_displays_are_told_of_a_pause(house: House) -> None:
    counter = await house.counter()
    await house.take(counter.id)

    await house.hall.pause(
        counter.id, acting(), reason="Đi họp", until_ms=None, now_ms=house.now_ms
    )

    [event] = house.events("counter-status-changed")
    assert event["counter"] == event["counter"] | {
        "id": counter.id,
        "name": "Quầy Tư pháp",
        "old_status": "active",
        "new_status": "paused",
        "reason": "Đi họp",
        "changed_by": "officer01",
    }
    assert event["affected_tickets"] == 1


async def test_a_refusal_tells_nobody_anything(house: House) -> None:
    counter = await house.counter()
    before = len(house.told)

    with pytest.raises(StanchionError):
        await house.next(counter.id)

    assert len(house.told) == before
