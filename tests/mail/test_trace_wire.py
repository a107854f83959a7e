"""What became of one message, over HTTP; and what people note about it."""

import secrets
from datetime import datetime
from typing import Any

from tests.mail.mail_system import MailSystem
from tests.mail.test_log_wire import data, events, tried
from tests.servers import wait_until

AT = "/api/v1/messages"


def test_trace_tells_each_recipient_what_happened_and_what_follows(mail: MailSystem) -> None:
    message_id = tried(mail)
    mail.wait_for(message_id, *(mail.exim.message_ids() - {message_id}))

    def traced() -> dict[str, Any]:
        return data(mail, f"{AT}/{message_id}/delivery-trace")

    wait_until(lambda: traced()["retry_schedule"], "Exim's hint is told")
    trace = traced()

    assert (trace["message_id"], trace["message"]["status"]) == (message_id, "deferred")
    states = {each["recipient"]: each for each in trace["recipients"]}
    assert {name: each["status"] for name, each in states.items()} == {
        "ok@far.test": "delivered",
        "tmp@far.test": "deferred",
        "perm@far.test": "bounced",
    }
    assert "delivered_at" in states["ok@far.test"]
    assert states["tmp@far.test"]["last_smtp_code"] == "451"
    assert "mailbox busy" in states["tmp@far.test"]["last_error_text"]
    [attempt] = states["perm@far.test"]["delivery_history"]
    assert (attempt["status"], attempt["smtp_code"]) == ("bounced", "550")
    [retry] = trace["retry_schedule"]
    assert (retry["recipient"], retry["attempt_number"]) == ("tmp@far.test", 2)
    summary = trace["summary"]
    assert (summary["total_recipients"], summary["total_attempts"]) == (3, 3)
    assert (summary["delivered_count"], summary["deferred_count"]) == (1, 1)
    assert trace["delivery_timeline"][0]["event_type"] == "arrival"

    listed = {each["id"]: each for each in mail.listed()["data"]["messages"]}[message_id]
    assert listed["retry_count"] == 1
    assert "mailbox busy" in listed["last_error"]
    assert datetime.fromisoformat(listed["next_retry"]) == datetime.fromisoformat(
        retry["scheduled_at"]
    )
    schedule = data(mail, f"{AT}/{message_id}/retry-schedule")
    assert schedule["retry_schedule"] == trace["retry_schedule"]
    assert schedule["queue_info"]["queue_status"] == "deferred"
    assert schedule["deferred_count"] == 1
    mail.exim.run("-Mf", message_id)
    wait_until(lambda: not traced()["retry_schedule"], "a frozen message is not tried")


def test_views_of_one_message_agree(mail: MailSystem) -> None:
    message_id = tried(mail)
    mail.wait_for(message_id, *(mail.exim.message_ids() - {message_id}))
    frozen = mail.http.post(f"/api/v1/queue/{message_id}/freeze")
    assert frozen.status_code == 200
    wait_until(lambda: "freeze" in events(mail, message_id), "the log is read on")

    timeline = data(mail, f"{AT}/{message_id}/timeline")["timeline"]
    assert {"log", "audit"} == {each["source"] for each in timeline}
    only = data(mail, f"{AT}/{message_id}/timeline", event_type="defer", recipient="tmp@far.test")
    assert [each["event_type"] for each in only["timeline"]] == ["defer"]
    threads = data(mail, f"{AT}/{message_id}/threaded-timeline")
    assert [each.get("recipient") for each in threads["threads"]] == [
        *(None, "ok@far.test", "tmp@far.test", "perm@far.test"),
    ]
    assert threads["threads"][1]["status"] == "delivered"
    stats = data(mail, f"{AT}/{message_id}/delivery-stats")
    assert stats["recipients"]["tmp@far.test"]["attempt_count"] == 1
    assert stats["timeline_stats"]["total_events"] == len(timeline)
    whole = data(mail, f"{AT}/{message_id}/trace")
    assert whole["queue_info"]["id"] == message_id
    assert whole["operation_history"][0]["action"].startswith("queue_freeze")
    related = data(mail, f"/api/v1/logs/messages/{message_id}/correlation")["correlation"]
    assert related["summary"]["attempt_count"] == 3
    assert related["summary"]["bounced_count"] == 1
    one = data(mail, f"{AT}/{message_id}/recipients/perm@far.test/history")
    assert one["status"]["status"] == "bounced"
    [attempt] = one["status"]["delivery_history"]
    shown = data(mail, f"/api/v1/delivery-attempts/{attempt['id']}")
    assert shown["attempt"] == attempt
    assert len(shown["related_logs"]) >= 4

    for path, status in (
        (f"{AT}/{message_id}/recipients/nobody@x.test/history", 404),
        (f"{AT}/1xUNcV-0005ay-0d/trace", 404),
        (f"{AT}/-C/delivery-trace", 400),
        ("/api/v1/delivery-attempts/0", 404),
        ("/api/v1/delivery-attempts/x", 400),
    ):
        answer = mail.http.get(path)
        assert (answer.status_code, answer.json()["success"]) == (status, False), path


def test_notes_are_of_their_writers(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    at = f"{AT}/{message_id}/notes"
    with mail.as_user("operator") as operator, mail.as_user("viewer") as viewer:
        note = operator.post(at, json={"note": "  told them  ", "is_public": True}).json()["data"]
        hidden = operator.post(at, json={"note": "mine"}).json()["data"]

        assert (note["note"], note["is_public"]) == ("told them", True)
        assert viewer.post(at, json={"note": "x"}).status_code == 403
        seen = viewer.get(at).json()["data"]
        assert (seen["message_id"], seen["notes"]) == (message_id, [note])
        assert [each["id"] for each in operator.get(at).json()["data"]["notes"]] == [
            *(note["id"], hidden["id"]),
        ]
        mine = mail.http.post(at, json={"note": "of the admin", "is_public": True}).json()["data"]
        refused = operator.put(f"{at}/{mine['id']}", json={"note": "taken over"})
        assert refused.status_code == 404
        assert refused.json()["error"] == "Note not found or not owned by user"
        changed = operator.put(f"{at}/{note['id']}", json={"note": "again", "is_public": True})
        assert changed.json()["data"]["note"] == "again"
        gone = mail.http.delete(f"{at}/{hidden['id']}")
        assert gone.json()["data"] == {"message": "Note deleted successfully"}
        assert operator.post(at, json={"note": " "}).status_code == 400
        assert operator.delete(f"{at}/x").status_code == 400
    unknown = mail.http.post(f"{AT}/1xUNcV-0005ay-0d/notes", json={"note": "x"})
    assert unknown.status_code == 404


def test_tags_are_put_on_once_and_counted(mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    at, word = f"{AT}/{message_id}/tags", f"spam-{secrets.token_hex(4)}"

    tag = mail.http.post(at, json={"tag": f" {word} ", "color": "#cc3300"}).json()["data"]

    assert (tag["tag"], tag["color"]) == (word, "#cc3300")
    again = mail.http.post(at, json={"tag": word})
    assert again.status_code == 409
    assert again.json()["error"] == "Tag already exists for this message"
    assert mail.http.post(at, json={"tag": "x", "color": "red"}).status_code == 400
    assert mail.http.get(at).json()["data"]["tags"] == [tag]
    popular = data(mail, "/api/v1/tags/popular", limit=100)["tags"]
    assert {"tag": word, "count": 1} in popular
    gone = mail.http.delete(f"{at}/{tag['id']}").json()["data"]
    assert gone == {"message": "Tag deleted successfully"}
    assert mail.http.delete(f"{at}/{tag['id']}").status_code == 404
