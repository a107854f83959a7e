"""How often a kiosk, an officer and a display may ask, by the contract's numbers."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from models.database import Database
from tests.conftest import StartSystem
from tests.tickets.conftest import ADMIN_PASSWORD, Web


@pytest.fixture
def web(start_system: StartSystem) -> Iterator[Web]:
    system = start_system("api", ADMIN_PASSWORD=ADMIN_PASSWORD)
    database = Database(system.database_url, connections_max=4, timeout_s=10)
    made = Web(system, database)
    yield made
    made.close()
    database.close()


def asked(ask: Callable[[], httpx.Response], requests_max: int) -> httpx.Response:
    """Ask until it is too often, at most into a second window; return the refusal."""
    for _ in range(2 * requests_max + 1):
        answer = ask()
        if answer.status_code == 429:
            return answer
        assert answer.headers["X-RateLimit-Limit"] == str(requests_max)
    pytest.fail("never refused")


@pytest.mark.on_sqlite
def test_limits_are_the_contract_s(web: Web) -> None:
    counter_id = web.make_counter()
    body = {"counter_id": counter_id}
    ticket_id = web.take(counter_id)["id"]
    move = {"status": "called"}

    refusals = [
        asked(lambda: web.anybody.post("/app/tickets/", json=body), 5),
        asked(lambda: web.admin.patch(f"/api/tickets/{ticket_id}", json=move), 30),
        # What officers do at their counters does not count with the papers of the hall.
        asked(lambda: web.admin.post(f"/api/tickets/{ticket_id}/recall"), 30),
        asked(lambda: web.anybody.get("/api/tickets/waiting"), 60),
    ]

    for refusal in refusals:
        assert refusal.json()["error"] == "rate_limited"
        assert refusal.json()["message"].startswith("Quá nhiều yêu cầu")
        assert 0 < int(refusal.headers["Retry-After"]) <= 60
    for scope in ("tickets", "kiosk"):
        key = web.admin.post("/api/v1/auth/keys", json={"name": scope, "scope": scope})
        headers = {"X-API-KEY": key.json()["data"]["key"]}
        exempt = [web.anybody.post("/tickets", json=body, headers=headers) for _ in range(8)]
        assert {each.status_code for each in exempt} == {201}
    # A kiosk stands in a hall: its key opens nothing.
    call = web.anybody.post(f"/app/counters/{counter_id}/call-next", headers=headers)
    assert call.status_code == 401
