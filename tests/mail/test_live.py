"""`/ws`: what happens to the mail is heard by who is logged in, in the frames of the original."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.mail.mail_system import MailSystem

TAIL = "/api/v1/logs/tail"
QUEUE = "/api/v1/queue"
PATIENCE_S = 40


@contextlib.contextmanager
def listening(mail: MailSystem, http: httpx.Client | None = None) -> Iterator[ClientConnection]:
    cookie = (http or mail.http).cookies["session_id"]
    address = mail.system.url.replace("http", "ws") + "/ws"
    with connect(address, additional_headers={"Cookie": f"session_id={cookie}"}) as client:
        yield client


def ask(client: ClientConnection, **said: Any) -> None:
    client.send(json.dumps(said))


def until(client: ClientConnection, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        frame: dict[str, Any] = json.loads(client.recv(timeout=PATIENCE_S))
        if is_it(frame):
            return frame


def of_type(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame["type"] == name


def of_action(action: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame["type"] == "queue_update" and frame["data"]["action"] == action


def test_a_client_is_answered(mail: MailSystem) -> None:
    with listening(mail) as client:
        ask(client, type="ping")
        assert until(client, of_type("pong"))["data"]["timestamp"].endswith("Z")

        ask(client, type="subscribe", endpoint=TAIL)
        done = {"endpoint": TAIL, "status": "success"}
        assert until(client, of_type("subscribed")) == {"type": "subscribed", "data": done}

        ask(client, type="unsubscribe", endpoint=TAIL)
        assert until(client, of_type("unsubscribed")) == {"type": "unsubscribed", "data": done}

        ask(client, type="dance")
        assert until(client, of_type("error"))["data"]["code"] == "unknown_type"

        client.send("no JSON")
        with pytest.raises(ConnectionClosed):
            until(client, lambda _frame: False)
        assert client.close_code == 4400


def test_what_is_done_to_messages_is_heard(mail: MailSystem) -> None:
    message_id = mail.exim.submit("slow@far.test")
    mail.wait_for(message_id)
    with listening(mail) as client:
        ask(client, type="subscribe", endpoint=QUEUE)
        until(client, of_type("subscribed"))

        body = {"message_id": message_id}
        mail.http.post(f"{QUEUE}/actions/freeze", json=body).raise_for_status()

        told = until(client, of_action("freeze"))
        assert told["data"]["message_id"] == message_id
        assert told["data"]["status"] == "success"
        once_more = until(client, lambda frame: frame.get("endpoint") == QUEUE)
        assert once_more["type"] == "queue_update"

        many = {"operation": "thaw", "message_ids": [message_id]}
        mail.http.post(f"{QUEUE}/bulk", json=many).raise_for_status()

        told = until(client, of_action("bulk_thaw"))
        assert told["data"]["message_ids"] == [message_id]
        assert told["data"]["result"]["successful_count"] == 1
        assert told["data"]["status"] == "completed"


def test_what_happens_on_the_host_is_heard_without_asking(mail: MailSystem) -> None:
    with listening(mail) as client:
        ask(client, type="subscribe", endpoint=TAIL)
        until(client, of_type("subscribed"))

        message_id = mail.exim.submit("tmp@far.test")

        def came(frame: dict[str, Any]) -> bool:
            return of_action("changed")(frame) and message_id in frame["data"]["message_ids"]

        def is_logged(frame: dict[str, Any]) -> bool:
            return (
                frame["type"] == "subscription_update"
                and frame["data"].get("message_id") == message_id
            )

        heard = set()
        while heard != {"came", "logged"}:
            frame = until(client, lambda frame: came(frame) or is_logged(frame))
            heard.add("came" if came(frame) else "logged")
            if is_logged(frame):
                assert frame["endpoint"] == TAIL
                assert frame["data"]["event"] == "arrival"


def test_viewers_may_listen_and_strangers_may_not(mail: MailSystem) -> None:
    with mail.as_user("viewer") as viewer, listening(mail, viewer) as client:
        ask(client, type="ping")
        until(client, of_type("pong"))

    address = mail.system.url.replace("http", "ws") + "/ws"
    with connect(address) as client:
        ask(client, type="subscribe", endpoint=TAIL)
        with pytest.raises(ConnectionClosed):
            until(client, lambda _frame: False)
        assert client.close_code == 4401

    cookie = {"Cookie": f"session_id={mail.http.cookies['session_id']}"}
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(address, additional_headers=cookie, origin="https://other.example"),  # type: ignore[arg-type]
    ):
        pass
    assert refused.value.response.status_code == 403
