"""Socket.IO on a started API, through the official JavaScript client."""

from typing import Any

import pytest

from tests.live.clients import OpenJs
from tests.live.conftest import KEY, Live, StartLive, told

NAMES = ("enqueue", "dequeue", "ack", "nack", "expire", "dead")


@pytest.mark.parametrize(
    ("options", "transports"),
    [
        ({}, {"polling", "websocket"}),
        ({"transports": ["websocket"]}, {"websocket"}),
        ({"transports": ["polling"]}, {"polling"}),
    ],
)
def test_official_client_hears_what_happens(
    live: Live, open_js: OpenJs, options: dict[str, Any], transports: set[str]
) -> None:
    client = open_js(f"{live.url}/messages", **options)
    recovered, transport = client.next("connect")
    first = client.next("event")
    [message_id] = live.enqueue(type="a", priority=4)

    assert recovered is False
    assert transport in transports
    assert told(first)[0] == "metrics"
    assert told(client.next_event(*NAMES)) == (
        "enqueue",
        {"id": message_id, "type": "a", "priority": 4},
    )


def test_default_client_upgrades_and_misses_nothing_meanwhile(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages")
    client.next("connect", "upgrade")
    ids = [message_id for _ in range(20) for message_id in live.enqueue()]

    assert [client.next_event("enqueue")[1]["id"] for _ in ids] == ids


def test_metrics_come_again(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])

    first, second = client.next_event("metrics"), client.next_event("metrics")

    assert len(first) == 3  # with the offset that the initial state stands for
    assert len(second) == 2
    assert {"queued", "processing", "acknowledged", "dead", "archived", "total"} == set(second[1])


def test_events_of_one_commit_keep_their_order(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])
    client.next("connect")
    ids = live.enqueue(1_000)

    events = [client.next_event("enqueue") for _ in ids]

    assert [event[1]["id"] for event in events] == ids
    assert len({event[2] for event in events}) == 1_000


@pytest.mark.parametrize(
    "options",
    [
        {"auth": {"token": KEY}},
        {"auth": {"api_key": KEY}},
        {"extraHeaders": {"X-API-KEY": KEY}},
        {"extraHeaders": {"Authorization": f"Bearer {KEY}"}},
        {"query": {"token": KEY}},
    ],
)
def test_key_is_taken_wherever_a_client_can_put_it(
    keyed: Live, open_js: OpenJs, options: dict[str, Any]
) -> None:
    client = open_js(f"{keyed.url}/messages", **options)

    assert client.next("connect", "connect_error")[0] == "connect"


@pytest.mark.parametrize("auth", [{}, {"token": "wrong"}, {"api_key": "wrong"}, {"token": 7}])
def test_refusal_is_told_with_its_reason(
    keyed: Live, open_js: OpenJs, auth: dict[str, Any]
) -> None:
    client = open_js(f"{keyed.url}/messages", auth=auth)

    assert client.next("connect", "connect_error") == [
        "connect_error",
        "Invalid or missing API key",
        {"code": "invalid_key"},
    ]


def test_unknown_namespace_is_refused(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/nowhere")

    assert client.next("connect_error")[0] == "no namespace /nowhere"


def test_page_of_another_site_is_refused(keyed: Live, open_js: OpenJs) -> None:
    welcome = open_js(
        f"{keyed.url}/messages",
        auth={"token": KEY},
        extraHeaders={"Origin": "https://pages.example"},
    )
    foreign = open_js(
        f"{keyed.url}/messages",
        auth={"token": KEY},
        extraHeaders={"Origin": "https://elsewhere.example"},
    )

    assert welcome.next("connect", "connect_error")[0] == "connect"
    assert foreign.next("connect", "connect_error")[0] == "connect_error"


def test_subscribed_types_are_all_that_is_told(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])
    client.next("connect")
    client.do("emit", "subscribe", {"types": ["b"]})
    assert client.next("answer") == [{"types": ["b"]}]
    live.enqueue(type="a")
    [wanted] = live.enqueue(type="b")
    assert client.next_event("enqueue")[1]["id"] == wanted

    client.do("emit", "unsubscribe", None)
    client.next("answer")
    [other] = live.enqueue(type="a")
    assert client.next_event("enqueue")[1]["id"] == other


def test_strange_subscription_is_answered_with_the_reason(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])
    client.next("connect")
    client.do("emit", "subscribe", {"types": 7})

    assert client.next("answer")[0]["code"] == "invalid"


def test_lost_connection_is_recovered(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])
    client.next("connect")
    seen = live.enqueue(2)
    assert [client.next_event("enqueue")[1]["id"] for _ in seen] == seen
    client.do("lose")
    client.next("disconnect")
    missed = live.enqueue(3)

    assert client.next("connect")[0] is True
    later = live.enqueue()
    events = [client.next("event") for _ in missed + later]  # and no initial state before them
    assert [event[1]["id"] for event in events] == missed + later


def test_recovered_connection_is_where_it_was(live: Live, open_js: OpenJs) -> None:
    client = open_js(f"{live.url}/messages", transports=["websocket"])
    client.next("connect")
    client.do("emit", "subscribe", {"types": ["b"]})
    client.next("answer")
    live.enqueue(type="b")
    client.next_event("enqueue")
    client.do("lose")
    client.next("disconnect")
    live.enqueue(type="a")
    [missed] = live.enqueue(type="b")

    assert client.next("connect")[0] is True
    live.enqueue(type="a")
    [later] = live.enqueue(type="b")
    assert [client.next_event("enqueue")[1]["id"] for _ in range(2)] == [missed, later]


def test_offset_alone_catches_up_another_client(live: Live, open_js: OpenJs) -> None:
    first = open_js(f"{live.url}/messages", transports=["websocket"])
    first.next("connect")
    live.enqueue()
    offset = first.next_event("enqueue")[2]
    missed = live.enqueue(2)

    second = open_js(f"{live.url}/messages", transports=["websocket"], auth={"offset": offset})

    second.next("connect")
    assert [second.next("event")[1]["id"] for _ in missed] == missed


@pytest.mark.parametrize("offset", ["1-0.0", "9999999999999-0.0", "yesterday", "1", 7])
def test_offset_that_helps_nothing_gets_the_initial_state(
    live: Live, open_js: OpenJs, offset: Any
) -> None:
    live.enqueue()
    client = open_js(
        f"{live.url}/messages", transports=["websocket"], auth={"offset": offset, "pid": "x"}
    )

    assert client.next("connect")[0] is False
    assert client.next("event")[0] == "metrics"


def test_too_much_to_replay_gets_the_initial_state(start_live: StartLive, open_js: OpenJs) -> None:
    live = start_live(SOCKET_REPLAY_MAX="10")
    first = open_js(f"{live.url}/messages", transports=["websocket"])
    first.next("connect")
    live.enqueue()
    offset = first.next_event("enqueue")[2]
    live.enqueue(11)

    second = open_js(f"{live.url}/messages", transports=["websocket"], auth={"offset": offset})

    second.next("connect")
    assert second.next("event")[0] == "metrics"
