"""Batches: applied once, in order, and only from the watcher that began last; on both databases."""

from dataclasses import replace

import pytest

from models import audit
from models.audit import Actor
from models.database import Database
from models.mail.filters import MailFilter
from models.mail.jobs import apply_batch, part, recount
from models.mail.rules import (
    Batch,
    HostAliveError,
    HostAwayError,
    HostNotFoundError,
    Mail,
    Status,
)
from models.mail.service import MailService

NOW_MS = 1_700_000_000_000


def mail(number: int, status: Status = Status.QUEUED) -> Mail:
    return Mail(
        message_id=f"1AAAAA-{number:06d}-00",
        received_at_ms=NOW_MS - number,
        sender="a@x.test",
        recipients=("u@far.test",),
        size_bytes=100 + number,
        status=status,
    )


def batch(
    number: int, *there: Mail, generation: int = 5, host: str = "mx1", **facts: object
) -> Batch:
    return Batch(host=host, generation=generation, number=number, there=there, **facts)  # type: ignore[arg-type]


def apply(database: Database, *batches: Batch) -> tuple[int, int]:
    return [apply_batch(database, each, now_ms=NOW_MS).holds for each in batches][-1]


async def ids(database: Database) -> list[int]:
    page = await MailService(database).page(MailFilter())
    assert page.total == page.totals.messages == len(page.mails)
    assert recount(database) == {}
    return [int(each.mail.message_id[7:13]) for each in page.mails]


async def test_batches_count_once_and_in_order(database: Database) -> None:
    first, second, third = (
        batch(1, mail(1)),
        batch(2, mail(2)),
        batch(3, gone=(mail(1).message_id,)),
    )

    assert apply(database, first, first) == (5, 1)
    assert apply(database, third) == (5, 1)  # it came too early
    assert apply(database, second, first, third, second) == (5, 3)
    assert await ids(database) == [2]


async def test_host_that_says_good_bye_is_silent_whatever_arrives_late(
    database: Database,
) -> None:
    service = MailService(database)
    apply(database, replace(batch(1, mail(1)), is_whole=True))

    assert part(database, "mx1", 5, now_ms=NOW_MS)
    apply(database, batch(2, mail(2)))

    [host] = await service.hosts()
    assert not host.is_alive(now_ms=NOW_MS)
    with pytest.raises(HostAwayError, match="mx1"):
        await service.require_life("mx1", now_ms=NOW_MS)
    assert await ids(database) == [1]
    assert apply(database, replace(batch(1, mail(3), generation=7), is_whole=True)) == (7, 1)
    await service.require_life("mx1", now_ms=NOW_MS)
    assert await ids(database) == [3]


async def test_host_that_is_no_more_is_forgotten_and_its_queue_with_it(database: Database) -> None:
    service, actor = MailService(database), Actor(kind="session", name="anna", id="7", address="")
    apply(database, replace(batch(1, mail(1), mail(2)), is_whole=True))
    apply(database, replace(batch(1, mail(3), host="mx2"), is_whole=True))

    with pytest.raises(HostAliveError, match="mx1"):
        await service.forget_host("mx1", actor, now_ms=NOW_MS + 10_000)
    with pytest.raises(HostNotFoundError, match="mx9"):
        await service.forget_host("mx9", actor, now_ms=NOW_MS)
    await service.forget_host("mx1", actor, now_ms=NOW_MS + 10_001)

    assert [each.name for each in await service.hosts()] == ["mx2"]
    assert await ids(database) == [3]
    with database.begin() as connection:
        [entry] = audit.page(connection, target="mx1", count=9)
    assert (entry.change.action, entry.actor.name) == ("mail_host_forgotten", "anna")


async def test_host_that_was_forgotten_and_is_back_tells_everything_anew(
    database: Database,
) -> None:
    service, actor = MailService(database), Actor(kind="session", name="anna", id="7", address="")
    apply(database, replace(batch(1, mail(1)), is_whole=True))
    await service.forget_host("mx1", actor, now_ms=NOW_MS + 60_000)

    # What it sends after that follows on nothing that is known: it hears so, and begins again.
    assert apply(database, batch(2, mail(2))) == (0, 0)
    whole = replace(batch(1, mail(1), mail(2), generation=6), is_whole=True)
    assert apply(database, whole) == (6, 1)
    assert await ids(database) == [1, 2]


async def test_good_bye_of_a_watcher_that_was_followed_means_nothing(database: Database) -> None:
    apply(database, batch(1, mail(1)), batch(1, mail(1), generation=6))

    assert not part(database, "mx1", 5, now_ms=NOW_MS)

    await MailService(database).require_life("mx1", now_ms=NOW_MS)


async def test_newer_watcher_takes_over_and_the_older_is_not_heard(database: Database) -> None:
    apply(database, replace(batch(1, mail(1), mail(2)), is_whole=True))

    assert apply(database, batch(1, mail(2), generation=6)) == (6, 1)
    assert await ids(database) == [1, 2]
    assert apply(database, batch(2, mail(3))) == (6, 1)
    assert apply(database, replace(batch(2, generation=6), is_whole=True)) == (6, 2)
    assert await ids(database) == [2]


async def test_index_that_was_lost_asks_for_a_new_beginning(database: Database) -> None:
    assert apply(database, batch(7, mail(1))) == (0, 0)
    assert await ids(database) == []


async def test_hosts_do_not_touch_each_other(database: Database) -> None:
    apply(database, replace(batch(1, mail(1)), is_whole=True))
    apply(database, batch(1, mail(1), mail(2), host="mx2"))
    apply(database, replace(batch(2), gone=(mail(1).message_id,)))

    page = await MailService(database).page(MailFilter())
    assert {(each.host, each.mail.message_id) for each in page.mails} == {
        ("mx2", mail(1).message_id),
        ("mx2", mail(2).message_id),
    }


async def test_counts_follow_each_change(database: Database) -> None:
    apply(
        database,
        batch(1, mail(1), mail(2), mail(3, Status.FROZEN)),
        replace(batch(2, replace(mail(1), status=Status.FROZEN)), gone=(mail(2).message_id,)),
        batch(3, replace(mail(1), status=Status.DEFERRED, size_bytes=7)),
    )

    totals = await MailService(database).totals()

    assert totals.by_status == {"deferred": 1, "frozen": 1}
    assert totals.size_bytes == 110
    assert totals.oldest_at_ms == NOW_MS - 3
