"""What becomes of rooms and places over time, over HTTP: made again, drawn, asked too often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from models.database import Database
from models.rooms.codes import SERIAL_BYTES, Code, issue, whole_minute
from tests.conftest import StartSystem
from tests.messages.test_commands import Command, command
from tests.rooms.test_codes_wire import in_stores
from tests.rooms.visitors import Hall, bearer, new_address, poll
from tests.servers import System, wait_until

__all__ = ["command", "in_stores"]  # fixtures

# What happens here is Redis' business; SQL is asked elsewhere, on both.
pytestmark = pytest.mark.on_sqlite


def in_seconds(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


# Made again ----------------------------------------------------------------------------------


def test_a_room_made_again_knows_no_token_of_before(hall: Hall) -> None:
    room = hall.paused()
    before = hall.join(room)["token"]
    assert hall.http.delete(f"/admin/queues/{room}", headers=hall.admin).status_code == 200
    hall.paused(id=room)
    now = hall.join(room)["token"]

    # The places of both have the same number.
    assert hall.status(room, before).status_code in {401, 404}
    assert hall.beat(room, before).status_code in {401, 410}
    assert hall.cancel(room, before).status_code in {401, 404}
    again = hall.enqueue(room, headers=bearer(before))
    assert (again.status_code, again.json()["position"]) == (201, 2)
    assert hall.status(room, now).json()["position"] == 1


# Changed while people wait -------------------------------------------------------------------


def test_a_shorter_timeout_takes_no_place_of_who_goes_on_beating(hall: Hall) -> None:
    room = hall.paused(heartbeat_interval_seconds=10, heartbeat_timeout_seconds=600)
    silent, lively = hall.join(room)["token"], hall.join(room)["token"]
    hall.set(room, heartbeat_interval_seconds=1, heartbeat_timeout_seconds=4)

    def is_over() -> bool:
        assert hall.beat(room, lively).status_code == 200
        return hall.beat(room, silent).status_code == 410 if is_late() else False

    started = datetime.now(UTC)

    def is_late() -> bool:
        # A beat of the silent one would keep it: it is asked for once the time is over.
        return datetime.now(UTC) - started > timedelta(seconds=7)

    poll(is_over, "the silent one lost the place")
    assert hall.status(room, lively).json()["position"] == 1


def test_a_lower_cap_lets_nobody_in_until_it_is_kept(hall: Hall) -> None:
    room = hall.make(max_active_users=3)
    inside = [hall.admitted(room, hall.join(room)["token"]) for _ in range(3)]
    hall.set(room, max_active_users=1)
    waiting = hall.join(room)["token"]

    for each in inside[:2]:
        assert end(hall, each) == 200
        assert not hall.status(room, waiting).json()["admitted"]
    assert end(hall, inside[2]) == 200

    hall.admitted(room, waiting)


def end(hall: Hall, admitted: dict[str, Any]) -> int:
    session = jwt.decode(admitted["session_token"], options={"verify_signature": False})["jti"]
    answer = hall.http.delete(f"/admin/sessions/{session}", headers=hall.admin)
    return answer.status_code


# Drawn ---------------------------------------------------------------------------------------


def test_a_draw_can_be_checked_by_anybody(hall: Hall, in_stores: Command) -> None:
    room = hall.make(draw=True, opens_at=in_seconds(3), admission_rate=0.001, max_active_users=1)
    before = hall.http.get(f"/queues/{room}/draw").json()
    tokens = [hall.join(room)["token"] for _ in range(8)]
    assert (before["status"], before.get("secret")) == ("committed", None)
    assert hall.status(room, tokens[0]).json()["drawn"] is False
    assert hall.beat(room, tokens[0]).json()["drawn"] is False

    drawn = poll(lambda: is_drawn(hall, room), "the room opened")

    assert drawn["commitment"] == before["commitment"]
    assert sum(lane["count"] for lane in drawn["lanes"]) == 8

    def told() -> list[dict[str, Any]] | None:
        # The draw is written down before the line is moved.
        answers = [hall.status(room, token).json() for token in tokens]
        return answers if all(each["admitted"] or each["drawn"] for each in answers) else None

    places = [each["position"] for each in poll(told, "everybody knows the drawn place")]
    assert sorted(places) in (list(range(1, 9)), list(range(8)))  # the first may be inside
    code, said, fault = in_stores("rooms", "verify", room)
    assert code == 0, said + fault


def test_a_room_is_drawn_though_no_worker_runs(start_system: StartSystem) -> None:
    system = start_system("api")
    hall = Hall(system)
    room = hall.make(draw=True, opens_at=in_seconds(2))
    tokens = [hall.join(room)["token"] for _ in range(3)]

    poll(lambda: is_drawn(hall, room), "the room opened")

    for token in tokens:
        hall.admitted(room, token)
    hall.close()


def is_drawn(hall: Hall, room: str) -> dict[str, object] | None:
    answer = hall.http.get(f"/queues/{room}/draw")
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body if body["status"] == "drawn" else None


# Too late, and too often ---------------------------------------------------------------------


def test_a_code_whose_time_is_over_is_told_so(hall: Hall, open_system_database: Database) -> None:
    room = hall.paused(public_priority_max=0)
    with open_system_database.begin() as connection:
        find = text("SELECT secret FROM room WHERE id = :id")
        secret = bytes(connection.execute(find, {"id": room}).scalar_one())
    over = Code(
        serial=bytes(SERIAL_BYTES),
        priority=1,
        uses_max=1,
        expires_at_ms=whole_minute(1_750_000_000_000),
    )

    answer = hall.enqueue(room, {"code": issue(secret, over)})

    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["code"])
    assert "expired" in answer.json()["error"]["message"]


def test_who_sends_the_form_too_often_is_told_on_the_page(hall: Hall, system: System) -> None:
    room = hall.paused()
    address = f"{system.url}/wait/{room}"
    wants = {"Accept": "text/html", "X-Forwarded-For": new_address(), "Accept-Language": "en"}

    answer = wait_until(
        lambda: (sent := hall.http.post(address, headers=wants)).status_code == 429 and sent,
        "the limit is reached",
    )
    program = hall.http.post(address, headers=wants | {"Accept": "application/json"})

    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Many are joining from your network" in answer.text
    assert '"people.users"' not in answer.text  # what staff's pages say is not for the crowd
    assert answer.headers["Refresh"] == f"{answer.headers['Retry-After']}; url=/wait/{room}"
    assert (program.status_code, program.headers["Content-Type"]) == (429, "application/json")
