"""Bounces, edits and actions on a filter over HTTP, each against a real Exim on its host."""

from typing import Any

import httpx
import pytest

from tests.mail.mail_system import MailSystem
from tests.servers import wait_until

pytestmark = pytest.mark.on_sqlite
UNKNOWN = "1AAAAA-000001-00"


def message(mail: MailSystem, message_id: str) -> dict[str, Any]:
    [found] = [each for each in mail.listed()["data"]["messages"] if each["id"] == message_id]
    return dict(found)


def test_a_bounce_is_sent_and_told(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)

    answer = mail.http.post(f"/api/v1/queue/{message_id}/bounce")

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {
        "success": True,
        "message_id": message_id,
        "operation": "bounce",
        "message": "Message returned to its sender",
    }
    mail.wait_for()
    assert f"<= <> R={message_id}" in mail.exim.main_log()
    [entry] = mail.http.get(f"/api/v1/queue/{message_id}/history").json()["data"]["history"]
    assert entry["action"] == "queue_bounce"
    assert mail.http.post(f"/api/v1/queue/{message_id}/bounce").status_code == 404


def test_many_are_sent_back_and_each_is_answered(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test") for _ in range(3)]
    mail.wait_for(*ids)

    body = {"operation": "bounce", "message_ids": [*ids, UNKNOWN]}
    data = mail.http.post("/api/v1/queue/bulk", json=body).json()["data"]

    assert (data["successful_count"], data["failed_count"]) == (3, 1)
    mail.wait_for()


def test_recipients_and_sender_are_changed(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test", "v@defer.test")
    mail.wait_for(message_id)
    at = f"/api/v1/queue/{message_id}"

    added = mail.http.post(f"{at}/recipients", json={"addresses": ["new@far.test"]})
    dropped = mail.http.request("DELETE", f"{at}/recipients", json={"addresses": ["v@defer.test"]})
    sender = mail.http.put(f"{at}/sender", json={"sender": "b@x.test"})

    assert [each.status_code for each in (added, dropped, sender)] == [200, 200, 200]
    assert sender.json()["data"]["operation"] == "change_sender"
    wait_until(lambda: message(mail, message_id)["sender"] == "b@x.test", "the list has it")
    found = message(mail, message_id)
    assert found["recipients"] == ["u@defer.test", "v@defer.test", "new@far.test"]
    assert found["delivered"] == ["v@defer.test"]
    again = mail.http.post(f"{at}/recipients", json={"addresses": ["New@far.test"]}).json()
    assert again["data"]["message"] == "They are recipients already"
    mail.http.put(f"{at}/sender", json={"sender": "<>"}).raise_for_status()
    wait_until(lambda: message(mail, message_id)["sender"] == "<>", "nobody is told any more")
    history = mail.http.get(f"{at}/history").json()["data"]["history"]
    assert [each["action"] for each in history] == [
        "queue_change_sender",
        "queue_add_recipients",
        "queue_change_sender",
        "queue_drop_recipients",
        "queue_add_recipients",
    ]
    assert "new@far.test" in history[-1]["details"]

    everybody = mail.http.request("DELETE", f"{at}/recipients", json={"all": True})
    assert everybody.status_code == 200
    wait_until(lambda: len(message(mail, message_id)["delivered"]) == 3, "nobody is left")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "recipients", {"addresses": ["-C/etc/passwd"]}, "addresses[0]"),
        ("POST", "recipients", {"addresses": ["a@x.test", "a b@x.test"]}, "addresses[1]"),
        ("POST", "recipients", {"addresses": ["bad@_"]}, "addresses"),
        ("POST", "recipients", {"addresses": []}, "addresses"),
        ("POST", "recipients", {"addresses": ["a@x.test"] * 101}, "addresses"),
        ("POST", "recipients", {"address": "a@x.test"}, "address"),
        ("DELETE", "recipients", {"addresses": ["no@far.test"]}, "addresses"),
        ("DELETE", "recipients", {}, "addresses"),
        ("DELETE", "recipients", {"all": True, "addresses": ["u@defer.test"]}, "addresses"),
        ("PUT", "sender", {"sender": "-be"}, "sender"),
        ("PUT", "sender", {"sender": "a@x.test> <b@x.test"}, "sender"),
        ("PUT", "sender", {}, "sender"),
    ],
)
def test_a_wrong_edit_names_the_field_and_changes_nothing(
    mail: MailSystem, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    before = mail.exim.spool_state()

    answer = mail.http.request(method, f"/api/v1/queue/{message_id}/{path}", json=body)

    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert field in answer.text
    assert mail.exim.spool_state() == before


def test_only_an_admin_takes_what_cannot_be_given_back(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    at = f"/api/v1/queue/{message_id}"

    def statuses(http: httpx.Client) -> list[int]:
        matching = {"operation": "bounce", "criteria": {}}
        return [
            http.post(f"{at}/bounce").status_code,
            http.post("/api/v1/queue/actions/bounce", json={"message_id": message_id}).status_code,
            http.post(f"{at}/recipients", json={"addresses": ["a@x.test"]}).status_code,
            http.put(f"{at}/sender", json={"sender": "a@x.test"}).status_code,
            http.post("/api/v1/queue/matching", json=matching).status_code,
            http.post(
                "/api/v1/queue/bulk", json={"operation": "bounce", "message_ids": [message_id]}
            ).status_code,
        ]

    for role in ("operator", "viewer"):
        with mail.as_user(role) as user:
            assert set(statuses(user)) == {403}
    assert mail.exim.message_ids() == {message_id}


# What a filter finds -------------------------------------------------------------------------


def finished(mail: MailSystem, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"]

    def found() -> dict[str, Any] | None:
        data: dict[str, Any] = mail.http.get(path).json()["data"]
        return data if data["finished_at"] else None

    return wait_until(found, "the operation is over")


def test_a_filter_is_shown_confirmed_and_acted_on(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test", sender=f"s{n}@spam.test") for n in range(3)]
    other = mail.exim.submit("u@defer.test", sender="a@x.test")
    mail.wait_for(*ids, other)
    body = {"operation": "freeze", "criteria": {"sender_domain": "spam.test"}}

    preview = mail.http.post("/api/v1/queue/matching", json=body).json()["data"]
    assert (preview["count"], {each["id"] for each in preview["sample"]}) == (3, set(ids))
    assert mail.listed()["data"]["frozen_messages"] == 0
    late = mail.exim.submit("u@defer.test", sender="late@spam.test")
    mail.wait_for(*ids, other, late)
    confirmed = {**body, "confirm": preview["confirm"]}
    done = finished(mail, mail.http.post("/api/v1/queue/matching", json=confirmed))

    assert (done["total_messages"], done["successful_count"]) == (3, 3)
    wait_until(lambda: mail.listed()["data"]["frozen_messages"] == 3, "three are frozen")
    assert set(mail.ids(status="frozen")) == set(ids)
    history = mail.http.get(f"/api/v1/queue/{ids[0]}/history").json()["data"]["history"]
    assert history[0]["action"] == "queue_matching_freeze"


def test_what_was_confirmed_is_what_is_done(mail: MailSystem) -> None:
    ids = [mail.exim.submit("u@defer.test") for _ in range(2)]
    mail.wait_for(*ids)
    body: dict[str, Any] = {"operation": "delete", "criteria": {"recipient": "u@defer"}}
    confirm = mail.http.post("/api/v1/queue/matching", json=body).json()["data"]["confirm"]

    def status(**changes: Any) -> tuple[int, str]:
        answer = mail.http.post(
            "/api/v1/queue/matching", json={**body, "confirm": confirm, **changes}
        )
        return answer.status_code, answer.text

    assert status(criteria={})[0] == 409
    assert status(operation="freeze")[0] == 409
    for forged in ("", "0-0-0", "x", "-", f"-{confirm}", "9" * 200):
        assert status(confirm=forged)[0] == 409
    assert mail.exim.message_ids() == set(ids)
    mail.exim.run("-Mrm", ids[0])
    mail.wait_for(ids[1])  # fewer than were seen are as good
    answer = mail.http.post("/api/v1/queue/matching", json={**body, "confirm": confirm})
    assert finished(mail, answer)["successful_count"] == 1
    mail.wait_for()
    nothing = mail.http.post("/api/v1/queue/matching", json={**body, "confirm": confirm})
    assert finished(mail, nothing)["total_messages"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"operation": "nuke", "criteria": {}}, "operation"),
        ({"operation": "freeze"}, "criteria"),
        ({"operation": "freeze", "criteria": {"from": "a"}}, "from"),
        ({"operation": "freeze", "criteria": {"min_age": "soon"}}, "min_age"),
    ],
)
def test_a_wrong_filter_names_the_field(mail: MailSystem, body: dict[str, Any], field: str) -> None:
    answer = mail.http.post("/api/v1/queue/matching", json=body)

    assert answer.status_code == 400
    assert field in answer.text
