"""What the contract says of visitors: every endpoint, field, status and code, over HTTP."""

import re
import uuid
from datetime import datetime
from typing import Any

import httpx
import jwt
import pytest

from tests.rooms.visitors import Hall, bearer, poll
from tests.servers import wait_until

# What takes seconds and does not ask SQL.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LIMITS = {
    "enqueue": ("POST", "10"),
    "status": ("GET", "60"),
    "heartbeat": ("POST", "30"),
    "position": ("DELETE", "120"),
}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal, whose form is checked."""
    body = answer.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert isinstance(body["error"]["details"], dict)
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return answer.status_code, body["error"]["code"]


def test_enqueue_gives_a_place(hall: Hall) -> None:
    room = hall.paused()

    answer = hall.enqueue(
        room, {"priority": 0, "metadata": {"user_id": "user-123", "campaign": "summer-sale"}}
    )

    assert answer.status_code == 201
    body = answer.json()
    assert body.pop("token").count(".") == 2
    assert str(uuid.UUID(body["position_id"])) == body.pop("position_id")
    assert MOMENT.fullmatch(body.pop("expires_at"))
    assert isinstance(body.pop("estimated_wait_seconds"), int | None)
    assert set(body.pop("estimate", {})) <= {"low_seconds", "high_seconds"}
    assert body == {
        "queue_id": room,
        "position": 1,
        "queue_length": 1,
        "status": "waiting",
        "heartbeat_interval_seconds": 10,
        "heartbeat_timeout_seconds": 60,
    }


def test_position_counts_from_the_head_and_the_length_includes_the_caller(hall: Hall) -> None:
    room = hall.paused()

    joined = [hall.join(room) for _ in range(3)]

    assert [(each["position"], each["queue_length"]) for each in joined] == [(1, 1), (2, 2), (3, 3)]
    assert hall.status(room, joined[0]["token"]).json()["queue_length"] == 3


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"", {"Content-Type": "application/json"}),
        (b" ", {"Content-Type": "text/plain"}),
        (b"{}", {}),
        (b'{"priority": 0, "of_a_later_release": 1}', {"Content-Type": "text/plain"}),
    ],
)
def test_enqueue_takes_an_empty_body_and_any_content_type(
    hall: Hall, content: bytes, headers: dict[str, str]
) -> None:
    room = hall.paused()

    answer = hall.http.post(f"/queues/{room}/enqueue", content=content, headers=headers)

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"priority": 4}, "priority"),
        ({"priority": -1}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user": {}}}, "metadata"),
        ({"metadata": {str(number): 1 for number in range(51)}}, "metadata"),
        ({"metadata": {"text": "x" * 5000}}, "metadata"),
        ([], "body"),
    ],
)
def test_enqueue_names_what_is_wrong(hall: Hall, body: Any, field: str) -> None:
    answer = hall.enqueue(hall.paused(), body)

    assert code_of(answer) == (400, "INVALID_REQUEST")
    assert any(name.startswith(field) for name in answer.json()["error"]["details"])


def test_enqueue_refuses_what_is_no_json(hall: Hall) -> None:
    answer = hall.http.post(f"/queues/{hall.paused()}/enqueue", content=b"{")

    assert code_of(answer) == (400, "INVALID_REQUEST")


def test_a_higher_priority_goes_first(hall: Hall) -> None:
    room = hall.paused()
    normal, premium = hall.join(room), hall.join(room, {"priority": 3})

    assert premium["position"] == 1
    assert hall.status(room, normal["token"]).json()["position"] == 2


def test_a_priority_above_the_public_one_needs_a_code(hall: Hall) -> None:
    room = hall.paused(public_priority_max=1)

    assert hall.enqueue(room, {"priority": 1}).status_code == 201
    assert code_of(hall.enqueue(room, {"priority": 2})) == (403, "FORBIDDEN")
    made_up = hall.enqueue(room, {"priority": 2, "code": "ABCD"})
    assert code_of(made_up) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("by", ["token", "key", "user"])
def test_who_is_known_keeps_the_place(hall: Hall, by: str) -> None:
    room = hall.paused()
    said = {"body": {"metadata": {"user_id": "lan"}}} if by == "user" else {"body": None}
    shown: dict[str, str] = {"Idempotency-Key": "k1"} if by == "key" else {}
    first = hall.enqueue(room, **said, headers=shown)
    hall.join(room)
    if by == "token":
        shown = bearer(first.json()["token"])

    again = hall.enqueue(room, **said, headers=shown)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["position_id"] == first.json()["position_id"]
    assert again.json()["position"] == 1
    assert again.json()["queue_length"] == 2
    assert again.json()["token"] == first.json()["token"]


def test_the_token_goes_before_the_key_and_the_key_before_the_user(hall: Hall) -> None:
    room = hall.paused()
    places = [
        hall.enqueue(room, {}, headers={"Idempotency-Key": "k"}).json(),
        hall.enqueue(room, {"metadata": {"user_id": "u"}}).json(),
        hall.enqueue(room).json(),
    ]
    by_key, by_user, by_token = (place["position_id"] for place in places)

    user = {"metadata": {"user_id": "u"}}
    key = {"Idempotency-Key": "k"}
    token = bearer(places[2]["token"])

    assert hall.enqueue(room, user).json()["position_id"] == by_user
    assert hall.enqueue(room, user, headers=key).json()["position_id"] == by_key
    assert hall.enqueue(room, user, headers=key | token).json()["position_id"] == by_token


def test_an_address_is_nobody_unless_the_room_says_so(hall: Hall) -> None:
    room, by_ip = hall.paused(), hall.paused(identify_by_ip=True)
    shown = {"X-Forwarded-For": "2001:db8:ffff:1::1"}
    neighbour = {"X-Forwarded-For": "2001:db8:ffff:1::2"}  # of the same /64

    places = [hall.enqueue(room, headers=shown).json()["position_id"] for _ in range(2)]
    same = [hall.enqueue(by_ip, headers=each).json()["position_id"] for each in (shown, neighbour)]

    assert places[0] != places[1]
    assert same[0] == same[1]


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_a_token_that_is_not_good_is_nobody(hall: Hall, token: str) -> None:
    room = hall.paused()

    assert hall.enqueue(room, headers=bearer(token)).status_code == 201


def test_who_left_joins_anew(hall: Hall) -> None:
    room = hall.paused()
    user = {"metadata": {"user_id": "lan"}}
    first = hall.join(room, user)
    assert hall.cancel(room, first["token"]).status_code == 200

    again = hall.enqueue(room, user, headers=bearer(first["token"]))

    assert again.status_code == 201
    assert again.json()["position_id"] != first["position_id"]


def test_enqueue_in_a_room_that_is_not_there(hall: Hall) -> None:
    assert code_of(hall.enqueue("nowhere")) == (404, "NOT_FOUND")


def test_a_full_room_says_so(hall: Hall) -> None:
    room = hall.paused(max_queue_size=1)
    first = hall.join(room, {"metadata": {"user_id": "lan"}})

    refused = hall.enqueue(room)

    assert code_of(refused) == (503, "QUEUE_FULL")
    assert int(refused.headers["Retry-After"]) > 0
    same = hall.enqueue(room, {"metadata": {"user_id": "lan"}})
    assert (same.status_code, same.json()["position_id"]) == (200, first["position_id"])


def test_maintenance_keeps_places_and_takes_nobody(hall: Hall) -> None:
    room = hall.paused(heartbeat_timeout_seconds=2, heartbeat_interval_seconds=1)
    joined = hall.join(room)
    hall.set(room, status="maintenance")

    refused = hall.enqueue(room)

    assert code_of(refused) == (503, "MAINTENANCE_MODE")
    assert int(refused.headers["Retry-After"]) > 0
    assert hall.status(room, joined["token"]).json()["position"] == 1


def test_status_of_who_waits(hall: Hall) -> None:
    room = hall.paused()
    joined = hall.join(room)

    answer = hall.status(room, joined["token"])

    assert answer.status_code == 200
    body = answer.json()
    assert isinstance(body.pop("estimated_wait_seconds"), int | None)
    assert set(body.pop("estimate", {})) <= {"low_seconds", "high_seconds"}
    assert body == {
        "position_id": joined["position_id"],
        "queue_id": room,
        "status": "waiting",
        "position": 1,
        "queue_length": 1,
        "admitted": False,
        "token": joined["token"],
        "expires_at": joined["expires_at"],
    }


def test_status_of_who_was_let_in(hall: Hall) -> None:
    room = hall.make()
    joined = hall.join(room)

    body = hall.admitted(room, joined["token"])

    assert body.pop("session_token").count(".") == 2
    expires = datetime.fromisoformat(body.pop("session_expires_at"))
    assert 3590 < expires.timestamp() - datetime.now(expires.tzinfo).timestamp() <= 3600
    assert body == {
        "position_id": joined["position_id"],
        "queue_id": room,
        "status": "admitted",
        "position": 0,
        "queue_length": 0,
        "estimated_wait_seconds": 0,
        "admitted": True,
        "redirect_url": "https://example.com/checkout",
    }


def test_the_session_stays_the_same_however_often_one_asks(hall: Hall) -> None:
    room = hall.make()
    token = hall.join(room)["token"]
    first = hall.admitted(room, token)

    again = [hall.status(room, token).json(), hall.status(room, token).json()]

    assert again == [first, first]
    assert hall.beat(room, token).json()["session_token"] == first["session_token"]
    joined = hall.enqueue(room, headers=bearer(token))
    assert joined.status_code == 200
    assert joined.json()["status"] == "admitted"
    assert joined.json()["session_token"] == first["session_token"]


def test_heartbeat_of_who_waits(hall: Hall) -> None:
    room = hall.paused()
    joined = hall.join(room)

    answer = hall.beat(
        room,
        joined["token"],
        {"timestamp": 1704067260000, "client_id": "browser-fingerprint-abc123"},
    )

    assert answer.status_code == 200
    body = answer.json()
    assert isinstance(body.pop("estimated_wait_seconds"), int | None)
    assert set(body.pop("estimate", {})) <= {"low_seconds", "high_seconds"}
    assert body == {
        "position_id": joined["position_id"],
        "status": "waiting",
        "position": 1,
        "queue_length": 1,
        "token": joined["token"],
        "next_heartbeat_seconds": 10,
    }


def test_heartbeat_of_who_was_let_in(hall: Hall) -> None:
    room = hall.make()
    joined = hall.join(room)
    admitted = hall.admitted(room, joined["token"])

    assert hall.beat(room, joined["token"]).json() == {
        "position_id": joined["position_id"],
        "status": "admitted",
        "session_token": admitted["session_token"],
        "redirect_url": "https://example.com/checkout",
    }


def test_heartbeat_takes_an_empty_body(hall: Hall) -> None:
    room = hall.paused()
    shown = bearer(hall.join(room)["token"])

    assert hall.http.post(f"/queues/{room}/heartbeat", headers=shown).status_code == 200


@pytest.mark.on_sqlite
def test_heartbeats_keep_a_place_and_silence_loses_it(hall: Hall) -> None:
    room = hall.paused(heartbeat_timeout_seconds=2, heartbeat_interval_seconds=1)
    alive, silent = hall.join(room), hall.join(room)

    def is_gone() -> bool:
        assert hall.beat(room, alive["token"]).status_code == 200
        return (
            hall.http.get(f"/queues/{room}/status", headers=bearer(silent["token"])).status_code
            == 410
        )

    poll(is_gone, "the silent one is gone")

    gone = hall.status(room, silent["token"])
    assert code_of(gone) == (410, "POSITION_EXPIRED")
    details = gone.json()["error"]["details"]
    assert details["position_id"] == silent["position_id"]
    assert MOMENT.fullmatch(details["expired_at"])
    assert code_of(hall.beat(room, silent["token"])) == (410, "POSITION_EXPIRED")
    assert hall.status(room, alive["token"]).json()["position"] == 1


def test_cancel_gives_a_place_up(hall: Hall) -> None:
    room = hall.paused()
    first, second = hall.join(room), hall.join(room)

    answer = hall.cancel(room, first["token"])

    assert answer.status_code == 200
    body = answer.json()
    assert MOMENT.fullmatch(body.pop("cancelled_at"))
    assert body == {"position_id": first["position_id"], "status": "cancelled"}
    assert hall.status(room, second["token"]).json()["position"] == 1
    assert code_of(hall.status(room, first["token"])) == (404, "NOT_FOUND")
    assert code_of(hall.beat(room, first["token"])) == (410, "POSITION_EXPIRED")
    assert code_of(hall.cancel(room, first["token"])) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["status", "heartbeat", "position"])
def test_without_a_good_token_nobody_is_served(hall: Hall, path: str) -> None:
    room, other = hall.paused(), hall.paused()
    method, _ = LIMITS[path]
    good = hall.join(room)["token"]
    head, claims, signature = good.split(".")
    wrong = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        bearer("nonsense"),
        bearer(f"{head}.{claims}.{signature[::-1]}"),
        bearer(jwt.encode({"typ": "queue"}, "x" * 32, algorithm="HS256")),
    ]

    for headers in wrong:
        answer = hall.http.request(method, f"/queues/{room}/{path}", headers=headers)
        assert code_of(answer) == (401, "UNAUTHORIZED"), headers
    elsewhere = hall.http.request(method, f"/queues/{other}/{path}", headers=bearer(good))
    assert code_of(elsewhere) == (403, "FORBIDDEN")
    nowhere = hall.http.request(method, f"/queues/nowhere/{path}", headers=bearer(good))
    assert code_of(nowhere) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["status", "heartbeat", "position"])
def test_a_session_token_is_no_queue_token(hall: Hall, path: str) -> None:
    room, admitted = hall.inside()
    method, _ = LIMITS[path]

    answer = hall.http.request(
        method, f"/queues/{room}/{path}", headers=bearer(admitted["session_token"])
    )

    assert code_of(answer) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", list(LIMITS))
def test_each_answer_says_where_its_caller_stands(hall: Hall, path: str) -> None:
    room = hall.paused()
    token = hall.join(room)["token"]
    method, limit = LIMITS[path]

    def ask(headers: dict[str, str]) -> httpx.Response:
        return hall.http.request(method, f"/queues/{room}/{path}", headers=headers)

    for answer in (ask(bearer(token)), ask({}), ask(bearer("nonsense"))):
        assert answer.headers["X-RateLimit-Limit"] == limit
        assert 0 <= int(answer.headers["X-RateLimit-Remaining"]) < int(limit)
        assert int(answer.headers["X-RateLimit-Reset"]) % 60 == 0


@pytest.mark.parametrize(("path", "count"), [("enqueue", 10), ("status", 60), ("heartbeat", 30)])
def test_who_asks_too_often_is_told_to_wait(hall: Hall, path: str, count: int) -> None:
    room = hall.paused()
    method, _ = LIMITS[path]
    headers = {"X-Forwarded-For": "192.0.2.77", **bearer(hall.join(room)["token"])}
    if path == "enqueue":
        del headers["Authorization"]

    def ask() -> httpx.Response:
        return hall.http.request(method, f"/queues/{room}/{path}", headers=headers)

    # A minute may end in between, and then the count begins anew.
    answers = [ask() for _ in range(count)]
    refused = wait_until(
        lambda: (answer := ask()).status_code == 429 and answer, "it is refused", timeout_s=5
    )

    assert all(answer.status_code < 300 for answer in answers)
    assert code_of(refused) == (429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Remaining"] == "0"


def test_paths_and_methods_that_are_not_there(hall: Hall) -> None:
    assert code_of(hall.http.get("/queues/x/nothing")) == (404, "NOT_FOUND")
    refused = hall.http.put("/queues/x/status")
    assert code_of(refused) == (405, "METHOD_NOT_ALLOWED")
    assert "GET" in refused.headers["Allow"]
    assert "X-RateLimit-Limit" in refused.headers


def test_a_body_that_is_too_large(hall: Hall) -> None:
    answer = hall.http.post(f"/queues/{hall.paused()}/enqueue", content=b" " * 20_000)

    assert code_of(answer) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json", None])
def test_a_beacon_of_a_page_that_goes_away_needs_no_header(
    hall: Hall, content_type: str | None
) -> None:
    room = hall.paused()
    visitor = hall.join(room)
    beacon = f'{{"token": "{visitor["token"]}", "event": "page_unload"}}'
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = hall.http.post(f"/queues/{room}/heartbeat", content=beacon, headers=headers)

    assert answer.status_code == 200
    assert answer.json()["position"] == 1
    # A reload fires it too: the place is there for who comes back.
    assert hall.beat(room, visitor["token"]).json()["position"] == 1


def test_a_token_in_the_body_counts_without_authorization_only(hall: Hall) -> None:
    room = hall.paused()
    token = hall.join(room)["token"]

    assert hall.http.post(f"/queues/{room}/heartbeat", json={"token": token}).status_code == 200
    assert code_of(hall.beat(room, "nonsense", {"token": token})) == (401, "UNAUTHORIZED")


def test_tokens_are_checked_by_anybody_with_the_published_keys(hall: Hall) -> None:
    for algorithm in ("RS256", "ES256"):
        room = hall.make(algorithm=algorithm)
        joined = hall.join(room)
        session = hall.admitted(room, joined["token"])["session_token"]
        keys = jwt.PyJWKSet.from_dict(httpx.get(f"{hall.system.url}/.well-known/jwks.json").json())

        for token, kind in ((joined["token"], "queue"), (session, "session")):
            header = jwt.get_unverified_header(token)
            assert header["alg"] == algorithm
            claims = jwt.decode(token, keys[header["kid"]], algorithms=[algorithm])
            assert claims["typ"] == kind
            assert claims["sub"] == f"{kind}:{room}"
            assert claims["nbf"] <= claims["iat"] < claims["exp"]
        queue = jwt.decode(joined["token"], options={"verify_signature": False})
        assert queue["jti"] == joined["position_id"]
        assert queue["exp"] - queue["iat"] == 1800
        assert claims["position_id"] == joined["position_id"]


def test_a_room_made_anew_does_not_know_old_tokens(hall: Hall) -> None:
    room = hall.paused()
    token = hall.join(room)["token"]
    assert hall.http.delete(f"/admin/queues/{room}", headers=hall.admin).is_success
    hall.paused(id=room)

    assert code_of(hall.status(room, token)) == (401, "UNAUTHORIZED")
