"""The contract of tickets, line by line, over HTTP."""

import itertools
from typing import Any

import httpx
import pytest

from tests.tickets.conftest import Web

PREFIXES = ("", "/app", "/api", "/app/api")


@pytest.fixture
def counter_id(web: Web) -> int:
    return web.make_counter()


def waiting(web: Web, query: str = "") -> dict[str, Any]:
    answer = web.anybody.get(f"/api/tickets/waiting{query}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_kiosk_takes_a_ticket(web: Web, counter_id: int) -> None:
    procedure = web.admin.post(
        "/app/procedures/", json={"name": "Chứng thực giấy tờ", "counter_ids": [counter_id]}
    ).json()

    ticket = web.take(counter_id, procedure_id=procedure["id"], priority="normal")

    assert ticket == ticket | {
        "number": 101,
        "counter_id": counter_id,
        "counter_name": "Quầy Tư pháp",
        "procedure_id": procedure["id"],
        "procedure_name": "Chứng thực giấy tờ",
        "priority": "normal",
        "status": "waiting",
        "estimated_wait_time": 0,
    }
    assert isinstance(ticket["id"], int)
    assert len(ticket["created_at"]) == len("2025-07-16T10:30:00Z")
    assert [web.take(counter_id)["number"] for _ in range(2)] == [102, 103]


def test_a_ticket_may_name_neither_procedure_nor_priority(web: Web, counter_id: int) -> None:
    ticket = web.take(counter_id, procedure_id=None, priority=None)

    assert (ticket["procedure_id"], ticket["procedure_name"]) == (None, None)
    assert ticket["priority"] == "normal"


@pytest.mark.parametrize(
    ("language", "message"),
    [
        (None, "Counter ID không tồn tại hoặc đang tạm dừng"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "Counter ID không tồn tại hoặc đang tạm dừng"),
        ("en-US,en;q=0.9", "The counter does not exist, or does not take people now"),
        ("fr", "Counter ID không tồn tại hoặc đang tạm dừng"),
    ],
)
def test_no_ticket_for_a_counter_that_pauses(
    web: Web, counter_id: int, language: str | None, message: str
) -> None:
    web.admin.post(f"/app/counters/{counter_id}/pause", json={"reason": "Đi họp"})
    headers = {"Accept-Language": language} if language else {}

    answer = web.anybody.post("/app/tickets/", json={"counter_id": counter_id}, headers=headers)

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_counter",
        "message": message,
        "details": {"counter_id": counter_id, "counter_status": "paused"},
    }


def test_no_ticket_for_a_counter_that_is_not_there(web: Web) -> None:
    answer = web.anybody.post("/app/tickets/", json={"counter_id": 99})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_counter")


