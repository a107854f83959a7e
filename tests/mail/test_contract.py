"""The mail contract over HTTP, against a real Exim that is watched by the real process."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from models.mail.exim import Exim
from tests.mail.mail_system import MailSystem
from tests.servers import wait_until


def test_list_is_as_the_contract_says(mail: MailSystem) -> None:
    before = datetime.now(UTC)
    message_id = mail.exim.submit("u@defer.test", "ok@far.test", subject="Grüße")
    mail.wait_for(message_id)

    body = mail.listed()

    [message] = body["data"].pop("messages")
    assert body["data"].pop("oldest_message_age").endswith("s")
    assert body == {
        "success": True,
        "data": {"total_messages": 1, "deferred_messages": 0, "frozen_messages": 0},
        "meta": {"page": 1, "per_page": 50, "total": 1, "total_pages": 1},
    }
    received = datetime.fromisoformat(message.pop("timestamp"))
    assert abs((received - before).total_seconds()) < 30
    assert message.pop("size") > 0
    assert message.pop("age").endswith("s")
    assert message == {
        "id": message_id,
        "sender": "a@x.test",
        "status": "queued",
        "recipients": ["u@defer.test", "ok@far.test"],
        "retry_count": 0,
        "delivered": [],
        "subject": "Grüße",
        "host": "mx1",
        "queue": "",
        "is_delivering": False,
        "last_attempt": None,
        "next_retry": None,
        "last_error": None,
    }


def test_empty_queue_is_an_empty_list_with_its_total(mail: MailSystem) -> None:
    body = mail.listed()

    assert body["data"]["messages"] == []
    assert body["data"]["oldest_message_age"] == "0s"
    assert body["meta"] == {"page": 1, "per_page": 50, "total": 0, "total_pages": 0}


def test_filters_order_and_pages(mail: MailSystem) -> None:
    ids = [
        mail.exim.submit(f"u{number}@defer.test", sender=f"S{number}@X.test", body="x" * number)
        for number in range(5)
    ]
    mail.exim.run("-Mf", ids[1], ids[2])
    mail.exim.run("-M", ids[3])
    mail.wait_for(*ids)
    wait_until(lambda: mail.listed()["data"]["frozen_messages"] == 2, "two are frozen")
    wait_until(lambda: mail.listed()["data"]["deferred_messages"] == 1, "one is deferred")

    assert mail.ids(status="frozen", sort_by="id", order="asc") == sorted([ids[1], ids[2]])
    assert mail.ids(sender="s4@x") == [ids[4]]
    assert mail.ids(recipient="U0@DEFER") == [ids[0]]
    assert mail.ids(recipient_domain="defer.tes") == []
    assert len(mail.ids(recipient_domain="defer.test")) == 5
    assert mail.ids(sender="100%_") == []
    assert mail.ids(reason="test deferral") == [ids[3]]
    assert mail.ids(retry_count_min=1) == [ids[3]]
    assert mail.ids(age_max="1d", host="mx1", message_id=ids[0].lower()) == [ids[0]]
    assert len(mail.ids(age_max="999999999d" * 300)) == 5
    assert mail.ids(age_min="1h") == mail.ids(host="mx9") == []
    assert mail.ids(sort_by="size", order="asc") == ids
    assert mail.ids(sort_by="sender", order="desc") == ids[::-1]
    second = mail.listed(sort_by="size", order="asc", page=2, per_page=2)
    assert [each["id"] for each in second["data"]["messages"]] == ids[2:4]
    assert second["meta"] == {"page": 2, "per_page": 2, "total": 5, "total_pages": 3}
    assert mail.listed(page=0)["meta"]["page"] == 1
    assert mail.listed(per_page=5_000)["meta"]["per_page"] == 100
    assert mail.ids(page=99) == []
    deferred = mail.listed(status="deferred")["data"]["messages"][0]
    assert "test deferral" in deferred["last_error"]
    assert deferred["retry_count"] == 1


def test_search_takes_criteria(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test", sender=f"s{number}@x.test") for number in range(2)]
    mail.wait_for(*ids)

    answer = mail.http.post(
        "/api/v1/queue/search", json={"criteria": {"sender": "S1@", "max_age": "2h"}, "page": 1}
    ).json()

    assert [each["id"] for each in answer["data"]["messages"]] == [ids[1]]
    assert answer["data"]["criteria"] == {"sender": "S1@", "max_age": "2h"}
    assert answer["meta"]["total"] == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("page=x", "Expected a whole number, got 'x'"),
        ("sort_by=no", "`recipient`"),
        ("order=up", "Expected `asc` or `desc`, got 'up'"),
        ("sendr=a", "Unknown field"),
        ("age_min=soon", "expected a span such as 1h30m or 2d, got 'soon'"),
        ("size_min=-1", "Expected `int` >= 0"),
        ("size_min=x", "Expected a whole number, got 'x'"),
        ("status=frozn", "Expected `queued`, `deferred` or `frozen`, got 'frozn'"),
    ],
)
def test_what_cannot_be_meant_is_refused(mail: MailSystem, query: str, said: str) -> None:
    answer = mail.http.get(f"/api/v1/queue?{query}")

    assert answer.status_code == 400
    body = answer.json()
    assert body["success"] is False
    assert body["error"] == "Validation failed"
    [fault] = body["data"]
    assert fault["field"] == query.partition("=")[0]
    assert said in fault["message"]


def test_one_message_is_shown(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test", sender="<>")
    mail.wait_for(message_id)

    data = mail.http.get(f"/api/v1/queue/{message_id}").json()["data"]

    assert data["id"] == message_id
    assert data["envelope"]["sender"] == "<>"
    assert data["envelope"]["recipients"] == ["u@defer.test"]
    history = mail.http.get(f"/api/v1/queue/{message_id}/history").json()["data"]
    assert history == {"message_id": message_id, "history": []}


@pytest.mark.parametrize(
    ("message_id", "status", "error"),
    [
        ("1AAAAA-000001-00", 404, "Message not found"),
        ("1a2b3c4d", 404, "Message not found"),
        ("-C", 400, "Validation failed"),
        ("1AAAAA-000001-00%0A", 400, "Validation failed"),
        ("..%2F..%2Fetc", 404, None),
        ("a%20b", 400, "Validation failed"),
    ],
)
def test_ids_that_are_none(
    mail: MailSystem, message_id: str, status: int, error: str | None
) -> None:
    answer = mail.http.get(f"/api/v1/queue/{message_id}")

    assert answer.status_code == status
    assert answer.json()["success"] is False
    if error:
        assert answer.json()["error"] == error


def test_numbers_of_the_queue(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test"), mail.exim.submit("u@defer.test", body="x" * 2_000)]
    mail.exim.run("-Mf", ids[0])
    mail.wait_for(*ids)
    wait_until(lambda: mail.listed()["data"]["frozen_messages"] == 1, "one is frozen")

    statistics = mail.http.get("/api/v1/queue/statistics").json()["data"]
    health = mail.http.get("/api/v1/queue/health").json()["data"]

    assert statistics["status_breakdown"] == {"frozen": 1, "queued": 1}
    assert statistics["size_distribution"] == {
        "<1KB": 1, "1-10KB": 1, "10-100KB": 0, "100KB-1MB": 0, ">1MB": 0,
    }  # fmt: skip
    assert statistics["average_size"] == statistics["total_size"] // 2 > 1_000
    assert (health["total_messages"], health["frozen_messages"]) == (2, 1)
    assert health["growth_trend"] == "stable"
    assert health["oldest_message_age"] > 0


def test_nobody_looks_without_a_log_in(mail: MailSystem) -> None:
    answer = httpx.get(f"{mail.system.url}/api/v1/queue")

    assert answer.status_code == 401
    assert answer.json() == {"success": False, "error": "Authentication required"}


def test_wrong_method_is_refused_in_the_contracts_form(mail: MailSystem) -> None:
    answer = mail.http.put("/api/v1/queue", json={})

    assert answer.status_code == 405
    assert answer.json()["success"] is False
    assert "GET" in answer.headers["Allow"]


def test_hosts_tell_that_they_live(mail: MailSystem) -> None:
    [host] = mail.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]

    assert (host["name"], host["alive"], host["complete"]) == ("mx1", True, True)


# Acting -------------------------------------------------------------------------------------


def frozen(mail: MailSystem) -> set[str]:
    """Return the ids that Exim itself says are frozen."""
    return {each.message_id for each in Exim(mail.exim.command).listing() if each.is_frozen}


def test_one_message_is_frozen_thawed_and_deleted(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)

    answers = [
        mail.http.post("/api/v1/queue/actions/freeze", json={"message_id": message_id}),
        mail.http.post(f"/api/v1/queue/{message_id}/freeze"),
        mail.http.post("/api/v1/queue/actions/thaw", json={"message_id": message_id}),
        mail.http.request("DELETE", "/api/v1/queue", json={"message_id": message_id}),
    ]

    assert [each.status_code for each in answers] == [200] * 4, [each.text for each in answers]
    assert answers[0].json() == {
        "success": True,
        "data": {
            "success": True,
            "message_id": message_id,
            "operation": "freeze",
            "message": "Message frozen successfully",
        },
    }
    assert [each.json()["data"]["message"] for each in answers[1:]] == [
        "Message is already frozen",
        "Message thawed successfully",
        "Message deleted successfully",
    ]
    assert mail.exim.message_ids() == set()
    mail.wait_for()
    history = mail.http.get(f"/api/v1/queue/{message_id}/history").json()["data"]["history"]
    assert [each["action"] for each in history] == [
        *("queue_delete", "queue_thaw", "queue_freeze", "queue_freeze"),
    ]
    assert history[0]["user"] == "admin"
    details = [json.loads(each["details"]) for each in history]
    assert [each["operation"] for each in details] == ["delete", "thaw", "freeze", "freeze"]
    assert [each["message"] for each in details] == [
        *("Message deleted successfully", "Message thawed successfully"),
        *("Message is already frozen", "Message frozen successfully"),
    ]
    assert [each["success"] for each in details] == [True] * 4


def test_message_is_delivered_now(mail: MailSystem) -> None:
    message_id = mail.exim.submit("ok@far.test")
    mail.wait_for(message_id)

    answer = mail.http.post("/api/v1/queue/actions/deliver", json={"message_id": message_id})

    assert answer.json()["data"] == {
        "success": True,
        "message_id": message_id,
        "operation": "deliver_now",
        "message": "Delivery attempt initiated",
    }
    mail.wait_for()
    assert f"{message_id} => ok@far.test" in re.sub(r"\[\d+\] ", "", mail.exim.main_log())


def test_many_messages_have_an_outcome_each(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test") for _ in range(3)]
    mail.exim.run("-Mf", ids[1])
    mail.wait_for(*ids)
    unknown = "1AAAAA-000001-00"

    answer = mail.http.post(
        "/api/v1/queue/actions/freeze",
        json={"message_ids": [*ids, unknown, "1a2b3c4d", ids[0]]},
    ).json()

    data = answer["data"]
    assert (data["total_messages"], data["successful_count"], data["failed_count"]) == (5, 3, 2)
    assert data["operation"] == "freeze"
    assert [each["message_id"] for each in data["results"]] == [*ids, unknown, "1a2b3c4d"]
    assert [each["success"] for each in data["results"]] == [True, True, True, False, False]
    assert data["results"][3] == {
        "success": False,
        "message_id": unknown,
        "operation": "freeze",
        "message": "unknown id",
        "error": "Message not found",
    }
    assert frozen(mail) == set(ids)
    bulk = {"operation": "delete", "message_ids": ids}
    assert mail.http.post("/api/v1/queue/bulk", json=bulk).json()["data"]["successful_count"] == 3
    mail.wait_for()


def test_hundreds_of_messages_go_in_chunks(mail: MailSystem) -> None:
    template = mail.exim.submit("u@defer.test")
    ids = mail.exim.copies(template, 600)
    mail.exim.run("-Mrm", template)
    copied = {"message_id": ids[0][:6], "per_page": 1}
    wait_until(lambda: mail.listed(**copied)["meta"]["total"] == 600, "all are listed")

    answer = mail.http.request("DELETE", "/api/v1/queue", json={"message_ids": ids}).json()

    assert answer["data"]["successful_count"] == 600
    assert mail.exim.message_ids() == set()
    mail.wait_for()


def test_message_that_is_being_delivered_is_locked(mail: MailSystem) -> None:
    message_id = mail.exim.submit("slow@far.test")
    mail.wait_for(message_id)
    mail.sink.released.clear()
    path = f"/api/v1/queue/{message_id}"
    mail.http.post(f"{path}/deliver").raise_for_status()
    delivering = lambda: mail.listed()["data"]["messages"][0]["is_delivering"]  # noqa: E731
    wait_until(delivering, "the attempt is seen")

    answer = mail.http.post(f"{path}/freeze")
    mail.sink.released.set()

    assert answer.status_code == 500
    assert answer.json()["error"] == "Message is being delivered"
    assert answer.json()["data"]["message"] == f"Message {message_id} is locked"
    [refused, _] = mail.http.get(f"{path}/history").json()["data"]["history"]
    told = json.loads(refused["details"])
    assert (told["success"], told["error"]) == (False, "Message is being delivered")
    mail.wait_for()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"message_ids": []}, 400),
        ({"message_id": "-C/etc/passwd"}, 400),
        ({"message_ids": ["1AAAAA-000001-00", "x; rm -rf /"]}, 400),
        ({"message_ids": ["1AAAAA-000001-00"] * 1_001}, 400),
        ({"message_id": "1AAAAA-000001-00", "extra": 1}, 400),
        ({"message_id": "1AAAAA-000001-00", "message_ids": []}, 400),
        ({"message_id": "1AAAAA-000001-00"}, 404),
        ({"message_id": "1a2b3c4d"}, 404),
    ],
)
def test_actions_that_cannot_be_meant_are_refused(
    mail: MailSystem, body: dict[str, Any], status: int
) -> None:
    answer = mail.http.post("/api/v1/queue/actions/freeze", json=body)

    assert answer.status_code == status
    assert answer.json()["success"] is False


def test_an_action_without_a_body_is_told_what_it_lacks(mail: MailSystem) -> None:
    answers = [mail.http.delete("/api/v1/queue"), mail.http.post("/api/v1/queue/actions/thaw")]

    lacks = {"field": "message_ids", "message": "message_ids or message_id is required"}
    assert [each.json()["data"] for each in answers] == [[lacks], [lacks]]
    assert {each.status_code for each in answers} == {400}


def test_roles_reach_as_far_as_the_table_says(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    freeze, delete = f"/api/v1/queue/{message_id}/freeze", {"message_id": message_id}
    bulk = {"operation": "delete", "message_ids": [message_id]}

    thaw = {"message_id": message_id, "host": ""}  # as a form sends none
    assert mail.http.post("/api/v1/queue/actions/thaw", json=thaw).status_code == 200
    with mail.as_user("viewer") as viewer:
        assert viewer.get("/api/v1/queue").status_code == 200
        assert viewer.post(freeze).status_code == 403
    with mail.as_user("operator") as operator:
        assert operator.post(freeze).status_code == 200
        assert operator.request("DELETE", "/api/v1/queue", json=delete).status_code == 403
        assert operator.post("/api/v1/queue/bulk", json=bulk).status_code == 403
    assert frozen(mail) == {message_id}


def test_host_that_is_down_is_named_at_once_and_nothing_is_sent(
    mail: MailSystem,
) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    watcher = mail.system.running["mail-watch"]
    watcher.freeze()
    try:
        mail.let_be_silent()
        answer = mail.http.post(f"/api/v1/queue/{message_id}/freeze")
    finally:
        watcher.thaw()

    assert answer.status_code == 503
    assert "mx1" in answer.json()["error"]
    assert answer.headers["Retry-After"]
    wait_until(mail.is_alive, "the host lives again")
    assert mail.http.post(f"/api/v1/queue/{message_id}/freeze").status_code == 200


def test_what_a_host_does_not_do_in_time_is_called_off(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    watcher = mail.system.running["mail-watch"]
    watcher.freeze()
    try:
        answer = mail.http.post(f"/api/v1/queue/{message_id}/freeze")
    finally:
        watcher.thaw()

    assert answer.status_code == 504
    [operation_id] = re.findall("operation ([0-9a-f]{32})", answer.json()["error"])
    other = mail.exim.submit("u@defer.test")
    wait_until(mail.is_alive, "the host lives again")
    mail.wait_for(message_id, other)
    assert mail.http.post(f"/api/v1/queue/{other}/freeze").status_code == 200
    assert frozen(mail) == {other}
    shown = mail.http.get(f"/api/v1/queue/operations/{operation_id}").json()["data"]
    assert shown["cancelled_at"]


def test_api_cannot_run_an_exim() -> None:
    program = "import sys, api.app, api.cli; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    loaded = set(told.stdout.decode().split())
    assert "models.mail.acts" in loaded
    assert loaded.isdisjoint({f"models.mail.{name}" for name in ("exim", "spool", "doing")})
