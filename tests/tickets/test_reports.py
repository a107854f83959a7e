"""Reports, announcements, ratings and papers over HTTP."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.tickets.conftest import Web

PREFIXES = ("", "/app", "/api", "/app/api")


@pytest.fixture
def counter_id(web: Web) -> int:
    return web.make_counter()


def serve(web: Web, counter_id: int) -> dict[str, Any]:
    """Take a ticket and have it served."""
    ticket = web.take(counter_id)
    for status in ("called", "serving", "completed"):
        web.admin.patch(f"/app/tickets/{ticket['id']}", json={"status": status}).raise_for_status()
    return ticket


def test_a_paper_says_within_which_bounds(web: Web, counter_id: int) -> None:
    web.take(counter_id)

    ticket = web.take(counter_id)

    low, high = ticket["estimated_wait_low"], ticket["estimated_wait_high"]
    assert low <= ticket["estimated_wait_time"] <= high


@pytest.mark.parametrize("prefix", PREFIXES)
def test_load_and_accuracy_under_each_prefix(web: Web, counter_id: int, prefix: str) -> None:
    serve(web, counter_id)

    load = web.admin.get(f"{prefix}/reports/load")
    accuracy = web.admin.get(f"{prefix}/reports/accuracy")

    [line] = load.json()["counters"]
    assert line == line | {"counter_id": counter_id, "served": 1, "waiting": 0, "rated": 0}
    assert line["mean_rating"] is None
    assert load.json()["peak_hours"] != []
    assert accuracy.json()["nominal"] == 0.9
    assert accuracy.json()["outcomes"] == 1
    assert [each["ahead_from"] for each in accuracy.json()["classes"]] == [0, 4, 10]


def test_reports_are_for_supervisors(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)

    answers = [
        client.get(f"/app/reports/{name}").status_code
        for client in (web.anybody, officer, web.admin)
        for name in ("load", "accuracy", "tickets", "unprinted")
    ]

    assert answers == [401] * 4 + [403, 403, 403, 200] + [200] * 4


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?branch_id=99", 404, "branch_not_found"),
        ("?from=2026-01-02&to=2026-01-01", 400, "invalid"),
        ("?from=2020-01-01&to=2026-01-01", 400, "invalid"),
        ("?from=yesterday", 400, "invalid"),
    ],
)
def test_a_report_that_cannot_be(
    web: Web, counter_id: int, query: str, status: int, code: str
) -> None:
    assert counter_id

    answer = web.admin.get(f"/app/reports/load{query}")

    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert code != "invalid" or list(answer.json()["details"]) == ["from"]


def test_a_table_is_shown_by_a_spreadsheet_and_runs_nothing(web: Web, counter_id: int) -> None:
    ticket = serve(web, counter_id)
    web.anybody.post(
        f"/app/tickets/{ticket['public_id']}/feedback",
        json={"rating": 5, "comment": "=HYPERLINK(1)"},
    ).raise_for_status()
    web.take(counter_id)

    answer = web.admin.get("/app/reports/tickets")

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    one, two = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert (one["number"], one["counter"], one["rating"]) == ("101", "Quầy Tư pháp", "5")
    assert one["rating_comment"] == "'=HYPERLINK(1)"
    assert (two["status"], two["rating"]) == ("waiting", "")


def test_a_rating(web: Web, counter_id: int) -> None:
    waiting, served = web.take(counter_id), None
    web.admin.patch(f"/app/tickets/{waiting['id']}", json={"status": "cancelled"})
    served = serve(web, counter_id)
    rate: Callable[[Any, Any], Any] = lambda ticket, body: web.anybody.post(  # noqa: E731
        f"/app/tickets/{ticket}/feedback", json=body
    )

    assert rate(served["public_id"], {"rating": 4}).json() == {"number": 102, "rating": 4}
    refused = rate(waiting["public_id"], {"rating": 4})
    assert (refused.status_code, refused.json()["error"]) == (409, "ticket_not_served")
    assert rate(served["public_id"], {"rating": 6}).status_code == 400
    # An id anybody can count up to is not what a paper says.
    assert rate(served["id"], {"rating": 1}).status_code == 404
    assert web.anybody.get(f"/app/tickets/{served['public_id']}").json()["rating"] == 4


def test_a_paper_that_failed_can_be_printed_again(web: Web, counter_id: int) -> None:
    ticket = web.take(counter_id)
    path = f"/app/tickets/{ticket['public_id']}"

    web.anybody.put(f"{path}/print", json={"state": "failed"}).raise_for_status()
    [failed] = web.admin.get("/app/reports/unprinted").json()["tickets"]
    shown = web.anybody.get(path).json()["print_state"]
    web.anybody.put(f"{path}/print", json={"state": "printed"}).raise_for_status()

    assert (failed["public_id"], failed["number"]) == (ticket["public_id"], 101)
    assert shown == "failed"
    assert web.admin.get("/app/reports/unprinted").json() == {"tickets": []}


def test_an_announcement(web: Web, counter_id: int) -> None:
    body = {"type": "emergency", "message": "Mời ra lối thoát hiểm"}
    officer = web.officer(counter_id)

    told = web.admin.post("/app/announcements", json=body)

    assert told.status_code == 201
    assert len(told.json()["branch_ids"]) == 1
    assert officer.post("/app/announcements", json=body).status_code == 403
    assert web.admin.post("/app/announcements", json={"message": ""}).status_code == 400
    missing = web.admin.post("/app/announcements", json={**body, "branch_id": 99})
    assert (missing.status_code, missing.json()["error"]) == (404, "branch_not_found")
    unread = web.admin.post("/app/announcements", json={**body, "type": "number-calling"})
    assert unread.status_code == 400


def test_an_officer_cannot_say_that_the_hall_closed(web: Web, counter_id: int) -> None:
    ticket = web.take(counter_id)

    answer = web.admin.patch(
        f"/app/tickets/{ticket['id']}",
        json={"status": "cancelled", "completion_reason": "hall_closed"},
    )

    assert answer.status_code == 400
