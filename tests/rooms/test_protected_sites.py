"""The sites of docs/protect-a-site.md, run as they are written, behind a real room."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.rooms.protected import ADMIN_KEY, PERSON, Site, change_room, example, let_in, make_room
from tests.servers import RedisServer, System, wait_until

pytestmark = pytest.mark.xdist_group("protected-sites")
ROOM = "concert-tickets"


@pytest.fixture(scope="module")
def stanchion(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API with the room of the examples, whose sessions are made known for 1 s."""
    database_url = f"sqlite:///{copy(migrated_file, new_folder('s') / 'stanchion.db')}"
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=database_url,
            redis_url=server.url,
            processes=("api",),
            settings={"ADMIN_KEY": ADMIN_KEY, "JOINS_PER_MINUTE_MAX": "1000"},
        ) as system,
    ):
        system.redis_server = server
        make_room(system, ROOM)
        make_room(system, "another", algorithm="ES256")
        # The first keys are made for the first visitors; sites that start later know them.
        let_in(system, ROOM)
        let_in(system, "another")
        yield system


def asgi(port: int) -> list[str]:
    return ["-m", "uvicorn", "site_example:app", "--port", str(port), "--log-level", "warning"]


def wsgi(port: int) -> list[str]:
    return ["-m", "gunicorn", "site_example:app", "--bind", f"127.0.0.1:{port}", "--threads", "4"]


@pytest.fixture(scope="module", params=[("AsgiWaitingRoom", asgi), ("WsgiWaitingRoom", wsgi)])
def site(
    request: pytest.FixtureRequest, stanchion: System, new_folder: Callable[[str], Path]
) -> Iterator[Site]:
    """The example for ASGI under uvicorn, the one for WSGI under gunicorn."""
    word, command = request.param
    text = example("python", word).replace("http://127.0.0.1:8080", stanchion.url)
    with Site(new_folder("w"), text, command) as started:
        yield started


def test_a_visitor_is_led_to_the_room_and_in_by_the_address(site: Site, stanchion: System) -> None:
    led = site.get("/buy?seat=7")
    assert led.status_code == 303
    assert led.headers["location"] == f"{stanchion.url}/wait/{ROOM}?to=%2Fbuy%3Fseat%3D7"

    told = let_in(stanchion, ROOM)
    entered = site.get(f"/buy?seat=7&stanchion_session={told['session_token']}")
    assert entered.status_code == 303
    assert entered.headers["location"] == "/buy?seat=7"
    assert "HttpOnly" in entered.headers["set-cookie"]

    cookie = entered.headers["set-cookie"].partition(";")[0]
    inside = site.get("/buy?seat=7", {"Cookie": cookie})
    assert inside.status_code == 200
    assert inside.text.startswith("inside: ")


def test_a_program_is_told_401(site: Site) -> None:
    answer = site.get("/api/seats")

    assert answer.status_code == 401
    assert answer.json()["error"] == "waiting_room"


def test_a_session_of_another_room_is_none(site: Site, stanchion: System) -> None:
    token = let_in(stanchion, "another")["session_token"]

    assert site.get(f"/?stanchion_session={token}").status_code == 401
    assert site.get("/", {"X-Stanchion-Session": token}).status_code == 303


def test_a_place_in_line_is_no_session(site: Site, stanchion: System) -> None:
    token = httpx.post(f"{stanchion.url}/api/v1/queues/{ROOM}/enqueue").json()["token"]

    assert site.get("/", {"X-Stanchion-Session": token}).status_code == 303


def test_activity_reaches_the_room(site: Site, stanchion: System) -> None:
    shown = {"X-Stanchion-Session": let_in(stanchion, ROOM)["session_token"]}
    session_id = site.get("/seats", shown).text.removeprefix("inside: ")

    told = httpx.get(
        f"{stanchion.url}/api/v1/sessions/{session_id}",
        headers={"Authorization": f"Bearer {shown['X-Stanchion-Session']}"},
    )

    assert told.json()["page_views"] == 1


def test_a_session_that_is_renewed_goes_on(site: Site, stanchion: System) -> None:
    change_room(stanchion, ROOM, session_renewal=True, session_timeout_seconds=10)
    try:
        token = let_in(stanchion, ROOM)["session_token"]
        change_room(stanchion, ROOM, session_timeout_seconds=3_600)

        answer = site.get("/", {"X-Stanchion-Session": token})
    finally:
        change_room(stanchion, ROOM, session_renewal=False)

    cookie = answer.headers["set-cookie"]
    assert int(cookie.partition("Max-Age=")[2].partition(";")[0]) > 1_000
    again = {"Cookie": cookie.partition(";")[0]}
    assert site.get("/", again).text == answer.text


