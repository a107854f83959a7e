"""Operations: noted before they are sent, settled once, sent again, called off."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from models import audit
from models.audit import Actor
from models.database import Database
from models.errors import InvalidError
from models.mail import jobs
from models.mail.acts import Acts
from models.mail.filters import MailFilter
from models.mail.jobs import apply_batch
from models.mail.mass_acts import MassActs
from models.mail.operations import RESEND_MS, OperationLateError, Order, Report
from models.mail.rules import (
    Action,
    HostAwayError,
    MessageIdTakenError,
    Outcome,
    Result,
)
from tests.mail.test_jobs import NOW_MS, batch, mail

ACTOR = Actor(kind="session", name="anna", id="7", address="192.0.2.9")


class Desk:
    """Acts in this process; what they would send to hosts is kept here."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sent: list[Order] = []
        self.acts = Acts(database, send=self._send)

    async def _send(self, order: Order) -> None:
        # A row is there before anything of it is sent.
        assert (await self.acts.report(order.chunk.operation_id)).operation.messages
        self.sent.append(order)

    def fill(self, count: int, *, host: str = "mx1", generation: int = 5) -> list[str]:
        mails = [mail(number) for number in range(count)]
        told = replace(batch(1, *mails, generation=generation), host=host)
        apply_batch(self.database, told, now_ms=NOW_MS)
        return [each.message_id for each in mails]

    async def act(
        self, message_ids: Sequence[str], host: str | None = None, *, expires_ms: int = 10_000
    ) -> Report:
        return await self.acts.act(
            Action.FREEZE,
            message_ids,
            ACTOR,
            audited="queue_freeze",
            host=host,
            expires_ms=expires_ms,
            now_ms=NOW_MS,
        )

    async def act_on_all(self, *, messages_max: int = 20_000) -> Report:
        mass = MassActs(self.database, self.acts, messages_max=messages_max)

        def wanted(_moment_ms: int) -> MailFilter:
            return MailFilter()

        seen = await mass.preview(Action.FREEZE, wanted, now_ms=NOW_MS)
        return await mass.act(
            Action.FREEZE,
            wanted,
            seen.confirm,
            ACTOR,
            audited="queue_matching_freeze",
            criteria={},
            expires_ms=900_000,
            now_ms=NOW_MS,
        )

    def settle(self, order: Order, result: Result = Result.DONE) -> list[Order]:
        chunk = order.chunk
        found = [Outcome(message_id=each, result=result) for each in chunk.message_ids]
        return jobs.settle(
            self.database, chunk.operation_id, chunk.number, found, now_ms=NOW_MS + 1
        )


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_operation_goes_out_in_chunks_a_few_at_a_time(desk: Desk) -> None:
    ids = desk.fill(1_300)

    begun = await desk.act([*ids, ids[0]])

    assert begun.operation.messages == 1_300
    assert [len(each.chunk.message_ids) for each in desk.sent] == [250] * 4
    orders = list(desk.sent)
    while orders:
        orders += desk.settle(orders.pop(0))
    report = await desk.acts.report(begun.operation.id)
    assert report.operation.succeeded == report.operation.settled == 1_300
    assert report.operation.finished_at_ms == NOW_MS + 1


async def test_what_waits_for_its_turn_is_not_sent_because_time_passes(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1_300), expires_ms=900_000)

    again = jobs.take_due(desk.database, now_ms=NOW_MS + RESEND_MS)

    assert [each.chunk.number for each in again] == [1, 2, 3, 4]
    await desk.acts.cancel(begun.operation.id, now_ms=NOW_MS + RESEND_MS)
    for each in again:
        desk.settle(each)
    report = await desk.acts.report(begun.operation.id)
    assert (report.operation.settled, report.operation.succeeded) == (1_300, 1_000)


async def test_repeated_outcome_does_not_send_more_at_a_time(desk: Desk) -> None:
    await desk.act(desk.fill(1_600))

    assert len(desk.settle(desk.sent[0])) == 1
    assert desk.settle(desk.sent[0]) == []


async def test_what_never_had_its_turn_is_called_off_when_time_is_over(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1_300))

    assert jobs.take_due(desk.database, now_ms=NOW_MS + 10_001) == []
    assert (await desk.acts.report(begun.operation.id)).operation.settled == 300
    assert jobs.take_due(desk.database, now_ms=NOW_MS + RESEND_MS) == []

    report = await desk.acts.report(begun.operation.id)
    assert (report.operation.settled, report.operation.succeeded) == (1_300, 0)
    assert report.operation.finished_at_ms is not None


async def test_a_host_that_falls_silent_does_not_hold_up_another(desk: Desk) -> None:
    desk.fill(1_100)
    desk.fill(1_400, host="mx2")

    await desk.act_on_all()

    sent = [each.chunk.host for each in desk.sent]
    assert (sent.count("mx1"), sent.count("mx2")) == (4, 4)
    of_two = [each for each in desk.sent if each.chunk.host == "mx2"]
    assert [each.chunk.host for each in desk.settle(of_two[0])] == ["mx2"]


