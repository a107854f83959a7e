"""Visitors and consoles of rooms on a started API: what each is told, when, and how it ends."""

import json
import queue
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import jwt
import pytest
import socketio

from models.clock import now_ms
from models.database import Database
from models.tokens.issuer import Issuer
from tests.live.clients import PATIENCE_S, OpenJs, RawClient, raw
from tests.live.conftest import Live, StartLive
from tests.rooms.visitors import Hall, bearer, poll
from tests.servers import wait_until

SETTINGS = {"ROOM_ADMIN_PER_MINUTE_MAX": "100000", "SECRET_KEY": "a-key-of-messages"}
ADDRESSES = ["/ws/queues/{}", "/api/v1/ws/queues/{}"]


@pytest.fixture(scope="module")
def rooms(_start: Any) -> Iterator[Hall]:
    """Rooms on an API without workers, which tests share."""
    with ExitStack() as stack:
        live: Live = _start(stack, **SETTINGS)
        hall = Hall(live.system)
        stack.callback(hall.close)
        yield hall


def listen(hall: Hall, room: str, token: str) -> Any:
    """Connect a visitor."""
    return raw(hall.system.url, f"/ws/queues/{room}?token={token}")


def position(client: RawClient) -> int:
    """Return the next position that a visitor is told."""
    return int(client.next("position_update")["data"]["position"])


# Who comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
def test_first_frame_is_the_place(rooms: Hall, address: str) -> None:
    room = rooms.paused()
    rooms.join(room)
    token = rooms.join(room)["token"]

    with raw(rooms.system.url, address.format(room), additional_headers=bearer(token)) as client:
        first = client.next()

    assert first["type"] == "position_update"
    assert first["data"]["position"] == 2
    assert first["data"]["queue_length"] == 2
    told = {"position", "queue_length", "estimated_wait_seconds", "estimate", "queue_status"}
    assert set(first["data"]) == told
    assert first["data"]["queue_status"] == "paused"


def test_who_is_to_be_drawn_is_told_that_the_place_is_none_yet(rooms: Hall) -> None:
    room = rooms.make(draw=True, opens_at="2099-01-01T00:00:00Z")
    joined = rooms.join(room)

    with listen(rooms, room, joined["token"]) as client:
        told = client.next("position_update")["data"]

    assert (joined["drawn"], told["drawn"]) == (False, False)


def test_token_may_come_in_the_address_or_in_the_first_message(rooms: Hall) -> None:
    room = rooms.paused()
    token = rooms.join(room)["token"]

    with listen(rooms, room, token) as client:
        assert position(client) == 1
    # A page of another site may wait too, and its cookies mean nothing.
    headers = {"Origin": "https://shop.example", "Cookie": "session_id=nobody"}
    with raw(rooms.system.url, f"/ws/queues/{room}", additional_headers=headers) as client:
        client.say("auth", {"token": token})
        assert position(client) == 1


def test_who_is_refused_hears_why(rooms: Hall) -> None:
    room, other = rooms.paused(), rooms.paused()
    foreign = rooms.join(other)["token"]
    url = rooms.system.url

    def refusal(room_id: str, token: str | None) -> tuple[str, int | None]:
        with raw(url, f"/ws/queues/{room_id}") as client:
            client.say("auth", {} if token is None else {"token": token})
            return client.next("error")["data"]["code"], client.closed()

    assert refusal(room, None) == ("missing_token", 4401)
    assert refusal(room, "a.b.c") == ("invalid_token", 4401)
    assert refusal(room, foreign) == ("foreign_token", 4403)
    assert refusal("nowhere", foreign) == ("room_not_found", 4404)


async def test_token_that_is_over_is_said_and_is_no_fault(rooms: Hall, open_js: OpenJs) -> None:
    room = rooms.paused()
    shown = jwt.decode(rooms.join(room)["token"], options={"verify_signature": False})
    claims = {name: shown[name] for name in ("jti", "sub", "lane", "number")}
    database = Database(rooms.system.database_url, connections_max=1, timeout_s=10)
    issuer = Issuer(database, clock=now_ms)
    token = await issuer.issue("queue", claims, algorithm="RS256", life_ms=1_000)
    database.close()
    poll(lambda: rooms.status(room, token).status_code == 410, "the token is over")

    with listen(rooms, room, token) as client:
        assert client.next("expired")["data"] == {"reason": "token_expired"}
    official = open_js(f"{rooms.system.url}/rooms", auth={"queue_id": room, "token": token})
    assert official.next_event("expired")[1] == {"reason": "token_expired"}


# Places --------------------------------------------------------------------------------------


def test_everybody_behind_who_leaves_is_told(rooms: Hall) -> None:
    room = rooms.paused()
    tokens = [rooms.join(room)["token"] for _ in range(4)]
    with ExitStack() as stack:
        clients = [stack.enter_context(listen(rooms, room, token)) for token in tokens[1:]]
        assert [position(client) for client in clients] == [2, 3, 4]

        rooms.cancel(room, tokens[0])

        assert [position(client) for client in clients] == [1, 2, 3]


