"""The logs over HTTP: what a real Exim writes, read by the real process."""

import csv
import io
import secrets
from typing import Any

from tests.mail.mail_system import MailSystem
from tests.servers import wait_until

LOGS = "/api/v1/logs"


def data(mail: MailSystem, path: str, **query: Any) -> dict[str, Any]:
    answer = mail.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["success"] is True
    return dict(body["data"])


def events(mail: MailSystem, message_id: str) -> list[str]:
    answer = mail.http.get(f"{LOGS}/messages/{message_id}/history")
    return [each["event"] for each in answer.json().get("data", {}).get("history", [])]


def tried(mail: MailSystem, **of: Any) -> str:
    """Hand in a message of which one recipient is done, one deferred and one refused."""
    message_id = mail.exim.submit("ok@far.test", "tmp@far.test", "perm@far.test", **of)
    mail.exim.run("-M", message_id)
    wanted = {"arrival", "delivery", "defer", "bounce"}
    wait_until(lambda: wanted <= set(events(mail, message_id)), "the log is read")
    return message_id


def test_log_of_a_message_is_told_as_exim_wrote_it(mail: MailSystem) -> None:
    message_id = tried(mail, subject="Grüße for nobody@x.test")

    history = data(mail, f"{LOGS}/messages/{message_id}/history")["history"]

    arrival = history[0]
    assert arrival["event"] == "arrival"
    assert arrival["status"] == "received"
    assert arrival["log_type"] == "main"
    assert arrival["sender"] == "a@x.test"
    assert arrival["recipients"] == ["ok@far.test", "tmp@far.test", "perm@far.test"]
    assert arrival["size"] > 0
    assert arrival["mail_host"] == "mx1"
    assert message_id in arrival["raw_line"]
    by_event = {each["event"]: each for each in history}
    done, deferred, bounced = (by_event[name] for name in ("delivery", "defer", "bounce"))
    assert done["recipients"] == ["ok@far.test"]
    assert (done["host"], done["ip_address"]) == ("127.0.0.1", "127.0.0.1")
    assert done["sender"] == "a@x.test"
    assert deferred["recipients"] == ["tmp@far.test"]
    assert (deferred["error_code"], deferred["status"]) == ("451", "deferred")
    assert "mailbox busy" in deferred["error_text"]
    assert bounced["recipients"] == ["perm@far.test"]
    assert (bounced["error_code"], bounced["status"]) == ("550", "bounced")


def test_lists_searches_and_exports_find_the_same(mail: MailSystem) -> None:
    message_id = tried(mail, sender="s9@x.test")

    listed = mail.http.get(LOGS, params={"message_id": message_id, "sort_order": "asc"}).json()
    entries = listed["data"]["entries"]
    assert [each["event"] for each in entries] == events(mail, message_id)
    assert listed["meta"]["total"] == len(entries)
    assert listed["data"]["search_time"].endswith("ms")
    counts = listed["data"]["aggregations"]
    assert sum(counts["event_counts"].values()) == len(entries)
    assert counts["top_senders"][0]["sender"] == "s9@x.test"
    query = {"message_id": message_id, "event": "defer", "keyword": "MAILBOX", "per_page": 1}
    [found] = data(mail, LOGS, **query)["entries"]
    assert found["event"] == "defer"
    assert data(mail, LOGS, status="deferred", message_id=message_id)["entries"] == [found]
    assert data(mail, LOGS, log_type="panic")["entries"] == []
    criteria = {"message_id": message_id, "events": ["defer"], "keywords": ["mailbox"]}
    searched = mail.http.post(f"{LOGS}/search", json={"criteria": criteria, "page": 1}).json()
    assert searched["data"]["entries"] == [found]
    assert searched["data"]["criteria"] == criteria

    exported = data(mail, f"{LOGS}/export", message_id=message_id)
    assert exported["entries"] == entries
    assert exported["total_count"] == len(entries)
    answer = mail.http.get(f"{LOGS}/export", params={"message_id": message_id, "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["event"] for row in rows] == events(mail, message_id)
    text = mail.http.get(f"{LOGS}/export", params={"message_id": message_id, "format": "txt"}).text
    assert text.splitlines() == [each["raw_line"] for each in entries]


def test_a_kind_of_line_that_there_is_not_is_refused(mail: MailSystem) -> None:
    slips = [mail.http.get(LOGS, params={each: "defr"}) for each in ("event", "status")]
    slips.append(mail.http.post(f"{LOGS}/search", json={"criteria": {"events": ["defr"]}}))

    assert [each.status_code for each in slips] == [400, 400, 400]
    faults = [each.json()["data"][0] for each in slips]
    assert [each["field"] for each in faults] == ["event", "status", "events"]
    assert "`defer`" in faults[0]["message"]


def test_tail_follows_on(mail: MailSystem) -> None:
    first = tried(mail)
    last_id = data(mail, f"{LOGS}/tail")["last_id"]
    assert data(mail, f"{LOGS}/tail", after=last_id, message_id=first)["entries"] == []

    mail.exim.run("-Mf", first)

    def behind() -> Any:
        return data(mail, f"{LOGS}/tail", after=last_id, message_id=first)["entries"]

    [entry] = wait_until(behind, "the log is read on")
    assert (entry["event"], entry["status"]) == ("freeze", "frozen")


def test_numbers_similar_messages_and_the_state_of_reading(mail: MailSystem) -> None:
    twin = f"twin{secrets.token_hex(4)}@x.test"
    first, second = tried(mail, sender=twin), tried(mail, sender=twin)

    similar = data(mail, f"{LOGS}/messages/{first}/similar")
    assert [each["message_id"] for each in similar["similar_messages"]] == [second]
    assert similar["count"] == 1
    numbers = data(mail, f"{LOGS}/statistics")
    assert numbers["by_event"]["arrival"] >= 2
    assert numbers["total_entries"] == sum(numbers["by_event"].values())
    status = data(mail, f"{LOGS}/service/status")
    assert status["running"] is True
    [host] = status["hosts"]
    assert (host["host"], host["error"]) == ("mx1", "")
    assert host["path"] == str(mail.exim.logs / "mainlog")
    body = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"}
    done = mail.http.post(f"{LOGS}/correlation/trigger", json=body)
    assert done.status_code == 200, done.text
    assert done.json()["data"]["message"] == "Correlation triggered successfully"


def test_wrong_questions_are_refused_in_the_form_of_the_contract(mail: MailSystem) -> None:
    for path, query in (
        (LOGS, {"page": "x"}),
        (LOGS, {"start_time": "yesterday"}),
        (LOGS, {"colour": "red"}),
        (f"{LOGS}/export", {"format": "pdf"}),
        (f"{LOGS}/statistics", {"start_time": "2026-02-01", "end_time": "2026-01-01"}),
        (f"{LOGS}/messages/-C/history", {}),
    ):
        answer = mail.http.get(path, params=query)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["success"] is False
    assert mail.http.get(f"{LOGS}/messages/1a2b3c4d/history").status_code == 404
    assert mail.http.get(f"{LOGS}/messages/1xUNcV-0005ay-0d/history").status_code == 404
