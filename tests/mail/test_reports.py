"""Reports add up to what the logs say; on both databases, and over HTTP."""

import secrets

from models.database import Database
from models.mail.log_batches import LogBatch
from models.mail.log_following import Place
from models.mail.log_jobs import apply_log
from models.mail.log_lines import parse_line
from models.mail.report_service import DAY_MS, ReportService, Step, beginning_of
from tests.mail.mail_system import MailSystem
from tests.mail.test_log_wire import data, tried
from tests.servers import wait_until

REPORTS = "/api/v1/reports"
MONDAY_MS = 1_800_230_400_000  # 2027-01-18 00:00 UTC
SPAN = {"from_ms": MONDAY_MS, "to_ms": MONDAY_MS + 2 * DAY_MS - 1}
LINES = (
    "18 01:00:00 +0000 1xUNcV-0005ay-0d <= a@X.test S=100 for u@y.test v@y.test",
    '18 01:10:00 +0000 1xUNcV-0005ay-0d => u@y.test R=r T=t H=mx [192.0.2.1] C="250 OK"',
    "18 01:20:00 +0000 1xUNcV-0005ay-0d == v@y.test R=r T=t defer (-44): SMTP error: 451 busy",
    "18 03:20:00 +0000 1xUNcV-0005ay-0d == v@y.test R=r T=t defer (-44): SMTP error: 451 busy",
    "19 02:00:00 +0000 1xUNcV-0005ay-0e <= a@x.test S=50 for u@z.test",
    "19 02:00:00 +0000 1xUNcV-0005ay-0e ** u@z.test R=r: SMTP error: 550 no such mailbox",
    "19 02:00:00 +0000 1xUNcV-0005ay-0f <= <> S=7 for u@y.test",
    "19 02:00:00 +0000 H=(x) [192.0.2.9] F=<e@v.test> rejected RCPT <b@y.test>: 550 no relay",
)


def keep(database: Database) -> ReportService:
    lines = tuple(line for text in LINES if (line := parse_line(f"2027-01-{text}")))
    assert len(lines) == len(LINES)
    batch = LogBatch(
        host="mx1", began_at_ms=1, number=1, place=Place(file="f", offset=1), lines=lines
    )
    apply_log(database, batch, now_ms=MONDAY_MS)
    return ReportService(database)


async def test_numbers_add_up(database: Database) -> None:
    service = keep(database)

    outcomes = await service.outcomes(**SPAN)
    assert outcomes.events == {"arrival": 3, "delivery": 1, "defer": 2, "bounce": 1, "reject": 1}
    assert dict(outcomes.codes) == {"451": 2, "550": 2}
    assert outcomes.reasons[0] == ("SMTP error: 451 busy", 2)
    [first, second] = await service.senders(**SPAN, count=2)
    assert (first.name, first.messages, first.size_bytes) in {
        *(("a@X.test", 1, 100), ("<>", 1, 7), ("a@x.test", 1, 50)),
    }
    assert second.messages == 1
    [domain] = await service.sender_domains(**SPAN, count=9)
    assert (domain.name, domain.messages, domain.size_bytes) == ("x.test", 2, 150)
    assert (domain.delivered, domain.deferred, domain.bounced) == (1, 2, 1)
    recipients = {each.name: each for each in await service.recipients(**SPAN, count=9)}
    assert {name: each.messages for name, each in recipients.items()} == {
        "u@y.test": 1,
        "v@y.test": 1,
        "u@z.test": 1,
    }
    assert (recipients["v@y.test"].deferred, recipients["v@y.test"].size_bytes) == (2, 100)
    domains = {
        each.name: each.messages for each in await service.recipient_domains(**SPAN, count=9)
    }
    assert domains == {"y.test": 1, "z.test": 1}


