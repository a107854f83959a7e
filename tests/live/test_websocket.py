"""Raw WebSockets on a started API: who is let in, what is told, and why a close comes."""

import contextlib
import json
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.live.clients import raw
from tests.live.conftest import KEY, Live, StartLive


def test_frames_carry_type_data_and_offset(live: Live) -> None:
    with raw(live.url) as client:
        assert client.next() == {"type": "connected", "data": {"recovered": False}}
        first = client.next()
        [message_id] = live.enqueue(type="a", priority=4)
        told = client.next("enqueue")

    assert first["type"] == "metrics"
    assert told["data"] == {"id": message_id, "type": "a", "priority": 4}
    assert told["offset"] > first["offset"]


def test_offset_catches_up(live: Live) -> None:
    with raw(live.url) as client:
        client.next("connected")
        ids = live.enqueue(3)
        offset = client.next("enqueue")["offset"]
    later = live.enqueue()

    with raw(live.url, f"/ws/messages?offset={offset}") as client:
        assert client.next() == {"type": "connected", "data": {"recovered": True}}
        assert [client.next()["data"]["id"] for _ in range(3)] == [*ids[1:], *later]


def test_ping_is_answered(live: Live) -> None:
    with raw(live.url) as client:
        client.say("ping", {"n": 1})

        assert client.next("pong")["data"] == {"n": 1}


def test_subscription_is_answered_and_kept(live: Live) -> None:
    with raw(live.url) as client:
        client.say("subscribe", {"types": ["b"]})
        assert client.next("subscribed")["data"] == {"types": ["b"]}
        live.enqueue(type="a")
        [wanted] = live.enqueue(type="b")

        assert client.next("enqueue")["data"]["id"] == wanted


def test_types_may_stand_in_the_address(live: Live) -> None:
    with raw(live.url, "/ws/messages?types=b,c") as client:
        client.next("connected")
        live.enqueue(type="a")
        [wanted] = live.enqueue(type="c")

        assert client.next("enqueue")["data"]["id"] == wanted


def test_message_without_a_handler_is_answered(live: Live) -> None:
    with raw(live.url) as client:
        client.say("dance")

        assert client.next("error")["data"]["code"] == "unknown_type"


# Who is let in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "auth"),
    [
        ("/ws/messages", {"X-API-KEY": KEY}, None),
        ("/ws/messages", {"Authorization": f"Bearer {KEY}"}, None),
        (f"/ws/messages?token={KEY}", {}, None),
        ("/ws/messages", {}, {"token": KEY}),
        ("/ws/messages", {}, {"api_key": KEY}),
    ],
)
def test_key_is_shown_in_a_header_the_address_or_a_message(
    keyed: Live, path: str, headers: dict[str, str], auth: dict[str, str] | None
) -> None:
    with raw(keyed.url, path, additional_headers=headers) as client:
        if auth is not None:
            client.say("auth", auth)

        assert client.next()["type"] == "connected"


def test_first_message_may_name_an_offset(keyed: Live) -> None:
    with raw(keyed.url, f"/ws/messages?token={KEY}") as client:
        client.next("connected")
        keyed.enqueue()
        offset = client.next("enqueue")["offset"]
    [missed] = keyed.enqueue()

    with raw(keyed.url) as client:
        client.say("auth", {"token": KEY, "offset": offset})
        assert client.next("connected")["data"] == {"recovered": True}
        assert client.next()["data"]["id"] == missed


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/ws/messages?token=wrong", None),
        ("/ws/messages", {"type": "auth", "data": {"token": "wrong"}}),
        ("/ws/messages", {"type": "auth", "data": "wrong"}),
        ("/ws/messages", {"type": "subscribe", "data": {}}),
    ],
)
def test_who_shows_no_right_key_is_told_and_closed(
    keyed: Live, path: str, first: dict[str, Any] | None
) -> None:
    with raw(keyed.url, path) as client:
        if first is not None:
            client.connection.send(json.dumps(first))

        assert client.next("error")["data"]["code"] == "invalid_key"
        assert client.closed() == 4401


def test_token_that_is_none_is_told_and_closed(keyed: Live) -> None:
    with raw(keyed.url, "/ws/messages?token=a.b.c") as client:
        assert client.next("error")["data"]["code"] == "invalid_token"
        assert client.closed() == 4401


def test_who_says_nothing_in_time_is_closed(keyed: Live) -> None:
    with raw(keyed.url) as client:
        assert client.closed() == 4408


def test_page_of_another_site_is_refused_before_it_is_a_socket(keyed: Live) -> None:
    with raw(keyed.url, f"/ws/messages?token={KEY}", origin="https://pages.example") as client:
        client.next("connected")
    with (
        pytest.raises(InvalidStatus) as refusal,
        raw(keyed.url, f"/ws/messages?token={KEY}", origin="https://elsewhere.example"),
    ):
        pass

    assert refusal.value.response.status_code == 403
    assert json.loads(refusal.value.response.body)["code"] == "foreign_origin"


@pytest.mark.parametrize("more", ["", "&sid="])
def test_foreign_name_of_an_open_server_is_refused(live: Live, more: str) -> None:
    answer = httpx.get(
        f"{live.url}/socket.io/?EIO=4&transport=polling{more}", headers={"Host": "rebound.example"}
    )

    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_host"


@pytest.mark.parametrize(
    "path",
    [
        *("/ws/messages", "/ws/messages?sid=1", "/api/queue/stream?sid=1"),
        "/socket.io/?EIO=4&transport=websocket&sid=",
    ],
)
def test_stranger_behind_a_proxy_of_an_open_server_is_refused(live: Live, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refusal,
        raw(live.url, path, additional_headers={"X-Forwarded-For": "203.0.113.7"}),
    ):
        pass

    assert json.loads(refusal.value.response.body)["code"] == "local_only"


def test_unknown_path_is_not_found(live: Live) -> None:
    with pytest.raises(InvalidStatus) as refusal, raw(live.url, "/ws/nothing"):
        pass

    assert refusal.value.response.status_code == 404
    assert json.loads(refusal.value.response.body)["code"] == "no_such_socket"


def test_no_more_than_so_many_are_let_in(start_live: StartLive) -> None:
    live = start_live(SOCKETS_MAX="1")
    with raw(live.url) as client:
        client.next("connected")
        with pytest.raises(InvalidStatus) as refusal, raw(live.url, "/ws/messages?sid=1"):
            pass
        polling = httpx.get(f"{live.url}/socket.io/?EIO=4&transport=polling")

    assert refusal.value.response.status_code == polling.status_code == 429
    assert int(refusal.value.response.headers["Retry-After"]) > 0


# What a client may not do ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"bytes", 1003),
        ("x" * 2_049, 1009),
        ("x" * 70_000, 1009),
        ("not json", 4400),
        ("[]", 4400),
        ('{"data": 1}', 4400),
        ("[" * 2_000, 4400),
    ],
)
def test_message_that_breaks_a_rule_closes(keyed: Live, message: str | bytes, code: int) -> None:
    with raw(keyed.url, f"/ws/messages?token={KEY}") as client:
        client.next("connected")
        client.connection.send(message)

        assert client.closed() == code


def test_client_that_talks_too_fast_is_closed(keyed: Live) -> None:
    with raw(keyed.url, f"/ws/messages?token={KEY}") as client:
        with contextlib.suppress(ConnectionClosed):  # it may be over before all are said
            for _ in range(50):
                client.say("ping")

        assert client.closed() == 1008
