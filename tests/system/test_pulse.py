"""The pulse of the house over HTTP: kept by real workers by the tick of a real beat."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.ops.attention import Seen, notices
from api.ops.bodies import MailHostView, MailView, MessagesView, RoomLine
from tests.conftest import StartSystem
from tests.people.conftest import ADMIN_PASSWORD, token_of
from tests.servers import System, wait_until

DOMAINS = ["messages", "rooms", "mail", "tickets"]


@contextlib.contextmanager
def staff(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, timeout=30) as client:
        token = token_of(client, "admin", ADMIN_PASSWORD)
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.mark.on_sqlite
def test_the_last_hour_is_kept_and_told(start_system: StartSystem) -> None:
    system = start_system("api", "worker", "beat", ADMIN_PASSWORD=ADMIN_PASSWORD)
    with staff(system) as client:
        client.post("/api/queue/message", json={"type": "seen", "payload": {}}).raise_for_status()

        def hour() -> dict[str, list[dict[str, int | None]]]:
            told = client.get("/api/ops/hour").raise_for_status().json()["domains"]
            assert list(told) == DOMAINS
            assert {len(minutes) for minutes in told.values()} == {60}
            return dict(told)

        def seen(name: str, domain: str = "messages") -> list[int]:
            return [each[name] for each in hour()[domain] if each[name] is not None]

        # The stream is read each 2 s, depths are looked at each 10 s.
        wait_until(lambda: sum(seen("in")) == 1 and 1 in seen("depth"), "the message in the pulse")
        wait_until(lambda: all(seen("depth", each) for each in DOMAINS), "a look at every domain")
        assert seen("oldest_seconds")
        unknown = hour()["rooms"][0]
        assert [unknown[name] for name in ("depth", "in", "out", "failed")] == [None] * 4


@pytest.mark.on_sqlite
def test_only_staff_is_told(start_system: StartSystem) -> None:
    system = start_system("api", ADMIN_PASSWORD=ADMIN_PASSWORD)

    assert httpx.get(f"{system.url}/api/ops/hour").status_code == 401


def room(status: str, waiting: int = 0) -> RoomLine:
    return RoomLine(
        queue_id="sale",
        name="Sale",
        status=status,
        waiting=waiting,
        inside=0,
        capacity=1,
        line_max=1_000,
        admission_rate=1.0,
    )


def mail(**changes: Any) -> MailView:
    calm: dict[str, Any] = {
        "messages": 0,
        "deferred": 0,
        "frozen": 0,
        "oldest_seconds": None,
        "trend": "stable",
        "hosts": [],
        "too_many": {},
    }
    return MailView(**{**calm, **changes})


def kinds(**seen: Any) -> list[tuple[str, str]]:
    """Return kind and target of what needs a person, in the order of the page."""
    nothing: dict[str, Any] = {
        "components": {},
        "messages": None,
        "rooms": None,
        "rooms_oldest_s": None,
        "mail": None,
        "tickets": None,
    }
    return [(each.kind, each.id or each.about) for each in notices(Seen(**{**nothing, **seen}))]


def test_rooms_that_let_nobody_in_and_long_waits_need_a_person() -> None:
    assert kinds(rooms=[room("active", 3)], rooms_oldest_s=3_600) == []
    assert kinds(rooms=[room("paused")]) == [("room_paused", "sale")]
    assert kinds(rooms=[room("paused", 3)]) == [("room_stands", "sale")]
    assert kinds(rooms=[room("active", 900)]) == [("room_full", "sale")]
    assert kinds(rooms=[room("active", 3)], rooms_oldest_s=3_661) == [("visitor_waits", "")]


def test_the_notice_of_an_old_message_names_the_queue_in_which_it_waits() -> None:
    counts = dict.fromkeys(("queued", "delayed", "processing", "acknowledged", "dead"), 0)
    seen = MessagesView(**counts, oldest_seconds=901, oldest_queue="letters")

    assert kinds(messages=seen) == [("messages_old", "letters")]


def test_faults_come_before_warnings() -> None:
    silent = MailHostView(name="mx1", is_alive=False, messages=0)

    found = kinds(rooms=[room("paused")], mail=mail(hosts=[silent], frozen=2, too_many={"mx2": 9}))

    assert found == [
        ("mail_host_silent", "mx1"),
        ("room_paused", "sale"),
        ("mail_many", "mx2"),
        ("mail_frozen", ""),
    ]