async def test_messages_of_one_id_on_two_hosts_have_an_outcome_each(desk: Desk) -> None:
    [message_id] = desk.fill(1)
    desk.fill(1, host="mx2")

    begun = await desk.act_on_all()
    for order in desk.sent:
        desk.settle(order, Result.DONE if order.chunk.host == "mx1" else Result.LOCKED)

    report = await desk.acts.report(begun.operation.id)
    assert [
        (each.host, each.outcome.message_id, each.outcome.result) for each in report.settled
    ] == [("mx2", message_id, Result.LOCKED), ("mx1", message_id, Result.DONE)]


async def test_more_than_may_be_acted_on_is_said_when_it_is_seen(desk: Desk) -> None:
    desk.fill(3)

    with pytest.raises(InvalidError, match="finds more than 2 messages: narrow it"):
        await desk.act_on_all(messages_max=2)

    assert desk.sent == []
    assert (await desk.act_on_all(messages_max=3)).operation.messages == 3


async def test_repeated_outcome_counts_once(desk: Desk) -> None:
    begun = await desk.act(desk.fill(2))

    desk.settle(desk.sent[0], Result.LOCKED)
    desk.settle(desk.sent[0])

    report = await desk.acts.report(begun.operation.id)
    assert (report.operation.settled, report.operation.succeeded) == (2, 0)


async def test_each_message_is_audited_before_it_is_sent(desk: Desk) -> None:
    [message_id] = desk.fill(1)
    await desk.act([message_id])

    with desk.database.begin() as connection:
        [entry] = audit.page(connection, target=message_id, count=9)
    assert (entry.change.action, entry.actor.name) == ("queue_freeze", "anna")
    assert entry.change.details["host"] == "mx1"


async def test_who_waits_is_woken_or_told_that_it_is_late(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1))
    waiting = asyncio.create_task(desk.acts.wait(begun.operation.id, timeout_s=30))
    await asyncio.sleep(0)

    desk.settle(desk.sent[0])
    desk.acts.wake()

    assert (await waiting).operation.succeeded == 1
    other = await desk.act([mail(0).message_id])
    with pytest.raises(OperationLateError, match=other.operation.id):
        await desk.acts.finish(other, timeout_s=0.01, now_ms=lambda: NOW_MS + 5)
    assert (await desk.acts.report(other.operation.id)).operation.cancelled_at_ms == NOW_MS + 5


async def test_what_was_lost_is_sent_again_until_its_time_is_over(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1))

    assert jobs.take_due(desk.database, now_ms=NOW_MS + RESEND_MS - 1) == []
    with desk.database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE mail_operation SET expires_at_ms = {NOW_MS + 20_000}")
    [again] = jobs.take_due(desk.database, now_ms=NOW_MS + RESEND_MS)
    assert again.chunk.sends == 1
    assert jobs.take_due(desk.database, now_ms=NOW_MS + 2 * RESEND_MS) == []

    report = await desk.acts.report(begun.operation.id)
    assert report.outcomes[mail(0).message_id].outcome.result is Result.CANCELLED
    assert report.operation.finished_at_ms == NOW_MS + 2 * RESEND_MS


async def test_called_off_operation_sends_nothing_more(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1_100))

    await desk.acts.cancel(begun.operation.id, now_ms=NOW_MS + 1)

    assert [each.is_called_off for each in desk.sent] == [False] * 4 + [True] * 4
    assert [each.chunk.number for each in desk.sent] == [1, 2, 3, 4] * 2
    assert [desk.settle(each) for each in desk.sent] == [[]] * 8
    report = await desk.acts.report(begun.operation.id)
    assert (report.operation.settled, report.operation.succeeded) == (1_100, 1_000)
    assert report.operation.finished_at_ms is not None


async def test_what_a_host_works_on_is_not_said_to_be_called_off(desk: Desk) -> None:
    begun = await desk.act(desk.fill(1_100), expires_ms=900_000)
    await desk.acts.cancel(begun.operation.id, now_ms=NOW_MS + 1)

    asked = jobs.take_due(desk.database, now_ms=NOW_MS + RESEND_MS)

    assert [each.is_called_off for each in asked] == [True] * 4
    assert (await desk.acts.report(begun.operation.id)).operation.settled == 100
    assert jobs.take_due(desk.database, now_ms=NOW_MS + 900_001) == []
    report = await desk.acts.report(begun.operation.id)
    assert (report.operation.settled, report.operation.succeeded) == (1_100, 0)


async def test_nothing_is_noted_for_a_host_that_is_down(desk: Desk) -> None:
    ids = desk.fill(1)

    with pytest.raises(HostAwayError, match="mx1"):
        await desk.acts.act(
            Action.REMOVE, ids, ACTOR, audited="x", expires_ms=1, now_ms=NOW_MS + 60_000
        )

    with desk.database.begin() as connection:
        assert audit.page(connection, count=9) == []
    assert desk.sent == []


async def test_id_that_two_hosts_have_needs_the_hosts_name(desk: Desk) -> None:
    [message_id] = desk.fill(1)
    desk.fill(1, host="mx2")

    with pytest.raises(MessageIdTakenError):
        await desk.act([message_id])
    await desk.act([message_id], host="mx2")

    assert [each.chunk.host for each in desk.sent] == ["mx2"]


@pytest.mark.parametrize("text", ["-C", "a b", "", "1AAAAA-000001-00\n", "ü" * 6])
async def test_text_that_is_no_id_refuses_all(desk: Desk, text: str) -> None:
    with pytest.raises(InvalidError, match=r"message_ids\[1\]"):
        await desk.act([*desk.fill(1), text])

    assert desk.sent == []
