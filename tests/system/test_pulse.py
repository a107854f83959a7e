"""The pulse of the house over HTTP: kept by real workers by the tick of a real beat."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import StartSystem
from tests.people.conftest import ADMIN_PASSWORD, token_of
from tests.servers import System, wait_until

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
DOMAINS = ["messages", "rooms", "mail", "tickets"]


@contextlib.contextmanager
def staff(system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=system.url, timeout=30) as client:
        token = token_of(client, "admin", ADMIN_PASSWORD)
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


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


def test_only_staff_is_told(start_system: StartSystem) -> None:
    system = start_system("api", ADMIN_PASSWORD=ADMIN_PASSWORD)

    assert httpx.get(f"{system.url}/api/ops/hour").status_code == 401
