"""Texts that are no ids, addresses and filters, at everything over HTTP that takes one."""

import contextlib
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mail.attacks import (
    FILTER_TEXTS,
    LONG,
    NO_ADDRESSES,
    NO_IDS,
    ODD_ADDRESSES,
    RecordedExim,
    some,
)
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.mail.mail_system import PASSWORD, MailSystem
from tests.servers import RedisServer, System, wait_until

# Where the database sees nothing of it.
# Below these everything is mail's.
ROOTS = (
    "/api/v1/queue",
    "/api/v1/messages",
    "/api/v1/logs",
    "/api/v1/reports",
    "/api/v1/dashboard",
)
ACTIONS = ("deliver", "freeze", "thaw", "bounce")


class Attacked(MailSystem):
    """The processes of the product; every word said to Exim is noted."""

    recorded: RecordedExim

    def described(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return method, path and description of all that mail answers."""
        paths = self.http.get("/api/doc").json()["paths"]
        return [
            (method.upper(), path, told)
            for path, methods in paths.items()
            for method, told in methods.items()
            if path.startswith(ROOTS) and not path.startswith("/api/v1/queues")
        ]


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str], new_folder: Callable[[str], Path]
) -> Iterator[Attacked]:
    """API, worker and mail-watch, which runs Exim through a script that notes its arguments."""
    require_exim()
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Sink())
        exim = EximServer(new_folder("e"), sink_port=sink.port)
        recorded = RecordedExim(new_folder("x"), exim)
        redis_server = stack.enter_context(RedisServer(new_folder("r")))
        system = System(
            new_folder("y"),
            database_url=new_database_url(),
            redis_url=redis_server.url,
            processes=("api", "worker"),
            settings={"ADMIN_PASSWORD": PASSWORD, "EXIM": recorded.command, "MAIL_ANSWER_S": "5"},
        )
        stack.enter_context(system)
        system.start("mail-watch", command=("api.cli", "mail-watch", "--host", "mx1"))
        made = Attacked(system, exim, sink)
        stack.callback(made.http.close)
        made.recorded = recorded
        watch = system.running["mail-watch"]
        wait_until(made.is_alive, "a host is known", process=watch)
        yield made


@pytest.fixture
def mail(running: Attacked) -> Iterator[Attacked]:
    """The system with an empty queue; Exim was told nothing strange afterwards."""
    running.exim.empty()
    running.wait_for()
    yield running
    assert running.recorded.strange() == set()


def path_with(path: str, text: str) -> str:
    """Put a text into the place of a path's message id."""
    return path.replace("{message_id}", urllib.parse.quote(text, safe=""))


def example_of(told: dict[str, Any]) -> Any:
    """Return a body that the reference shows, if there is one to send."""
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    return content.get("example")


@pytest.mark.on_sqlite
@pytest.mark.parametrize("text", some(NO_IDS))
def test_what_is_no_id_is_refused_by_everything_that_takes_one(mail: Attacked, text: str) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    before, acted = mail.exim.spool_state(), mail.recorded.actions()
    takers = [each for each in mail.described() if "{message_id}" in each[1]]
    assert len(takers) >= 20

    for method, path, told in takers:
        at = path_with(path, text).replace("{recipient}", "u@defer.test")
        at = at.replace("{note_id}", "1").replace("{tag_id}", "1")
        answer = mail.http.request(method, at, json=example_of(told))

        assert answer.status_code in {400, 404}, (method, at, answer.text)
        assert answer.json()["success"] is False
        assert "{" not in at
    assert (mail.exim.spool_state(), mail.recorded.actions()) == (before, acted)


@pytest.mark.on_sqlite
@pytest.mark.parametrize("text", some(NO_IDS))
def test_one_bad_id_in_a_body_refuses_the_whole_and_is_named(mail: Attacked, text: str) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    before, acted = mail.exim.spool_state(), mail.recorded.actions()
    many = {"message_ids": [message_id, text]}
    bulk = [{"operation": each, **many} for each in (*ACTIONS, "delete")]

    answers = {
        **{f"{each} one": post(mail, f"actions/{each}", {"message_id": text}) for each in ACTIONS},
        **{f"{each} many": post(mail, f"actions/{each}", many) for each in ACTIONS},
        **{f"bulk {each['operation']}": post(mail, "bulk", each) for each in bulk},
        "delete one": mail.http.request("DELETE", "/api/v1/queue", json={"message_id": text}),
        "delete many": mail.http.request("DELETE", "/api/v1/queue", json=many),
    }

    for name, answer in answers.items():
        assert answer.status_code == 400, (name, answer.text)
        fields = [each["field"] for each in answer.json()["data"]]
        assert fields in (["message_id"], ["message_ids[1]"]), name
    assert (mail.exim.spool_state(), mail.recorded.actions()) == (before, acted)


def post(mail: Attacked, path: str, body: dict[str, Any]) -> httpx.Response:
    return mail.http.post(f"/api/v1/queue/{path}", json=body)


@pytest.mark.on_sqlite
@pytest.mark.parametrize("text", some(NO_ADDRESSES))
def test_what_is_not_one_address_changes_nothing(mail: Attacked, text: str) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    before, acted = mail.exim.spool_state(), mail.recorded.actions()
    at = f"/api/v1/queue/{message_id}"

    answers = [
        mail.http.post(f"{at}/recipients", json={"addresses": ["ok@defer.test", text]}),
        mail.http.request("DELETE", f"{at}/recipients", json={"addresses": ["u@defer.test", text]}),
        mail.http.put(f"{at}/sender", json={"sender": text}),
    ]

    assert [each.status_code for each in answers] == [400] * 3
    named = [each.json()["data"][0]["field"] for each in answers]
    assert named == ["addresses[1]", "addresses[1]", "sender"]
    assert (mail.exim.spool_state(), mail.recorded.actions()) == (before, acted)


@pytest.mark.on_sqlite
@pytest.mark.parametrize("address", ODD_ADDRESSES)
def test_odd_address_is_a_mailbox_and_nothing_that_is_done(mail: Attacked, address: str) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    at = f"/api/v1/queue/{message_id}"

    added = mail.http.post(f"{at}/recipients", json={"addresses": [address]})
    changed = mail.http.put(f"{at}/sender", json={"sender": address})
    mail.http.post(f"{at}/deliver").raise_for_status()
    wait_until(lambda: mail.listed(status="deferred")["meta"]["total"] == 1, "it was tried")

    # Exim takes it to the letter, or refuses it in its own words; it is never anything else.
    [listed] = mail.listed()["data"]["messages"]
    assert {added.status_code, changed.status_code} <= {200, 400}, (added.text, changed.text)
    told = [address] if added.status_code == 200 else []
    assert listed["recipients"] == ["u@defer.test", *told]
    assert listed["sender"] == (address if changed.status_code == 200 else "a@x.test")


@pytest.mark.parametrize("text", some([*FILTER_TEXTS, LONG]))
def test_text_in_a_filter_is_found_to_the_letter_or_refused(mail: Attacked, text: str) -> None:
    message_id = mail.exim.submit("u@defer.test", sender="sender@x.test", subject="plain")
    mail.wait_for(message_id)
    lists = [each for each in mail.described() if each[0] == "GET" and "{" not in each[1]]
    asked = 0

    for _, path, told in lists:
        for parameter in told.get("parameters", ()):
            answer = mail.http.get(path, params={parameter["name"]: text})
            asked += 1

            assert answer.status_code in {200, 400}, (path, parameter["name"], answer.text)
    assert asked > 100
    criteria = {"sender": text, "recipient": text, "subject": text, "host": text}
    for name, value in criteria.items():
        is_in = text in {".", "@"}
        found = post(mail, "search", {"criteria": {name: value}})
        assert found.status_code == 200
        assert found.json()["meta"]["total"] == int(is_in), name
        seen = post(mail, "matching", {"operation": "delete", "criteria": {name: value}})
        assert seen.json()["data"]["count"] == int(is_in), name
    assert mail.exim.message_ids() == {message_id}


@pytest.mark.on_sqlite
@pytest.mark.parametrize("text", some([*NO_IDS.values(), "mx1/../mx2", "mx1,mx2", "*"]))
def test_no_host_but_the_one_of_that_name_is_meant(mail: Attacked, text: str) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    acted = mail.recorded.actions()

    answers = [
        post(mail, "actions/freeze", {"message_id": message_id, "host": text}),
        mail.http.post(f"/api/v1/queue/{message_id}/freeze", params={"host": text}),
        mail.http.get(f"/api/v1/messages/{message_id}/content", params={"host": text}),
        mail.http.delete(f"/api/v1/queue/hosts/{urllib.parse.quote(text, safe='')}"),
    ]

    assert {each.status_code for each in answers} <= {400, 404}
    assert mail.recorded.actions() == acted


def test_notes_and_tags_are_kept_to_the_letter(mail: Attacked) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    at = f"/api/v1/messages/{message_id}"
    texts = [f"a{text}b" for text in FILTER_TEXTS]

    for text in texts:
        mail.http.post(f"{at}/notes", json={"note": text}).raise_for_status()
        mail.http.post(f"{at}/tags", json={"tag": text})  # "a\nb" and "a\0b" are one

    notes = mail.http.get(f"{at}/notes").json()["data"]["notes"]
    tags = mail.http.get(f"{at}/tags").json()["data"]["tags"]
    sign = "\N{REPLACEMENT CHARACTER}"
    assert {each["note"] for each in notes} == {text.replace("\0", sign) for text in texts}
    assert {each["tag"] for each in tags} == {
        " ".join(text.replace("\0", " ").split()) for text in texts
    }
