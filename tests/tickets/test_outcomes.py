"""What becomes of estimates, papers and ratings; halls that close; tickets that are forgotten."""

from datetime import date
from typing import Any

import pytest

from models import pulse
from models.audit import Actor
from models.errors import InvalidError
from models.tickets import jobs
from models.tickets.refusals import TicketNotFoundError, TicketNotServedError
from models.tickets.reports import Reports
from models.tickets.rules import (
    Announcement,
    AnnouncementType,
    CompletionReason,
    PrintState,
    Status,
)
from tests.tickets.conftest import MINUTE_MS, SUPERVISOR, House

HOUR_MS = 60 * MINUTE_MS
# Until 11:00 of a Wednesday, and from 13:00 to 16:00; the tests begin at 09:30.
WEDNESDAYS = ((), (), ((480, 660), (780, 960)), (), (), (), ())


async def serve(house: House, counter_id: int, minutes: float) -> int:
    """Call the next, serve for some minutes, and return the ticket's id."""
    ticket = (await house.next(counter_id)).ticket
    await house.set(ticket.id, Status.SERVING)
    house.move_clock(minutes)
    await house.set(ticket.id, Status.COMPLETED)
    return ticket.id


async def test_an_estimate_is_kept_with_its_outcome(house: House) -> None:
    counter = await house.counter()
    first, second = await house.take(counter.id), await house.take(counter.id)
    await serve(house, counter.id, 10)
    await serve(house, counter.id, 4)
    waiting = await house.take(counter.id)

    _, accuracy, _ = await Reports(house.database).accuracy(None, None, None, now_ms=house.now_ms)

    assert [each.number for each in accuracy.outcomes] == [
        first.ticket.number,
        second.ticket.number,
    ]
    of_second = accuracy.outcomes[1]
    assert (of_second.ahead, of_second.real_min) == (1, 10)
    assert of_second.estimated_min == second.ticket.estimated_min == 8
    assert of_second.is_covered
    assert accuracy.pending == 1
    assert accuracy.error_min == pytest.approx(1.0)
    assert waiting.ticket.first_called_at_ms is None


async def test_a_recall_does_not_lengthen_the_wait(house: House) -> None:
    counter = await house.counter()
    issued = await house.take(counter.id)
    await house.next(counter.id)
    house.move_clock(5)
    await house.service.recall(issued.ticket.id, SUPERVISOR, now_ms=house.now_ms)

    ticket, _ = await house.service.get(issued.ticket.id)

    assert ticket.first_called_at_ms == issued.ticket.created_at_ms
    assert ticket.called_at_ms == house.now_ms


async def test_estimates_learn_and_displays_are_told(house: House) -> None:
    counter = await house.counter()
    for _ in range(25):
        await house.take(counter.id)
        await house.take(counter.id)
        await serve(house, counter.id, 16)
        await serve(house, counter.id, 16)
    for _ in range(2):
        await house.take(counter.id)
    before = await house.desk(counter.id)

    assert jobs.calibrate(house.database, now_ms=house.now_ms) == 1
    assert jobs.calibrate(house.database, now_ms=house.now_ms) == 0

    after = await house.desk(counter.id)
    assert before.calibrations == {}
    assert after.calibrations[0].outcomes == 50
    assert after.calibrations[0].middle > 0
    # What changed and taught nothing new is looked at once.
    await house.hall.announce(HELLO, SUPERVISOR, branch_id=None, now_ms=house.now_ms)
    assert jobs.calibrate(house.database, now_ms=house.now_ms) == 0


async def test_a_hall_is_closed_some_time_after_its_last_hour(house: House) -> None:
    branch = await house.branch(opening=WEDNESDAYS)
    counter = await house.counter(branch_id=branch.id)
    called, waiting = await house.take(counter.id), await house.take(counter.id)
    await house.next(counter.id)

    house.move_clock(2 * 60)  # the break at noon
    assert jobs.close_days(house.database, after_ms=0, now_ms=house.now_ms) == 0
    house.move_clock(5 * 60 + 15)  # 16:45
    assert jobs.close_days(house.database, after_ms=HOUR_MS, now_ms=house.now_ms) == 0
    house.move_clock(30)
    assert jobs.close_days(house.database, after_ms=HOUR_MS, now_ms=house.now_ms) == 1

    cancelled, _ = await house.service.get(waiting.ticket.id)
    still, _ = await house.service.get(called.ticket.id)
    assert cancelled.status is Status.CANCELLED
    assert cancelled.completion_reason is CompletionReason.HALL_CLOSED
    assert still.status is Status.CALLED


async def test_old_tickets_are_forgotten_and_open_ones_are_not(house: House) -> None:
    counter = await house.counter()
    await house.take(counter.id)
    done = await serve(house, counter.id, 5)
    kept = await house.take(counter.id)
    house.move_clock(3 * 24 * 60)

    forgotten = [
        jobs.forget(house.database, kept_ms=24 * HOUR_MS, now_ms=house.now_ms) for _ in range(2)
    ]

    assert forgotten == [1, 0]
    with pytest.raises(TicketNotFoundError):
        await house.service.get(done)
    assert (await house.service.get(kept.ticket.id))[0].status is Status.WAITING
    assert (await house.take(counter.id)).ticket.number == 101


