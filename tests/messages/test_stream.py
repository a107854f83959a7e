"""The streaming consumer over real WebSockets: what it is sent, what it settles, how it ends."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import StartSystem
from tests.live.clients import RawClient, raw
from tests.messages.test_contract import put, take
from tests.messages.test_events import waiting_consumers
from tests.servers import System, wait_until

# The service beneath is tried on both databases; what is tried here is the wire.
pytestmark = pytest.mark.on_sqlite


@pytest.fixture
def http(system: System, http: httpx.Client) -> Iterator[httpx.Client]:
    """A client of `system`; what closed consumers held is returned before the next test begins."""
    yield http
    wait_until(lambda: connections(system) == 0, "the consumers are over")


@contextlib.contextmanager
def stream(system: System, query: str = "") -> Iterator[RawClient]:
    with raw(system.url, f"/api/queue/stream?{query}") as client:
        assert client.next()["type"] == "connected"
        yield client


def connections(system: System) -> float:
    lines = httpx.get(f"{system.url}/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("stanchion_live_connections")]
    return float(line.split()[-1])


def drop(client: RawClient) -> None:
    """End a connection by an RST."""
    linger = b"\1\0\0\0\0\0\0\0"
    client.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.connection.socket.close()


def put_many(http: httpx.Client, count: int, **fields: Any) -> list[str]:
    body = {"messages": [{"payload": {"n": n}, **fields} for n in range(count)]}
    answer = http.post("/api/queue/batch", json=body)
    return [message["id"] for message in answer.json()["messages"]]


def receive(client: RawClient, count: int) -> list[dict[str, Any]]:
    """Return so many messages, in however many frames they come."""
    messages: list[dict[str, Any]] = []
    while len(messages) < count:
        messages += client.next("messages")["data"]
    return messages


def settle(client: RawClient, kind: str, items: list[Any], **ref: Any) -> list[dict[str, Any]]:
    client.send({"type": kind, "data": items, **ref})
    answer = client.next("outcomes")
    assert answer.get("ref") == ref.get("ref")
    return list(answer["data"])


def processing(http: httpx.Client) -> int:
    return int(http.get("/api/queue/metrics").json()["processing"])


def test_messages_come_as_they_are_put_in(system: System, http: httpx.Client) -> None:
    with stream(system, "consumer_id=c1&ack_timeout_seconds=77") as client:
        queued = put(http, type="a", priority=3, payload={"b": 1, "a": 2})

        [message] = receive(client, 1)

    assert message["id"] == queued["id"]
    assert (message["type"], message["priority"], message["status"]) == ("a", 3, "processing")
    assert list(message["payload"]) == ["b", "a"]
    begun, ends = (
        datetime.fromisoformat(message[name]) for name in ("dequeued_at", "locked_until")
    )
    assert (ends - begun).total_seconds() == 77


def test_message_has_the_fields_of_a_dequeue(system: System, http: httpx.Client) -> None:
    put_many(http, 2)
    with stream(system, "prefetch=1") as client:
        [streamed] = receive(client, 1)

        assert streamed.keys() == take(http).keys()


def test_type_is_chosen_in_the_address(system: System, http: httpx.Client) -> None:
    with stream(system, "type=b") as client:
        put(http, type="a")
        wanted = put(http, type="b")

        assert receive(client, 1)[0]["id"] == wanted["id"]


def test_queue_is_chosen_in_the_address(system: System, http: httpx.Client) -> None:
    http.put("/api/queue/queues/mail", json={}).raise_for_status()
    put(http)
    wanted = put(http, queue="mail")
    with stream(system, "queue=mail") as client:
        [message] = receive(client, 1)
        put(http)
        later = put(http, queue="mail")

        assert message["id"] == wanted["id"]
        assert receive(client, 1)[0]["id"] == later["id"]
        assert settle(client, "ack", [{"id": message["id"]}])[0]["status"] == "acknowledged"


def test_queue_that_nobody_made_or_that_is_deleted_closes(
    system: System, http: httpx.Client
) -> None:
    http.put("/api/queue/queues/mail", json={}).raise_for_status()
    with stream(system, "queue=mial") as lost, stream(system, "queue=mail") as client:
        assert lost.next("error")["data"]["code"] == "QUEUE_NOT_FOUND"
        assert lost.closed() == 4404
        wait_until(lambda: waiting_consumers(http) == 1, "it waits")

        http.delete("/api/queue/queues/mail").raise_for_status()

        assert client.next("error")["data"]["code"] == "QUEUE_NOT_FOUND"
        assert client.closed() == 4404


def test_message_that_is_given_back_with_a_delay_comes_later(
    system: System, http: httpx.Client
) -> None:
    put(http)
    with stream(system) as client:
        [first] = receive(client, 1)

        [outcome] = settle(client, "nack", [{"id": first["id"], "delay_seconds": 1}])
        [again] = receive(client, 1)

        assert outcome["status"] == "delayed"
        assert (again["id"], again["attempt_count"]) == (first["id"], 2)
        taken, came = (datetime.fromisoformat(each["dequeued_at"]) for each in (first, again))
        assert (came - taken).total_seconds() >= 1


def test_no_more_than_prefetch_are_held(system: System, http: httpx.Client) -> None:
    ids = put_many(http, 10)
    with stream(system, "prefetch=4") as client:
        first = receive(client, 4)
        assert processing(http) == 4

        settle(client, "ack", [{"id": first[0]["id"]}])
        [fifth] = receive(client, 1)

        assert [message["id"] for message in (*first, fifth)] == ids[:5]
        assert processing(http) == 4


def test_many_are_settled_in_one_frame_each_for_itself(system: System, http: httpx.Client) -> None:
    put_many(http, 3, max_attempts=1)
    with stream(system) as client:
        one, two, three = receive(client, 3)

        outcomes = settle(
            client,
            "ack",
            [
                {"id": one["id"], "lock_token": one["lock_token"]},
                {"id": two["id"], "lock_token": "lt_wrong"},
                {"id": "msg_none"},
                {"id": "msg_7fffffffffffffff"},
            ],
            ref=7,
        )
        [nacked] = settle(client, "nack", [{"id": three["id"], "error": "no"}], ref="n")

        assert outcomes[0]["status"] == "acknowledged"
        assert outcomes[0]["acknowledged_at"].endswith("Z")
        assert [(each["status"], each.get("code")) for each in outcomes[1:]] == [
            ("refused", "LOCK_LOST"),
            ("refused", "NOT_FOUND"),
            ("refused", "LOCK_LOST"),
        ]
        assert nacked == {
            "id": three["id"],
            "status": "dead",
            "attempt_count": 1,
            "max_attempts": 1,
        }


def test_touch_moves_the_end_of_a_lease(system: System, http: httpx.Client) -> None:
    put(http, ack_timeout_seconds=5)
    with stream(system) as client:
        [message] = receive(client, 1)

        [outcome] = settle(client, "touch", [{"id": message["id"], "extend_seconds": 600}])

        assert outcome["status"] == "processing"
        assert outcome["locked_until"] > message["locked_until"]
        [refused] = settle(client, "touch", [{"id": message["id"], "extend_seconds": 99_999}])
        assert refused["code"] == "invalid"


def test_message_of_another_connection_is_settled_by_its_token(
    system: System, http: httpx.Client
) -> None:
    put(http)
    message = take(http)
    with stream(system) as client:
        held = {"id": message["id"], "lock_token": message["lock_token"]}

        assert settle(client, "ack", [held])[0]["status"] == "acknowledged"
        assert settle(client, "ack", [held])[0]["status"] == "acknowledged"  # a repeat


def test_pipelined_acks_are_each_answered(system: System, http: httpx.Client) -> None:
    ids = put_many(http, 300)
    acked: dict[int, str] = {}
    sent: dict[int, str] = {}
    with stream(system, "prefetch=50") as client:
        while len(acked) < len(ids):
            answer = client.next("messages", "outcomes")
            if answer["type"] == "messages":
                for message in answer["data"]:
                    sent[len(sent)] = message["id"]
                    client.send(
                        {"type": "ack", "data": [{"id": message["id"]}], "ref": len(sent) - 1}
                    )
            else:
                [outcome] = answer["data"]
                assert outcome["status"] == "acknowledged"
                acked[answer["ref"]] = outcome["id"]

    assert list(sent.values()) == ids
    assert acked == sent


def test_each_message_of_a_crowd_goes_to_one_consumer(system: System, http: httpx.Client) -> None:
    ids = put_many(http, 600)
    seen: list[str] = []

    def consume(client: RawClient) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                messages = client.next("messages")["data"]
                seen.extend(message["id"] for message in messages)
                client.send({"type": "ack", "data": [{"id": each["id"]} for each in messages]})

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(stream(system, "prefetch=20")) for _ in range(4)]
        consumers = [threading.Thread(target=consume, args=(client,)) for client in clients]
        for consumer in consumers:
            consumer.start()
        wait_until(
            lambda: http.get("/api/queue/metrics").json()["acknowledged"] == len(ids),
            "all are acknowledged",
        )
    for consumer in consumers:
        consumer.join()

    assert sorted(seen) == ids


# Leases that end ------------------------------------------------------------------------------


def test_lease_that_is_over_is_told_and_makes_room(system: System, http: httpx.Client) -> None:
    put(http)
    with stream(system, "prefetch=1&ack_timeout_seconds=1") as client:
        [first] = receive(client, 1)

        assert client.next("lapsed")["data"] == [{"id": first["id"]}]
        [again] = receive(client, 1)
        assert (again["id"], again["attempt_count"]) == (first["id"], 2)
        assert settle(client, "ack", [{"id": first["id"]}])[0]["status"] == "acknowledged"


@pytest.mark.parametrize("reset", [False, True])
def test_consumer_that_hung_up_gets_no_lease(
    system: System,
    http: httpx.Client,
    reset: bool,  # noqa: FBT001
) -> None:
    with stream(system) as client:
        wait_until(lambda: waiting_consumers(http) == 1, "it waits")
        if reset:  # no farewell: the peer finds out by an RST
            drop(client)
    put(http)

    assert take(http)["attempt_count"] == 1
    wait_until(lambda: waiting_consumers(http) == 0, "nobody waits")


def test_messages_in_hand_stay_leased_where_that_was_asked_for(
    system: System, http: httpx.Client
) -> None:
    put(http)
    with stream(system, "at_close=keep") as client:
        [message] = receive(client, 1)

    assert http.get("/api/queue/message", params={"timeout": 0}).status_code == 404
    held = {"id": message["id"], "lock_token": message["lock_token"]}
    assert http.post("/api/queue/ack", json=held).status_code == 200


@pytest.mark.parametrize("reset", [False, True])
def test_messages_in_hand_go_back_when_the_connection_ends(
    system: System,
    http: httpx.Client,
    reset: bool,  # noqa: FBT001
) -> None:
    queued = put(http, ack_timeout_seconds=3_600)
    spent = put(http, max_attempts=1)
    with stream(system) as client:
        receive(client, 2)
        if reset:
            drop(client)

    again = take(http)
    assert (again["id"], again["attempt_count"]) == (queued["id"], 2)
    wait_until(lambda: http.get("/api/queue/metrics").json()["dead"] == 1, f"{spent} is dead")


def test_slow_reader_gets_no_more_than_the_buffers_hold(system: System, http: httpx.Client) -> None:
    ids = [put(http, payload={"x": "x" * 500_000})["id"] for _ in range(40)]
    with bare(system, "prefetch=40") as connection:
        wait_until(lambda: processing(http) > 0, "some are sent")
        # What does not fit is given back after a while, as if it had never been leased.
        wait_until(lambda: processing(http) < 30, "the rest is given back")
        held = processing(http)
        others_are_served(system, http)
        rest = [take(http, timeout=0) for _ in range(len(ids) - held)]

        assert {message["attempt_count"] for message in rest} == {1}
        assert http.get("/api/queue/message", params={"timeout": 0}).status_code == 404
        connection.settimeout(20)
        assert len(connection.recv(65_536)) > 0


def others_are_served(system: System, http: httpx.Client) -> None:
    with stream(system, "type=other") as other:
        for _ in range(20):
            queued = put(http, type="other")
            [message] = receive(other, 1)
            assert message["id"] == queued["id"]
            settle(other, "ack", [{"id": message["id"]}])


@contextlib.contextmanager
def bare(system: System, query: str) -> Iterator[socket.socket]:
    """Open a stream over a socket that takes little and reads only what it is told to."""
    address = urlsplit(system.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        connection.connect((str(address.hostname), int(address.port or 0)))
        lines = (
            f"GET /api/queue/stream?{query} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
        )
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        yield connection


def test_stop_closes_with_1012_and_returns_what_was_not_settled(
    start_system: StartSystem,
) -> None:
    system = start_system("api")
    with httpx.Client(base_url=system.url, timeout=20) as http:
        ids = put_many(http, 4)
        with (
            stream(system, "prefetch=1&at_close=keep") as keeps,
            stream(system, "prefetch=2") as returns,
            stream(system, "type=none") as waits,
        ):
            first, *rest = (*receive(keeps, 1), *receive(returns, 2))

            assert system.running["api"].stop() == 0

            assert [client.closed() for client in (keeps, returns, waits)] == [1012] * 3
    system.start("api")
    system.wait_ready()
    with httpx.Client(base_url=system.url, timeout=20) as http:
        taken = [take(http) for _ in range(3)]
        token = {"id": first["id"], "lock_token": first["lock_token"]}

        assert [message["id"] for message in (first, *rest)] == ids[:3]
        assert [message["id"] for message in taken] == ids[1:]
        assert [message["attempt_count"] for message in taken] == [2, 2, 1]
        assert http.post("/api/queue/ack", json=token).status_code == 200


# What may be asked ----------------------------------------------------------------------------


def test_prefetch_may_be_changed(system: System, http: httpx.Client) -> None:
    ids = put_many(http, 3)
    with stream(system, "prefetch=0") as client:
        client.send({"type": "prefetch", "data": {"prefetch": 2}})
        assert client.next()["data"] == {"prefetch": 2}

        assert [message["id"] for message in receive(client, 2)] == ids[:2]
        assert processing(http) == 2


def test_smaller_prefetch_counts_at_once(system: System, http: httpx.Client) -> None:
    with stream(system, "prefetch=100") as client:
        wait_until(lambda: waiting_consumers(http) == 1, "it waits for a hundred")
        client.send({"type": "prefetch", "data": {"prefetch": 2}})
        assert client.next()["data"] == {"prefetch": 2}
        ids = put_many(http, 10)

        assert [message["id"] for message in receive(client, 2)] == ids[:2]
        client.send({"type": "ping"})
        assert client.next()["type"] == "pong"
        assert processing(http) == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("prefetch=1001", "prefetch"),
        ("prefetch=x", "prefetch"),
        ("prefetch=-1", "prefetch"),
        ("ack_timeout_seconds=99999", "ack_timeout_seconds"),
        ("at_close=dance", "at_close"),
        ("queue=a/b", "queue"),
        ("colour=red", "colour"),
        ("type=a&type=b", "type"),
    ],
)
def test_wrong_parameter_is_named_and_closed(
    system: System, http: httpx.Client, query: str, field: str
) -> None:
    assert http
    with raw(system.url, f"/api/queue/stream?{query}") as client:
        told = client.next("error")["data"]

        assert told["code"] == "invalid"
        assert list(told["details"]) == [field]
        assert client.closed() == 4400


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "ack", "data": [{"id": 1}]}, "data[0].id"),
        ({"type": "ack", "data": [{"id": "msg_1", "error": "x"}]}, "data[0].error"),
        ({"type": "nack", "data": {}}, "data"),
        ({"type": "touch", "data": [{"id": "m", "extend_seconds": 0}]}, "data[0].extend_seconds"),
        ({"type": "prefetch", "data": {}}, "data.prefetch"),
        ({"type": "dance", "data": {}}, "type"),
        ({"type": "ack"}, "data"),
    ],
)
def test_wrong_frame_is_named_and_changes_nothing(
    system: System, http: httpx.Client, frame: dict[str, Any], field: str
) -> None:
    assert http
    with stream(system) as client:
        client.send({**frame, "ref": 3} if frame["type"] in {"ack", "nack", "touch"} else frame)
        told = client.next("error")["data"]
        client.send({"type": "ping", "data": "still here"})

        assert list(told["details"]) == [field]
        assert client.next() == {"type": "pong", "data": "still here"}


@pytest.mark.parametrize("text", ["not json", "[1]", '"ack"'])
def test_what_is_no_frame_closes(system: System, http: httpx.Client, text: str) -> None:
    assert http
    with stream(system) as client:
        client.connection.send(text)

        assert client.closed() == 4400


def test_plain_request_is_told_that_this_is_a_websocket(http: httpx.Client) -> None:
    answer = http.get("/api/queue/stream", params={"prefetch": 5})

    assert answer.status_code == 426
    assert answer.headers["Upgrade"] == "websocket"
    assert http.get("/api/queue/stream", params={"colour": "red"}).json()["details"] == {
        "colour": "Unknown field"
    }
