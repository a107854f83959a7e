"""The mail contract over HTTP, against a real Exim that is watched by the real process."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mail.exim_server import EximServer
from tests.servers import RedisServer, System, wait_until

PASSWORD = "correct horse"


class MailSystem:
    """The processes of the product on one machine, with an Exim to look after."""

    def __init__(self, system: System, exim: EximServer) -> None:
        self.system = system
        self.exim = exim
        self.http = httpx.Client(base_url=system.url, timeout=20)
        login = {"username": "admin", "password": PASSWORD}
        self.http.post("/api/v1/auth/login", json=login).raise_for_status()

    def listed(self, **query: Any) -> dict[str, Any]:
        answer = self.http.get("/api/v1/queue", params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"] is True
        return dict(body)

    def ids(self, **query: Any) -> list[str]:
        return [each["id"] for each in self.listed(**query)["data"]["messages"]]

    def wait_for(self, *message_ids: str) -> None:
        """Wait until the list has these messages and no others."""
        wait_until(lambda: set(self.ids(per_page=100)) == set(message_ids), "the list is current")


@pytest.fixture(scope="module")
def running(
    backend: str,  # noqa: ARG001  # the database that all of this runs on
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    exim_server: EximServer,
) -> Iterator[MailSystem]:
    """API, worker and mail-watch, started once for each database."""
    with contextlib.ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(new_folder("r")))
        system = System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=redis_server.url,
            processes=("api", "worker"),
            settings={"ADMIN_PASSWORD": PASSWORD, "EXIM": " ".join(exim_server.command)},
        )
        system.__enter__()
        stack.push(system)
        system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
        made = MailSystem(system, exim_server)
        stack.callback(made.http.close)
        hosts = lambda: made.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]  # noqa: E731
        wait_until(hosts, "a host is known", process=system.running["mail-watch"])
        yield made


@pytest.fixture
def mail(running: MailSystem, exim: EximServer) -> MailSystem:
    """The running system, its queue empty."""
    running.wait_for()
    assert exim is running.exim
    return running


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
    assert mail.ids(age_min="1h") == mail.ids(status="no such") == mail.ids(host="mx9") == []
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
    "query", ["page=x", "sort_by=no", "order=up", "sendr=a", "age_min=soon", "size_min=-1"]
)
def test_what_cannot_be_meant_is_refused(mail: MailSystem, query: str) -> None:
    answer = mail.http.get(f"/api/v1/queue?{query}")

    assert answer.status_code == 400
    body = answer.json()
    assert body["success"] is False
    assert body["error"] == "Validation failed"
    assert body["data"][0]["field"] == query.partition("=")[0]


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