async def test_only_who_was_served_can_rate(house: House) -> None:
    counter = await house.counter()
    issued = await house.take(counter.id)
    paper = issued.ticket.public_id
    with pytest.raises(TicketNotServedError):
        await house.service.rate(paper, rating=5, comment=None, now_ms=house.now_ms)
    await serve(house, counter.id, 5)
    assert (await house.service.get(paper))[0].rating is None  # unrated is unrated

    await house.service.rate(paper, rating=2, comment="Chờ lâu", now_ms=house.now_ms)
    await house.service.rate(paper, rating=4, comment=None, now_ms=house.now_ms)

    assert (await house.service.get(paper))[0].rating == 4
    _, load, _ = await Reports(house.database).load(None, None, None, now_ms=house.now_ms)
    assert load.all.ratings == [4]


async def test_a_paper_that_failed_is_seen_until_it_is_printed(house: House) -> None:
    counter = await house.counter()
    paper = (await house.take(counter.id)).ticket.public_id
    reports = Reports(house.database)

    await house.service.note_print(paper, PrintState.FAILED, now_ms=house.now_ms)
    failed = await reports.unprinted(None)
    await house.service.note_print(paper, PrintState.PRINTED, now_ms=house.now_ms)

    assert [each.public_id for each in failed] == [paper]
    assert await reports.unprinted(None) == []
    told = [each["ticket"]["print_state"] for each in house.events("ticket-printed")]
    assert told == ["failed", "printed"]


async def test_the_load_of_a_hall(house: House) -> None:
    counter, other = await house.counter(), await house.counter("Quầy 2")
    for _ in range(4):
        await house.take(counter.id)
    await serve(house, counter.id, 6)
    await serve(house, counter.id, 4)
    absent = (await house.next(counter.id)).ticket.id
    for _ in range(2):
        await house.service.recall(absent, SUPERVISOR, now_ms=house.now_ms)
    await house.service.no_show(absent, SUPERVISOR, notes=None, now_ms=house.now_ms)
    left = (await house.desk(counter.id)).line[0].id
    await house.set(left, Status.CANCELLED)
    await house.take(counter.id)
    house.move_clock(7)

    _, load, counters = await Reports(house.database).load(None, None, None, now_ms=house.now_ms)

    assert [each.id for each in counters] == [counter.id, other.id]
    one = load.counters[counter.id]
    assert (one.tickets, one.served, one.no_shows, one.abandoned, one.waiting) == (5, 2, 1, 1, 1)
    assert one.abandonment_rate == 0.5
    assert one.utilisation == pytest.approx(1.0)
    assert (one.mean_service_min, one.longest_wait_min) == (5, 10)
    assert one.longest_waiting_min == 7
    assert load.peak_hours == [9]
    assert list(load.days) == ["2025-07-16"]


HELLO = Announcement(
    type=AnnouncementType.SYSTEM_MESSAGE,
    message="Nghỉ trưa",
    message_en=None,
    priority="normal",
    auto_dismiss_s=30,
)


async def test_an_announcement_reaches_each_hall(house: House) -> None:
    one, two = await house.branch(), await house.branch()

    told = await house.hall.announce(HELLO, SUPERVISOR, branch_id=None, now_ms=house.now_ms)

    assert told == [one.id, two.id]
    events: list[dict[str, Any]] = house.events("queue-announcement")
    assert [each["branch_id"] for each in events] == told
    assert events[0]["type"] == "system-message"
    assert SUPERVISOR.actor == Actor(kind="test", name="officer01")


async def test_a_report_has_bounds(house: House) -> None:
    await house.branch()
    reports = Reports(house.database)
    with pytest.raises(InvalidError):
        await reports.load(None, date(2025, 7, 2), date(2025, 7, 1), now_ms=house.now_ms)
    with pytest.raises(InvalidError):
        await reports.rows(None, date(2024, 1, 1), date(2025, 7, 1), now_ms=house.now_ms)


async def test_the_pulse_is_who_waits_and_what_became_of_tickets(house: House) -> None:
    counter = await house.counter()
    taken = [await house.take(counter.id) for _ in range(4)]
    parked = await house.take(counter.id)
    await house.service.park(parked.ticket.id, SUPERVISOR, notes=None, now_ms=house.now_ms)
    await serve(house, counter.id, 2)
    await house.set(taken[1].ticket.id, Status.CANCELLED)

    jobs.see(house.database, now_ms=house.now_ms)
    jobs.see(house.database, now_ms=house.now_ms)

    first, *_, last = house.database.look(lambda connection: pulse.since(connection, 0))
    assert first.counts == pulse.Counts(arrived=5)
    assert last.counts == pulse.Counts(done=1, failed=1)
    assert (last.domain, last.depth, last.oldest_s) == ("tickets", 2, 120)