def test_the_site_ends_a_session(site: Site, stanchion: System) -> None:
    token = let_in(stanchion, ROOM)["session_token"]
    shown = {"X-Stanchion-Session": token}
    session_id = site.get("/", shown).text.removeprefix("inside: ")

    paid = site.get("/paid", shown)

    assert paid.status_code == 200
    assert "x-stanchion-end" not in paid.headers
    assert site.get("/", shown).status_code == 303
    told = httpx.get(
        f"{stanchion.url}/api/v1/sessions/{session_id}",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert told.status_code == 410


def test_who_is_put_out_by_the_admin_is_out_of_the_site(site: Site, stanchion: System) -> None:
    token = let_in(stanchion, ROOM)["session_token"]
    found = verify(stanchion, token)
    session_id = found.headers["X-Stanchion-Session-Id"]

    put_out = httpx.request(
        "DELETE",
        f"{stanchion.url}/api/v1/admin/sessions/{session_id}",
        json={"reason": "abuse_detected"},
        headers={"X-Admin-Key": ADMIN_KEY},
    )

    assert put_out.is_success
    # The site has not told of this session yet, and asks at its first request.
    assert site.get("/", {"X-Stanchion-Session": token}).status_code == 303


# What proxies ask ----------------------------------------------------------------------------


def verify(stanchion: System, token: str | None, *, room_id: str = ROOM) -> httpx.Response:
    shown = {} if token is None else {"X-Stanchion-Session": token}
    return httpx.get(
        f"{stanchion.url}/api/v1/sessions/verify?queue_id={room_id}",
        headers={**shown, "X-Original-URI": "/buy?seat=7&a=%26"},
    )


def test_verify_says_yes_and_who(stanchion: System) -> None:
    token = let_in(stanchion, ROOM)["session_token"]

    answer = verify(stanchion, token)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["X-Stanchion-Queue-Id"] == ROOM
    assert answer.headers["X-Stanchion-Session-Id"]
    assert "X-RateLimit-Limit" not in answer.headers


@pytest.mark.parametrize("way", ["bearer", "header", "query", "cookie", "original", "forwarded"])
def test_verify_takes_the_token_from_where_proxies_put_it(stanchion: System, way: str) -> None:
    token = let_in(stanchion, ROOM)["session_token"]
    address = f"/buy?a=1&stanchion_session={token}"
    headers = {
        "bearer": {"Authorization": f"Bearer {token}"},
        "header": {"X-Stanchion-Session": token},
        "query": {},
        "cookie": {"Cookie": f"stanchion_session={token}"},
        "original": {"X-Original-URI": address},
        "forwarded": {"X-Forwarded-Uri": address},
    }[way]
    query = f"&stanchion_session={token}" if way == "query" else ""

    answer = httpx.get(
        f"{stanchion.url}/api/v1/sessions/verify?queue_id={ROOM}{query}", headers=headers
    )

    assert answer.status_code == 204


def test_verify_says_no_and_why_and_where_to_wait(stanchion: System) -> None:
    reasons = {
        None: "a token is required: Authorization: Bearer <token>",
        "x.y.z": "the token is not valid",
        let_in(stanchion, "another")["session_token"]: "the token is for another queue",
    }
    for token, reason in reasons.items():
        answer = verify(stanchion, token)

        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == reason
        parts = urlsplit(answer.headers["X-Stanchion-Wait"])
        assert parts.path == f"/wait/{ROOM}"
        assert parse_qs(parts.query) == {"to": ["/buy?seat=7&a=%26"]}


def test_verify_says_that_there_is_no_such_room(stanchion: System) -> None:
    for token in (None, let_in(stanchion, ROOM)["session_token"]):
        answer = verify(stanchion, token, room_id="concert-ticket")

        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == "queue concert-ticket does not exist"


def test_verify_hears_of_an_end(stanchion: System) -> None:
    token = let_in(stanchion, ROOM)["session_token"]
    session_id = verify(stanchion, token).headers["X-Stanchion-Session-Id"]

    ended = httpx.delete(
        f"{stanchion.url}/api/v1/sessions/{session_id}",
        headers={"Authorization": f"Bearer {token}"},
    )

    assert ended.status_code == 200
    assert ended.json()["status"] == "terminated"
    out = lambda: verify(stanchion, token).status_code == 401  # noqa: E731
    wait_until(out, "the end is known")


def test_nobody_ends_the_session_of_somebody_else(stanchion: System) -> None:
    mine, yours = (let_in(stanchion, ROOM)["session_token"] for _ in range(2))
    session_id = verify(stanchion, yours).headers["X-Stanchion-Session-Id"]

    refused = httpx.delete(
        f"{stanchion.url}/api/v1/sessions/{session_id}",
        headers={"Authorization": f"Bearer {mine}"},
    )

    assert refused.status_code == 403
    assert verify(stanchion, yours).status_code == 204


# Last, since the room's Redis is stopped -----------------------------------------------------


def test_sessions_are_good_without_redis(site: Site, stanchion: System) -> None:
    token = let_in(stanchion, ROOM)["session_token"]
    stanchion.redis_server.stop()
    try:
        inside = site.get("/", {"X-Stanchion-Session": token, **PERSON})
        asked = verify(stanchion, token)
    finally:
        stanchion.redis_server.start()

    assert inside.status_code == 200
    assert asked.status_code == 204