def test_who_goes_first_by_priority_moves_the_others_back(rooms: Hall) -> None:
    room = rooms.paused()
    with listen(rooms, room, rooms.join(room)["token"]) as client:
        assert position(client) == 1

        rooms.join(room, {"priority": 3})

        assert position(client) == 2


def test_change_of_the_room_is_told_though_nobody_moved(rooms: Hall) -> None:
    room = rooms.paused()
    with listen(rooms, room, rooms.join(room)["token"]) as client:
        assert client.next("position_update")["data"]["queue_status"] == "paused"

        rooms.set(room, status="maintenance")

        told = client.next("position_update")["data"]
        assert (told["queue_status"], told["position"]) == ("maintenance", 1)


def test_heartbeat_keeps_a_place_and_an_open_socket_does_not(rooms: Hall) -> None:
    room = rooms.paused(heartbeat_interval_seconds=1, heartbeat_timeout_seconds=5)
    silent, alive = (rooms.join(room)["token"] for _ in range(2))
    with listen(rooms, room, silent) as first, listen(rooms, room, alive) as second:
        assert (position(first), position(second)) == (1, 2)

        def is_over() -> dict[str, Any] | None:
            second.say("heartbeat", {"timestamp": 1704067260000})
            try:
                return dict(json.loads(first.connection.recv(timeout=0.3)))
            except TimeoutError:
                return None

        over = wait_until(is_over, "the silent one loses its place")

        assert over == {"type": "expired", "data": {"reason": "heartbeat_timeout"}}
        assert position(second) == 1


# The end -------------------------------------------------------------------------------------


def test_admitted_are_told_with_a_session_that_has_begun(rooms: Hall) -> None:
    room = rooms.paused(target_url="https://example.com/checkout")
    tokens = [rooms.join(room)["token"] for _ in range(3)]
    with ExitStack() as stack:
        clients = [stack.enter_context(listen(rooms, room, token)) for token in tokens]
        assert [position(client) for client in clients] == [1, 2, 3]

        rooms.set(room, status="active")
        told = [client.next("admitted")["data"] for client in clients]

    assert {data["redirect_url"] for data in told} == {"https://example.com/checkout"}
    status = rooms.status(room, tokens[0]).json()
    assert status["session_token"] == told[0]["session_token"]
    assert len({data["session_token"] for data in told}) == 3
    stats = rooms.http.get(f"/admin/queues/{room}/stats", headers=rooms.admin).json()
    assert stats["current_active"] == 3


def test_who_comes_after_the_turn_came_is_told_at_once(rooms: Hall) -> None:
    room = rooms.paused()
    token = rooms.join(room)["token"]
    rooms.set(room, status="active")
    rooms.admitted(room, token)

    with listen(rooms, room, token) as client:
        assert client.next()["type"] == "admitted"


@pytest.mark.parametrize("is_there", [True, False])
def test_who_gave_the_place_up_is_told(rooms: Hall, *, is_there: bool) -> None:
    room = rooms.paused()
    token = rooms.join(room)["token"]
    with ExitStack() as stack:
        if is_there:
            client = stack.enter_context(listen(rooms, room, token))
            position(client)
        rooms.cancel(room, token)
        if not is_there:
            client = stack.enter_context(listen(rooms, room, token))

        assert client.next("expired")["data"] == {"reason": "cancelled"}


def test_room_that_is_deleted_tells_who_waits(rooms: Hall) -> None:
    room = rooms.paused()
    with listen(rooms, room, rooms.join(room)["token"]) as client:
        position(client)

        rooms.http.delete(f"/admin/queues/{room}", headers=rooms.admin).raise_for_status()

        assert client.next("expired")["data"] == {"reason": "queue_deleted"}


def test_who_does_not_hang_up_after_the_last_word_is_put_out(rooms: Hall) -> None:
    room = rooms.make()
    with listen(rooms, room, rooms.join(room)["token"]) as client:
        client.next("admitted")

        assert client.closed() == 1000


def test_message_that_is_not_understood_changes_nothing(rooms: Hall) -> None:
    room = rooms.paused()
    with listen(rooms, room, rooms.join(room)["token"]) as client:
        client.say("subscribe", {})
        assert client.next("error")["data"]["code"] == "unknown_type"
        client.say("ping", {"n": 1})
        assert client.next("pong")["data"] == {"n": 1}


# The store away, the server stopped ----------------------------------------------------------


def test_sockets_outlive_the_store_and_go_on_after(start_live: StartLive) -> None:
    live = start_live(**SETTINGS)
    hall = Hall(live.system)
    room = hall.paused(heartbeat_timeout_seconds=600)
    tokens = [hall.join(room)["token"] for _ in range(3)]
    server = live.system.redis_server.process
    with listen(hall, room, tokens[2]) as waiting:
        assert position(waiting) == 3
        server.freeze()
        waiting.say("heartbeat", {})
        error = waiting.next()
        wait_until(lambda: hall.status(room, tokens[1]).status_code == 503, "the store is missed")
        with listen(hall, room, tokens[1]) as newcomer:
            # Who answers has let the visitor in, and says nothing that nobody knows.
            newcomer.say("ping", {})
            first = newcomer.next()

            server.thaw()
            second = newcomer.next()
            cancelled = lambda: hall.cancel(room, tokens[0]).is_success  # noqa: E731
            wait_until(cancelled, "the first one leaves")

            assert (position(newcomer), position(waiting)) == (1, 2)
    hall.close()
    assert (error["type"], error["data"]["code"]) == ("error", "unavailable")
    assert first["type"] == "pong"
    assert (second["type"], second["data"]["position"]) == ("position_update", 2)


