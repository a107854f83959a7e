"""What the contract says of sessions, over HTTP."""

import uuid
from datetime import datetime

import jwt
import pytest

from tests.rooms.test_contract_visitors import MOMENT, code_of
from tests.rooms.visitors import Hall, bearer, poll


def session_of(token_holder: dict[str, str]) -> str:
    """Return the id that a session token names."""
    claims = jwt.decode(token_holder["session_token"], options={"verify_signature": False})
    return str(claims["jti"])


def test_session_shows_itself_to_its_token(hall: Hall) -> None:
    room, admitted = hall.inside()
    session = session_of(admitted)
    assert str(uuid.UUID(session)) == session

    answer = hall.http.get(f"/sessions/{session}", headers=bearer(admitted["session_token"]))

    assert answer.status_code == 200
    body = answer.json()
    started, expires = body.pop("started_at"), body.pop("expires_at")
    assert expires == admitted["session_expires_at"]
    assert MOMENT.fullmatch(started)
    lasts = datetime.fromisoformat(expires) - datetime.fromisoformat(started)
    assert lasts.total_seconds() == 3600
    assert body.pop("last_activity") >= started
    assert 3590 <= body.pop("remaining_seconds") <= 3600
    assert body == {
        "session_id": session,
        "queue_id": room,
        "position_id": admitted["position_id"],
        "status": "active",
        "page_views": 0,
    }


def test_activity_counts_page_views_and_does_not_extend(hall: Hall) -> None:
    _, admitted = hall.inside()
    session, shown = session_of(admitted), bearer(admitted["session_token"])
    path = f"/sessions/{session}/activity"
    view = {"action": "page_view", "page": "/checkout", "timestamp": 1704067260000}

    first = hall.http.post(path, json=view, headers=shown)
    empty = hall.http.post(path, headers=shown)
    other = hall.http.post(path, json={"action": "click"}, headers=shown)

    assert [each.status_code for each in (first, empty, other)] == [200, 200, 200]
    assert first.json() == {
        "session_id": session,
        "status": "active",
        "page_views": 1,
        "expires_at": admitted["session_expires_at"],
    }
    assert [each.json()["page_views"] for each in (empty, other)] == [2, 2]
    shown_views = hall.http.get(f"/sessions/{session}", headers=shown).json()["page_views"]
    assert shown_views == 2


def test_activity_renews_where_the_room_says_so(hall: Hall) -> None:
    _, admitted = hall.inside(
        session_renewal=True, session_timeout_seconds=4, session_cap_seconds=60
    )
    session, token = session_of(admitted), admitted["session_token"]

    def renewed() -> str | None:
        answer = hall.http.post(f"/sessions/{session}/activity", headers=bearer(token))
        assert answer.status_code == 200
        new: str | None = answer.json().get("session_token")
        return new

    new = poll(renewed, "there is a new token")

    assert new != token
    answer = hall.http.get(f"/sessions/{session}", headers=bearer(new))
    assert answer.json()["expires_at"] > admitted["session_expires_at"]


def test_a_session_ends(hall: Hall) -> None:
    room, admitted = hall.inside(session_timeout_seconds=1)
    session, shown = session_of(admitted), bearer(admitted["session_token"])

    poll(
        lambda: hall.http.get(f"/sessions/{session}", headers=shown).status_code == 410,
        "the session is over",
    )

    for answer in (
        hall.http.get(f"/sessions/{session}", headers=shown),
        hall.http.post(f"/sessions/{session}/activity", headers=shown),
    ):
        assert code_of(answer) == (410, "SESSION_EXPIRED")
        assert answer.json()["error"]["details"]["session_id"] == session
    assert room


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/activity")])
def test_only_its_own_token_opens_a_session(hall: Hall, method: str, path: str) -> None:
    room = hall.make()
    joined = hall.join(room)
    admitted = hall.admitted(room, joined["token"])
    other = hall.admitted(room, hall.join(room)["token"])
    address = f"/sessions/{session_of(admitted)}{path}"

    for headers in ({}, bearer("nonsense"), bearer(joined["token"])):
        assert code_of(hall.http.request(method, address, headers=headers)) == (401, "UNAUTHORIZED")
    foreign = hall.http.request(method, address, headers=bearer(other["session_token"]))
    assert code_of(foreign) == (403, "FORBIDDEN")
    nobody = hall.http.request(
        method, f"/sessions/{uuid.uuid4()}{path}", headers=bearer(other["session_token"])
    )
    assert code_of(nobody) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("method", "path", "limit"), [("GET", "", 120), ("POST", "/activity", 100)]
)
def test_each_answer_says_where_its_caller_stands(
    hall: Hall, method: str, path: str, limit: int
) -> None:
    answer = hall.http.request(method, f"/sessions/{uuid.uuid4()}{path}")

    assert answer.headers["X-RateLimit-Limit"] == str(limit)


def test_a_session_of_a_room_that_is_no_more_is_not_found(hall: Hall) -> None:
    room, admitted = hall.inside()
    session, shown = session_of(admitted), bearer(admitted["session_token"])
    assert hall.http.delete(f"/admin/queues/{room}", headers=hall.admin).is_success

    assert code_of(hall.http.get(f"/sessions/{session}", headers=shown)) == (404, "NOT_FOUND")


def test_a_terminated_session_is_over(hall: Hall) -> None:
    room, admitted = hall.inside()
    session, shown = session_of(admitted), bearer(admitted["session_token"])
    ended = hall.http.request(
        "DELETE",
        f"/admin/sessions/{session}",
        json={"reason": "abuse_detected"},
        headers=hall.admin,
    )
    assert ended.status_code == 200, ended.text

    for answer in (
        hall.http.get(f"/sessions/{session}", headers=shown),
        hall.http.post(f"/sessions/{session}/activity", headers=shown),
    ):
        assert code_of(answer) == (410, "SESSION_EXPIRED")
    assert room


def test_who_does_not_come_in_time_loses_the_slot(hall: Hall) -> None:
    room = hall.make(claim_timeout_seconds=1, max_active_users=1)
    first, second = hall.join(room), hall.join(room)

    hall.admitted(room, second["token"])

    assert code_of(hall.status(room, first["token"])) == (410, "POSITION_EXPIRED")