@pytest.mark.parametrize(
    "body", [{}, {"counter_id": "1"}, {"counter_id": 1, "priority": "vip"}, {"counter_id": 0}]
)
def test_a_malformed_ticket_is_refused_by_field(web: Web, body: dict[str, Any]) -> None:
    answer = web.anybody.post("/app/tickets/", json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")
    assert set(answer.json()["details"]) <= {"counter_id", "priority"}


def test_the_waiting_list_of_an_empty_hall(web: Web, counter_id: int) -> None:
    body = waiting(web)

    [line] = body["counters"]
    assert line == line | {
        "counter_id": counter_id,
        "counter_name": "Quầy Tư pháp",
        "status": "active",
        "current_serving": None,
        "waiting_queue": [],
        "total_waiting": 0,
        "average_service_time": 0,
    }
    assert body["total_waiting_all"] == 0


def test_the_waiting_list_shows_who_is_called_and_who_waits(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    procedure_id = web.admin.post("/app/procedures/", json={"name": "Hộ tịch"}).json()["id"]
    first = web.take(counter_id, procedure_id=procedure_id)
    officer.patch(f"/app/tickets/{first['id']}", json={"status": "called"}).raise_for_status()
    second, third = web.take(counter_id), web.take(counter_id, priority="elderly")

    body = waiting(web)

    [line] = body["counters"]
    current = line["current_serving"]
    assert current == current | {
        "ticket_id": first["id"],
        "number": 101,
        "procedure_name": "Hộ tịch",
    }
    queue = line["waiting_queue"]
    assert [each["ticket_id"] for each in queue] == [second["id"], third["id"]]
    assert [each["priority"] for each in queue] == ["normal", "elderly"]
    assert 0 < queue[0]["wait_time"] < queue[1]["wait_time"]
    assert "procedure_name" not in queue[0]
    assert (line["total_waiting"], body["total_waiting_all"]) == (2, 2)
    assert line["average_service_time"] > 0


def test_details_and_limit_of_the_waiting_list(web: Web, counter_id: int) -> None:
    for _ in range(3):
        web.take(counter_id)

    [line] = waiting(web, "?limit=2&include_details=true")["counters"]

    assert [each["procedure_name"] for each in line["waiting_queue"]] == [None, None]
    assert line["total_waiting"] == 3


def test_one_counter_is_copied_to_the_top(web: Web, counter_id: int) -> None:
    other = web.make_counter("Quầy 2")
    ticket, _ = web.take(counter_id), web.take(other)

    body = waiting(web, f"?counter_id={counter_id}")

    [line] = body["counters"]
    assert body["waiting_queue"] == line["waiting_queue"]
    assert body["waiting_queue"][0]["ticket_id"] == ticket["id"]
    assert body["total_waiting"] == 1
    assert body["total_waiting_all"] == 2


def test_the_waiting_list_is_sent_again_only_when_something_changed(
    web: Web, counter_id: int
) -> None:
    for _ in range(3):  # at the turn of a minute waits change by themselves
        first = web.anybody.get("/api/tickets/waiting")
        tag = first.headers["ETag"]
        again = web.anybody.get("/api/tickets/waiting", headers={"If-None-Match": tag})
        if again.status_code == 304:
            break

    assert first.headers["Cache-Control"] == "no-cache"
    assert tag.startswith('"queue-version-')
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    web.take(counter_id)
    changed = web.anybody.get("/api/tickets/waiting", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert version(changed) > version(first)


def test_a_list_of_a_strange_counter_is_not_there_whatever_somebody_knows(
    web: Web, counter_id: int
) -> None:
    assert counter_id

    answer = web.anybody.get(
        "/api/tickets/waiting", params={"counter_id": 99}, headers={"If-None-Match": "*"}
    )

    assert (answer.status_code, answer.json()["error"]) == (404, "counter_not_found")
    assert "ETag" not in answer.headers


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("vi", "Yêu cầu HTTP không được nhận"), ("en", "DELETE /app/tickets/1: method not allowed")],
)
def test_a_method_that_no_path_has_is_refused_in_both_languages(
    web: Web, language: str, sentence: str
) -> None:
    answer = web.admin.delete("/app/tickets/1", headers={"Accept-Language": language})

    assert answer.status_code == 405
    assert answer.json()["message"].startswith(sentence)


def version(answer: httpx.Response) -> int:
    return int(answer.headers["ETag"].strip('"').rpartition("-")[2])


def test_an_officer_moves_a_ticket_to_its_end(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    ticket = web.take(counter_id)
    me = officer.get("/app/auths/me").json()
    path = f"/api/tickets/{ticket['id']}"

    called = officer.patch(path, json={"status": "called"}).json()
    serving = officer.patch(path, json={"status": "serving"}).json()
    completed = officer.patch(
        path,
        json={
            "status": "completed",
            "completion_reason": "success",
            "notes": "Đã cấp giấy chứng nhận",
        },
    ).json()

    assert called == called | {
        "id": ticket["id"],
        "number": 101,
        "counter_id": counter_id,
        "status": "called",
        "updated_by": {
            "user_id": me["id"],
            "username": "officer01",
            "full_name": "Nguyễn Văn A",
        },
        "service_duration": None,
        "notes": None,
    }
    assert (serving["status"], serving["service_duration"]) == ("serving", None)
    assert completed["status"] == "completed"
    assert completed["service_duration"] >= 0
    assert completed["notes"] == "Đã cấp giấy chứng nhận"


def test_a_ticket_cannot_go_back(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    ticket = web.take(counter_id)
    path = f"/app/tickets/{ticket['id']}"
    for status in ("called", "serving", "completed"):
        officer.patch(path, json={"status": status}).raise_for_status()

    answer = officer.patch(path, json={"status": "called"})

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_status_transition",
        "message": "Không thể chuyển từ 'completed' sang 'called'",
        "details": {
            "current_status": "completed",
            "requested_status": "called",
            "allowed_transitions": [],
        },
    }


def test_a_ticket_that_is_not_there(web: Web) -> None:
    answer = web.admin.patch("/app/tickets/1001", json={"status": "called"})

    assert answer.status_code == 404
    assert answer.json() == {
        "error": "ticket_not_found",
        "message": "Không tìm thấy vé với ID: 1001",
        "details": {"ticket_id": 1001},
    }


def test_an_officer_acts_at_the_own_counter(web: Web, counter_id: int) -> None:
    other = web.make_counter("Quầy 2")
    officer = web.officer(other)
    ticket = web.take(counter_id)

    answer = officer.patch(f"/app/tickets/{ticket['id']}", json={"status": "called"})

    assert answer.status_code == 403
    assert answer.json() == {
        "error": "unauthorized_counter",
        "message": "Bạn không có quyền cập nhật vé của quầy này",
        "details": {"ticket_counter_id": counter_id, "user_counter_id": other},
    }
    assert officer.post(f"/app/counters/{counter_id}/call-next").status_code == 403
    assert officer.post(f"/app/counters/{counter_id}/pause", json={}).status_code == 403


def test_nobody_moves_a_ticket_without_a_token(web: Web, counter_id: int) -> None:
    ticket = web.take(counter_id)

    answer = web.anybody.patch(f"/app/tickets/{ticket['id']}", json={"status": "called"})

    assert (answer.status_code, answer.json()["error"]) == (401, "not_signed_in")
    assert answer.json()["message"] == "Bạn chưa đăng nhập"


@pytest.mark.parametrize(("prefix", "slash"), [*itertools.product(PREFIXES, ("", "/"))])
def test_each_path_answers_under_each_prefix(
    web: Web, counter_id: int, prefix: str, slash: str
) -> None:
    taken = web.anybody.post(f"{prefix}/tickets{slash}", json={"counter_id": counter_id})
    ticket_id = taken.json()["id"]

    moved = web.admin.patch(f"{prefix}/tickets/{ticket_id}{slash}", json={"status": "called"})
    statuses = [
        web.anybody.get(f"{prefix}{path}{slash}").status_code
        for path in (
            "/tickets/waiting",
            f"/tickets/{ticket_id}",
            "/counters",
            f"/counters/{counter_id}",
            "/procedures",
            "/branches",
        )
    ]

    assert (taken.status_code, moved.status_code) == (201, 200)
    assert set(statuses) == {200}
    missing = web.anybody.get(f"{prefix}/tickets/999999{slash}")
    assert (missing.status_code, missing.json()["error"]) == (404, "ticket_not_found")


def test_call_next_calls_one_after_the_other(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    first, second = web.take(counter_id), web.take(counter_id)
    path = f"/app/counters/{counter_id}/call-next"

    called = officer.post(path).json()
    busy = officer.post(path)
    officer.patch(f"/app/tickets/{first['id']}", json={"status": "serving"}).raise_for_status()
    then = officer.post(path).json()

    assert called == called | {
        "id": first["id"],
        "status": "called",
        "counter_name": "Quầy Tư pháp",
    }
    assert (busy.status_code, busy.json()["error"]) == (409, "counter_busy")
    assert (then["id"], then["status"]) == (second["id"], "called")
    assert officer.get(f"/app/tickets/{first['id']}").json()["status"] == "completed"
    officer.patch(f"/app/tickets/{second['id']}", json={"status": "serving"}).raise_for_status()
    nobody = officer.post(path)
    assert (nobody.status_code, nobody.json()["error"]) == (404, "no_waiting_tickets")


def test_recall_and_no_show(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    ticket = web.take(counter_id)
    path = f"/app/tickets/{ticket['id']}"
    officer.patch(path, json={"status": "called"}).raise_for_status()

    early = officer.post(f"{path}/no-show")
    recalled = [officer.post(f"{path}/recall").json()["call_count"] for _ in range(2)]
    gone = officer.post(f"{path}/no-show", json={"notes": "Vắng"}).json()

    assert (early.status_code, early.json()["error"]) == (400, "too_few_calls")
    assert early.json()["details"] == {"call_count": 1, "calls_needed": 3}
    assert recalled == [2, 3]
    assert (gone["status"], gone["completion_reason"]) == ("cancelled", "customer_absent")
    assert gone["notes"] == "Vắng"


def test_park_and_return(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    first, second = web.take(counter_id), web.take(counter_id)
    path = f"/app/tickets/{first['id']}"

    parked = officer.post(f"{path}/park", json={"notes": "Chờ bản sao"}).json()
    without = [each["ticket_id"] for each in waiting(web)["counters"][0]["waiting_queue"]]
    desk = officer.get(f"/app/counters/{counter_id}").json()
    returned = officer.post(f"{path}/return").json()

    assert (parked["status"], parked["parked"]) == ("waiting", True)
    assert without == [second["id"]]
    assert [each["ticket_id"] for each in desk["parked"]] == [first["id"]]
    assert returned["parked"] is False
    queue = waiting(web)["counters"][0]["waiting_queue"]
    assert [each["ticket_id"] for each in queue] == [first["id"], second["id"]]


def test_transfer(web: Web, counter_id: int) -> None:
    other = web.make_counter("Quầy 2")
    ticket = web.take(counter_id)

    moved = web.admin.post(f"/app/tickets/{ticket['id']}/transfer", json={"counter_id": other})
    nowhere = web.admin.post(f"/app/tickets/{ticket['id']}/transfer", json={"counter_id": 999})
    there = web.admin.post(f"/app/tickets/{ticket['id']}/transfer", json={"counter_id": other})

    assert moved.json() == moved.json() | {"counter_id": other, "counter_name": "Quầy 2"}
    assert (nowhere.status_code, nowhere.json()["error"]) == (400, "invalid_counter")
    assert (there.status_code, list(there.json()["details"])) == (400, ["counter_id"])
    assert there.json()["error"] == "invalid"
    assert waiting(web, f"?counter_id={other}")["waiting_queue"][0]["number"] == 101


def test_pause_and_resume(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    web.take(counter_id)

    paused = officer.post(
        f"/app/counters/{counter_id}/pause",
        json={"reason": "Đi họp", "until": "2099-01-01T00:00:00Z"},
    ).json()
    late = officer.post(f"/app/counters/{counter_id}/call-next")
    resumed = officer.put(f"/app/counters/{counter_id}/resume").json()

    assert paused == paused | {
        "status": "paused",
        "pause_reason": "Đi họp",
        "paused_until": "2099-01-01T00:00:00Z",
        "total_waiting": 1,
    }
    assert (late.status_code, late.json()["error"]) == (409, "counter_not_active")
    assert (resumed["status"], resumed["pause_reason"]) == ("active", None)


@pytest.mark.parametrize("search", ["chung thuc", "CHỨNG", "giấy", "giay to", "Chứng giấy"])
def test_procedures_are_found_without_accents(web: Web, counter_id: int, search: str) -> None:
    for name in ("Chứng thực giấy tờ", "Đăng ký kết hôn"):
        web.admin.post("/procedures", json={"name": name, "counter_ids": [counter_id]})

    [found] = web.anybody.get("/procedures/", params={"search": search}).json()["procedures"]

    assert found["name"] == "Chứng thực giấy tờ"
    assert [each["id"] for each in found["counters"]] == [counter_id]


def test_a_procedure_goes_to_the_counter_with_the_shortest_wait(web: Web, counter_id: int) -> None:
    other = web.make_counter("Quầy 2")
    procedure_id = web.admin.post(
        "/procedures", json={"name": "Đăng ký", "counter_ids": [counter_id, other]}
    ).json()["id"]

    taken = [
        web.anybody.post("/tickets", json={"procedure_id": procedure_id}).json()["counter_id"]
        for _ in range(4)
    ]

    assert taken == [counter_id, other, counter_id, other]


def test_the_paper_finds_its_ticket_and_officers_words_stay_theirs(
    web: Web, counter_id: int
) -> None:
    officer = web.officer(counter_id)
    web.take(counter_id)
    ticket = web.take(counter_id)
    shown = web.anybody.get(f"/app/tickets/{ticket['public_id']}")
    officer.patch(
        f"/app/tickets/{ticket['id']}", json={"status": "cancelled", "notes": "Thiếu giấy tờ"}
    ).raise_for_status()

    afterwards = web.anybody.get(f"/app/tickets/{ticket['public_id']}").json()
    to_officer = officer.get(f"/app/tickets/{ticket['id']}").json()

    assert shown.json() == shown.json() | {"number": 102, "ahead": 1, "status": "waiting"}
    low, middle, high = (shown.json()[f"estimated_wait_{each}"] for each in ("low", "time", "high"))
    assert low < middle < high
    assert afterwards["estimated_wait_low"] is afterwards["estimated_wait_high"] is None
    assert afterwards["status"] == "cancelled"
    assert "notes" not in afterwards
    assert to_officer["notes"] == "Thiếu giấy tờ"


def test_the_hall_has_a_name_and_hours(web: Web, counter_id: int) -> None:
    [branch] = web.anybody.get("/branches").json()["branches"]
    path = f"/branches/{branch['id']}"

    closed = web.admin.patch(path, json={"opening": {}}).json()
    refused = web.anybody.post("/tickets", json={"counter_id": counter_id})
    for spans in (["08:00", "11:30"], ["11:00", "17:00"]), (["13:00", "17:00"], ["08:00", "11:30"]):
        wrong = web.admin.patch(path, json={"opening": {"mon": spans}})
        assert (wrong.status_code, list(wrong.json()["details"])) == (400, ["opening"])
    noon = {"opening": {"mon": [["08:00", "12:00"], ["12:00", "17:00"]]}}
    assert web.admin.patch(path, json=noon).json()["opening"]["mon"] == noon["opening"]["mon"]
    opened = web.admin.patch(path, json={"opening": None}).json()

    assert (branch["is_open"], closed["is_open"], opened["is_open"]) == (True, False, True)
    assert (refused.status_code, refused.json()["error"]) == (409, "branch_closed")
    assert web.take(counter_id)["number"] == 101


def test_names_are_taken_once(web: Web, counter_id: int) -> None:
    assert counter_id

    again = web.admin.post("/counters", json={"name": "Quầy Tư pháp"})

    assert (again.status_code, again.json()["error"]) == (409, "name_taken")


def test_each_act_is_in_the_audit_log(web: Web, counter_id: int) -> None:
    officer = web.officer(counter_id)
    ticket = web.take(counter_id)
    officer.post(f"/app/counters/{counter_id}/call-next").raise_for_status()

    entries = web.admin.get("/api/v1/auth/audit", params={"target": f"ticket:{ticket['id']}"})

    [entry] = entries.json()["data"]
    assert (entry["action"], entry["actor"]) == ("ticket_called", "officer01")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_health_of_the_hall(web: Web, counter_id: int, prefix: str) -> None:
    web.take(counter_id)

    health = web.anybody.get(f"{prefix}/health/queue-system").json()

    assert (health["status"], health["active_tickets"]) == ("healthy", 1)
    assert health["websocket_connections"] == 0
    assert health["average_response_time"].endswith("ms")