def test_stop_tells_visitors_to_come_back(start_live: StartLive) -> None:
    live = start_live(**SETTINGS)
    hall = Hall(live.system)
    room = hall.paused()
    with listen(hall, room, hall.join(room)["token"]) as client:
        position(client)
        live.system.running["api"].send_signal(signal.SIGTERM)

        assert client.closed() == 1012
    hall.close()


# Socket.IO -----------------------------------------------------------------------------------


def test_official_client_waits(rooms: Hall, open_js: OpenJs) -> None:
    room = rooms.paused()
    first, second = (rooms.join(room)["token"] for _ in range(2))
    client = open_js(f"{rooms.system.url}/rooms", auth={"queue_id": room, "token": second})

    assert client.next_event("position_update")[1]["position"] == 2
    client.do("emit", "heartbeat", {"timestamp": 1})
    assert client.next("answer") == [{"position": 2}]
    rooms.cancel(room, first)
    assert client.next_event("position_update")[1]["position"] == 1
    rooms.set(room, status="active")
    _, data = client.next_event("admitted")
    assert data["redirect_url"] == "https://example.com/checkout"
    assert data["session_token"].count(".") == 2


def test_official_client_hears_of_the_refusal(rooms: Hall, open_js: OpenJs) -> None:
    client = open_js(f"{rooms.system.url}/rooms", auth={"queue_id": rooms.paused(), "token": "a"})
    _, data = client.next("connect_error")
    nobody = open_js(f"{rooms.system.url}/rooms")

    assert data == {"code": "invalid_token"}
    assert nobody.next("connect_error")[1] == {"code": "not_signed_in"}


@pytest.fixture(scope="module")
def key(rooms: Hall) -> str:
    """A key that opens rooms."""
    body = {"name": "console", "scope": "rooms"}
    answer = rooms.http.post("/auth/keys", json=body, headers=rooms.admin)
    return str(answer.raise_for_status().json()["data"]["key"])


def console(rooms: Hall, key: str, stack: ExitStack, **auth: Any) -> "queue.Queue[Any]":
    """Connect the official Python client as staff; return what it hears."""
    heard: queue.Queue[Any] = queue.Queue()
    client = socketio.Client()
    client.on("*", lambda name, *args: heard.put((name, *args)), namespace="/rooms")
    stack.callback(client.disconnect)
    auth = {"api_key": key, **auth}
    client.connect(rooms.system.url, namespaces=["/rooms"], auth=auth, wait_timeout=PATIENCE_S)
    return heard


def next_of(heard: "queue.Queue[Any]", start: str) -> Any:
    """Return the data of the next event whose name begins so."""
    while not (event := heard.get(timeout=PATIENCE_S))[0].startswith(start):
        pass
    return event[1]


def test_console_sees_all_rooms_and_what_happens_in_them(rooms: Hall, key: str) -> None:
    room = rooms.paused(name="Sale")
    rooms.join(room)
    with ExitStack() as stack:
        heard = console(rooms, key, stack)
        [seen] = [each for each in next_of(heard, "queues")["queues"] if each["queue_id"] == room]
        rooms.join(room)
        joined = next_of(heard, "waitingroom.position.enqueued.v1")

        assert seen == {
            "queue_id": room,
            "name": "Sale",
            "status": "paused",
            "current_waiting": 1,
            "current_active": 0,
        }
        assert joined["queue_id"] == room


def test_console_may_follow_some_rooms_only(rooms: Hall, key: str) -> None:
    followed, other = rooms.paused(), rooms.paused()
    with ExitStack() as stack:
        heard = console(rooms, key, stack, queues=[followed])
        next_of(heard, "queues")
        rooms.join(other)
        rooms.join(followed)

        assert next_of(heard, "waitingroom.position")["queue_id"] == followed


def test_visitor_hears_nothing_of_others(rooms: Hall, open_js: OpenJs) -> None:
    room = rooms.paused()
    first, second = (rooms.join(room)["token"] for _ in range(2))
    client = open_js(f"{rooms.system.url}/rooms", auth={"queue_id": room, "token": second})
    client.next_event("position_update")

    rooms.join(room)
    rooms.cancel(room, first)
    client.do("emit", "subscribe", {"queues": [room]})

    # What is told comes in order, so nothing of the stream came before these.
    heard = [client.next("event", "answer") for _ in range(2)]
    assert sorted(str(what[1]) for what in heard if what[0] == "event") == ["position_update"]
    assert [what[1]["code"] for what in heard if what[0] == "answer"] == ["not_for_this_client"]