async def test_volume_and_days_have_each_step(database: Database) -> None:
    service = keep(database)

    days = await service.volume(Step.DAY, **SPAN)
    assert days == [(MONDAY_MS, 1), (MONDAY_MS + DAY_MS, 2)]
    hours = await service.volume(Step.HOUR, **SPAN)
    assert len(hours) == 48
    assert sum(count for _, count in hours) == 3
    assert await service.volume(Step.WEEK, **SPAN) == [(MONDAY_MS, 3)]
    [(month_ms, count)] = await service.volume(Step.MONTH, **SPAN)
    assert (month_ms, count) == (MONDAY_MS - 17 * DAY_MS, 3)
    found = await service.days(**SPAN)
    assert found.days == [MONDAY_MS, MONDAY_MS + DAY_MS]
    assert (found.delivered, found.failed, found.deferred) == ([1, 0], [0, 1], [2, 0])


def test_steps_begin_where_people_count_them() -> None:
    assert beginning_of(Step.WEEK, MONDAY_MS + 7 * DAY_MS - 1) == MONDAY_MS
    assert beginning_of(Step.WEEK, MONDAY_MS - 1) == MONDAY_MS - 7 * DAY_MS


def test_reports_over_http_are_in_the_form_of_their_client(mail: MailSystem) -> None:
    tried(mail)

    found = data(mail, f"{REPORTS}/deliverability")
    assert set(found["period"]) == {"start", "end"}
    assert found["delivered_count"] >= 1
    rates = [found[f"{name}_rate"] for name in ("delivery", "deferral", "bounce", "rejection")]
    assert abs(sum(rates) - 100) < 0.1
    volume = data(mail, f"{REPORTS}/volume", group_by="hour")
    assert volume["total_volume"] == sum(each["count"] for each in volume["time_series"]) >= 1
    failures = data(mail, f"{REPORTS}/failures")
    assert failures["total_failures"] == sum(x["count"] for x in failures["failure_categories"])
    assert {"451", "550"} <= {each["code"] for each in failures["top_error_codes"]}


def test_rankings_over_http_name_who_sent_and_got(mail: MailSystem) -> None:
    sender = f"r{secrets.token_hex(4)}@sender-{secrets.token_hex(4)}.test"
    tried(mail, sender=sender)

    senders = data(mail, f"{REPORTS}/top-senders", limit=1000)["top_senders"]
    [mine] = [each for each in senders if each["sender"] == sender]
    assert mine["message_count"] == 1
    assert mine["volume_bytes"] > 0
    assert mine["delivery_rate"] == 33.33
    recipients = data(mail, f"{REPORTS}/top-recipients")["top_recipients"]
    assert "perm@far.test" in {each["recipient"] for each in recipients}
    domains = data(mail, f"{REPORTS}/domains", type="sender_domains", limit=1000)
    assert sender.partition("@")[2] in {each["domain"] for each in domains["sender_domains"]}
    assert "recipient_domains" not in domains
    week = data(mail, f"{REPORTS}/weekly-overview")
    assert {len(values) for values in week.values()} == {7}
    assert week["delivered"][-1] >= 1


def test_dashboard_is_in_the_form_of_its_client(mail: MailSystem) -> None:
    tried(mail)

    def is_current() -> bool:
        total = data(mail, "/api/v1/dashboard")["queue"]["total"]
        return bool(total == len(mail.exim.message_ids()))

    wait_until(is_current, "the bounce has left the queue, as told")
    board = data(mail, "/api/v1/dashboard")
    assert board["delivery"]["delivered_today"] >= 1
    assert board["system"]["log_entries_today"] > 0
    assert board["summary"]["service_running"] is True
    assert board["retention_info"]["config"]["log_retention_days"] == 30
    assert mail.http.get(f"{REPORTS}/volume", params={"group_by": "year"}).status_code == 400
    with mail.as_user("viewer") as viewer:
        assert viewer.get(f"{REPORTS}/failures").status_code == 200
        body = {"start_time": "2026-01-01", "end_time": "2026-01-02"}
        refused = viewer.post("/api/v1/logs/correlation/trigger", json=body)
        assert refused.status_code == 403
