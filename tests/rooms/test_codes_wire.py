"""Codes over HTTP and from the command line, with the real processes, on both databases."""

import re
from typing import Any

import httpx
import pytest

from tests.messages.test_commands import Command, command
from tests.rooms.visitors import Hall, bearer, poll
from tests.servers import System

__all__ = ["command"]  # a fixture


@pytest.fixture
def in_stores(command: Command, system: System, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command with the stores of `system`, as on its machine."""
    monkeypatch.setenv("STANCHION_DATABASE_URL", system.database_url)
    monkeypatch.setenv("STANCHION_REDIS_URL", system.redis_url)
    return command


_CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{8}(-[0-9A-HJKMNP-TV-Z]{8}){3}")
_HOUR_S = 3_600


def codes_of(hall: Hall, room: str, **wish: Any) -> list[str]:
    answer = hall.http.post(f"/admin/queues/{room}/codes", json=wish, headers=hall.admin)
    assert answer.status_code == 201, answer.text
    return [each["code"] for each in answer.json()["codes"]]


def refusal(answer: httpx.Response) -> tuple[int, dict[str, str]]:
    return answer.status_code, answer.json()["error"]["details"]


def test_codes_say_what_they_give(hall: Hall) -> None:
    room = hall.paused()

    answer = hall.http.post(
        f"/admin/queues/{room}/codes",
        json={"priority": 2, "count": 3, "uses": 5, "expires_in_seconds": _HOUR_S},
        headers=hall.admin,
    )

    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["queue_id"] == room
    assert len({each["code"] for each in body["codes"]}) == 3
    for each in body["codes"]:
        assert _CODE.fullmatch(each["code"])
        assert (each["priority"], each["uses"]) == (2, 5)
        assert each["expires_at"].endswith("Z")


def test_a_priority_above_the_public_one_needs_a_code(hall: Hall) -> None:
    room = hall.paused(public_priority_max=0)
    hall.join(room)
    [code] = codes_of(hall, room, priority=2)

    assert refusal(hall.enqueue(room, {"priority": 2})) == (
        403,
        {"priority": "Needs a code of this queue"},
    )
    first = hall.enqueue(room, {"code": code.lower().replace("-", " ")})

    assert (first.status_code, first.json()["position"]) == (201, 1)


def test_a_code_for_one_place_stands_for_its_bearer(hall: Hall) -> None:
    room = hall.paused(invite_only=True)
    [code] = codes_of(hall, room)
    joined = hall.join(room, {"code": code})

    again = hall.enqueue(room, {"code": code})
    other = hall.enqueue(room, {"code": code, "metadata": {"user_id": "another"}})

    assert (again.status_code, again.json()["position_id"]) == (200, joined["position_id"])
    assert refusal(other) == (400, {"code": "The code was good for 1 and is used up"})
    assert hall.status(room, joined["token"]).json()["queue_length"] == 1


def test_a_code_gives_as_many_places_as_it_is_good_for(hall: Hall) -> None:
    room = hall.paused(invite_only=True)
    [code] = codes_of(hall, room, uses=2)

    answers = [hall.enqueue(room, {"code": code}) for _ in range(3)]

    assert [each.status_code for each in answers] == [201, 201, 400]
    assert refusal(answers[-1]) == (400, {"code": "The code was good for 2 and is used up"})


def test_a_room_by_invitation_takes_nobody_without_a_code(hall: Hall) -> None:
    room, other = hall.paused(invite_only=True), hall.paused(invite_only=True)
    [foreign] = codes_of(hall, other)
    forged = foreign[:-1] + ("0" if foreign[-1] != "0" else "1")

    assert refusal(hall.enqueue(room)) == (403, {"code": "Needs a code of this queue"})
    for wrong in (foreign, forged, "", "x" * 500):
        assert refusal(hall.enqueue(room, {"code": wrong})) == (
            400,
            {"code": "Expected a code of this queue"},
        )


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"priority": 4}, "priority"),
        ({"uses": 65_536}, "uses"),
        ({"uses": -1}, "uses"),
        ({"expires_in_seconds": 59}, "expires_in_seconds"),
        ({"count": 0}, "count"),
        ({"count": 1_001}, "count"),
        ({"many": 1}, "many"),
    ],
)
def test_a_wish_that_cannot_be_names_its_field(
    hall: Hall, wish: dict[str, int], field: str
) -> None:
    room = hall.paused()

    answer = hall.http.post(f"/admin/queues/{room}/codes", json=wish, headers=hall.admin)

    status, details = refusal(answer)
    assert (status, list(details)) == (400, [field])


def test_codes_are_made_for_admins_in_rooms_that_exist(hall: Hall) -> None:
    room = hall.paused()
    path = f"/admin/queues/{room}/codes"

    assert hall.http.post(path, json={}).status_code == 403
    assert hall.http.post(path, json={}, headers={"X-Admin-Key": "no"}).status_code == 403
    absent = hall.http.post("/admin/queues/nowhere/codes", json={}, headers=hall.admin)
    assert absent.status_code == 404


def test_command_makes_codes_that_are_taken(hall: Hall, in_stores: Command) -> None:
    room = hall.paused(public_priority_max=0, invite_only=True)

    code, said, _ = in_stores("rooms", "code", room, "--priority", "3", "--expires", "2h")

    assert code == 0
    joined = hall.join(room, {"code": said.strip()})
    assert hall.http.get(f"/queues/{room}/status", headers=bearer(joined["token"])).is_success
    code, _, said = in_stores("rooms", "code", "nowhere")
    assert (code, "nowhere" in said) == (1, True)
    code, _, said = in_stores("rooms", "code", room, "--expires", "soon")
    assert (code, "90m" in said) == (2, True)
    code, _, said = in_stores("rooms", "code", room, "--priority", "9")
    assert (code, "priority" in said) == (1, True)


def test_commands_make_change_show_and_delete_rooms(hall: Hall, in_stores: Command) -> None:
    room = f"{hall.paused()}-2"

    code, _, said = in_stores(
        "rooms", "create", room, "https://example.com/checkout", "max_active_users=7"
    )
    assert code == 0, said
    assert in_stores("rooms", "set", room, "status=paused", "admission_rate=3")[0] == 0
    listed = in_stores("rooms", "list")[1]
    assert room in listed
    assert "at most" in listed  # the limit, and not how many are inside now
    joined = hall.join(room)
    assert "current_waiting" in in_stores("rooms", "stats", room)[1]
    code, _, said = in_stores("rooms", "set", room, "admission_rate=fast")
    assert (code, "admission_rate" in said) == (1, True)
    assert in_stores("rooms", "delete", room, "--yes")[0] == 0
    poll(lambda: hall.status(room, joined["token"]).status_code == 404, "every process knows")


def test_commands_show_a_draw_and_check_it(hall: Hall, command: Command) -> None:
    room = hall.make(draw=True, opens_at="2040-01-01T00:00:00Z")

    code, said, fault = command("rooms", "draw", room)

    assert (code, "commitment" in said) == (0, True), fault
    code, _, said = command("rooms", "verify", room)
    assert (code, "drawn at the opening" in said) == (1, True)
    code, _, said = command("rooms", "verify", (other := hall.paused()))
    assert (code, said) == (1, f"stanchion: queue {other} has no draw (404 NOT_FOUND)\n")
