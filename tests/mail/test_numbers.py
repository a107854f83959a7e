"""Groups of messages, and how the queues went, on both databases and over HTTP."""

import csv
import io
from dataclasses import replace

import pytest

from models import pulse
from models.database import Database
from models.mail import jobs
from models.mail.filters import MailFilter
from models.mail.log_jobs import apply_log
from models.mail.service import MailService
from models.mail.views import GroupBy
from tests.mail.mail_system import MailSystem
from tests.mail.test_jobs import NOW_MS, apply, batch, mail
from tests.mail.test_log_following import FIRST, ID
from tests.mail.test_log_following import batch as lines

MINUTE_MS = 60_000
EVERYTHING = MailFilter()


async def grouped(
    database: Database, by: GroupBy, wanted: MailFilter = EVERYTHING, limit: int = 50
) -> list[tuple[str, int]]:
    found = await MailService(database).groups(wanted, by=by, limit=limit)
    return [(each.value, each.messages) for each in found]


async def test_groups_are_the_largest_first_and_filters_narrow_them(database: Database) -> None:
    refused = "451 4.2.1 mailbox busy"
    to_two = ("u@far.test", "v@Far.Test", "w@near.test")
    apply(
        database,
        batch(
            1,
            replace(mail(1), recipients=to_two, last_error=refused),
            replace(mail(2), sender="B@Y.test", last_error=refused),
            replace(mail(3), sender=""),
        ),
        batch(1, mail(4), host="mx2"),
    )

    assert await grouped(database, GroupBy.SENDER) == [("a@x.test", 2), ("b@y.test", 1)]
    assert await grouped(database, GroupBy.SENDER_DOMAIN) == [("x.test", 2), ("y.test", 1)]
    assert await grouped(database, GroupBy.RECIPIENT_DOMAIN) == [("far.test", 4), ("near.test", 1)]
    assert await grouped(database, GroupBy.REASON) == [(refused, 2)]
    assert await grouped(database, GroupBy.HOST) == [("mx1", 3), ("mx2", 1)]
    assert await grouped(database, GroupBy.HOST, limit=1) == [("mx1", 3)]
    only = MailFilter(recipient_domain="near.test")
    assert await grouped(database, GroupBy.RECIPIENT_DOMAIN, only) == [
        ("far.test", 1),
        ("near.test", 1),
    ]
    [first, *_] = await MailService(database).groups(MailFilter(), by=GroupBy.SENDER, limit=1)
    assert (first.size_bytes, first.oldest_at_ms) == (101 + 104, NOW_MS - 4)


async def test_samples_are_thinned_and_the_newest_stays(database: Database) -> None:
    apply(database, batch(1, mail(1)))
    moments = [NOW_MS + each * MINUTE_MS for each in range(7)]
    for at_ms in moments:
        jobs.sample(database, keep_ms=10 * MINUTE_MS, now_ms=at_ms)

    service = MailService(database)
    found = await service.samples(from_ms=NOW_MS + 1, count_max=100)
    thinned = await service.samples(from_ms=NOW_MS + 1, count_max=4)

    assert [each.at_ms for each in found] == moments[1:]
    assert [each.at_ms for each in thinned] == moments[2::2]
    assert {(each.messages, each.oldest_at_ms) for each in found} == {(1, NOW_MS - 1)}


async def test_the_pulse_is_what_waits_and_what_the_logs_tell_late(database: Database) -> None:
    apply(database, batch(1, mail(1), mail(2)))
    told = lines(
        f"{ID} <= a@x.test S=9 for u@y.test v@y.test w@y.test",
        f"{ID} => u@y.test R=r T=t H=mx.two [192.0.2.2]",
        f"{ID} -> v@y.test R=r T=t H=mx.two [192.0.2.2]",
        f"{ID} ** w@y.test R=r: no such person",
        f"{ID} == z@y.test R=r defer (1): later",
        after=None,
        place=FIRST,
    )
    happened = pulse.minute_of(told.lines[0].at_ms)
    now_ms = happened + MINUTE_MS + 7_000

    jobs.see(database, now_ms=now_ms)
    apply_log(database, told, now_ms=now_ms)
    jobs.see(database, now_ms=now_ms)

    before, now = (
        each
        for each in database.look(lambda connection: pulse.since(connection, happened))
        if each.domain == "mail"
    )
    assert before.counts == pulse.Counts(arrived=1, done=2, failed=1)
    assert (before.depth, now.depth, now.counts) == (None, 2, pulse.Counts())
    assert now.oldest_s == (now_ms - (NOW_MS - 2)) // 1_000


def test_groups_and_trend_over_http(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    listed = mail.listed()["data"]["messages"][0]

    answer = mail.http.get("/api/v1/queue/groups", params={"by": "recipient_domain"})

    assert answer.json()["data"] == {
        "by": "recipient_domain",
        "groups": [
            {
                "value": "defer.test",
                "messages": 1,
                "size": listed["size"],
                "oldest": listed["timestamp"],
            }
        ],
    }
    assert mail.http.get("/api/v1/queue/trend").json() == {
        "success": True,
        "data": {"samples": []},
    }


@pytest.mark.parametrize(
    "asked", ["groups", "groups?by=size", "groups?by=host&limit=0", "trend?minutes=0", "trend?x=1"]
)
def test_wrong_questions_are_refused(mail: MailSystem, asked: str) -> None:
    answer = mail.http.get(f"/api/v1/queue/{asked}")

    assert (answer.status_code, answer.json()["success"]) == (400, False)


@pytest.mark.on_sqlite
def test_the_list_is_taken_away_as_a_table(mail: MailSystem) -> None:
    first = mail.exim.submit("a@defer.test", "b@defer.test", subject='=HYPERLINK("x")')
    second = mail.exim.submit("c@defer.test", sender="other@y.test")
    mail.wait_for(first, second)

    answer = mail.http.get("/api/v1/queue/export", params={"sender": "a@x.test"})
    wrong = mail.http.get("/api/v1/queue/export", params={"size_min": "-1"})

    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["id"], row["recipients"]) == (first, "a@defer.test b@defer.test")
    assert row["subject"] == '\'=HYPERLINK("x")'
    assert answer.headers["X-Total-Count"] == "1"
    assert "mail-queue.csv" in answer.headers["Content-Disposition"]
    assert (wrong.status_code, wrong.json()["success"]) == (400, False)
