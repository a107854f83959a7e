"""Keys that are made and revoked while the API runs, and what the first of them changes."""

import httpx
import pytest

from tests.conftest import StartSystem
from tests.people.conftest import ADMIN_KEY
from tests.servers import System, free_port, wait_until

# Keys are tried on both databases where they are stored, in test_service.
pytestmark = pytest.mark.on_sqlite

ADMIN = {"X-Admin-Key": ADMIN_KEY}


def make_key(url: str, name: str, scope: str = "messages") -> dict[str, str]:
    answer = httpx.post(
        f"{url}/api/v1/auth/keys", json={"name": name, "scope": scope}, headers=ADMIN
    )
    return {"X-API-KEY": answer.raise_for_status().json()["data"]["key"]}


def revoke_key(url: str, name: str) -> None:
    httpx.delete(f"{url}/api/v1/auth/keys/{name}", headers=ADMIN).raise_for_status()


def asks(url: str, headers: dict[str, str] | None = None) -> int:
    return httpx.get(f"{url}/api/queue/metrics", headers=headers).status_code


def test_a_key_opens_at_once_and_not_for_long_after_it_is_revoked(running: System) -> None:
    key = make_key(running.url, "brief")

    assert asks(running.url, key) == 200
    revoke_key(running.url, "brief")
    wait_until(lambda: asks(running.url, key) == 401, "the revoked key opens nothing")


def test_the_first_key_closes_what_was_open(start_system: StartSystem) -> None:
    system = start_system("api", ADMIN_KEY=ADMIN_KEY)
    assert asks(system.url) == 200

    key = make_key(system.url, "first", "rooms")

    wait_until(lambda: asks(system.url) == 401, "the queue asks for a key")
    assert asks(system.url, key) == 401  # of another scope
    revoke_key(system.url, "first")
    wait_until(lambda: asks(system.url) == 200, "the queue is this machine's again")


def test_with_a_made_key_a_public_address_is_served_and_stays_closed(
    start_system: StartSystem,
) -> None:
    system = start_system("api", ADMIN_KEY=ADMIN_KEY)
    key = make_key(system.url, "first")
    port = free_port()
    system.running["api"].stop()
    system._environ["STANCHION_BIND"] = f"0.0.0.0:{port}"
    url = f"http://127.0.0.1:{port}"

    process = system.start("api")

    wait_until(lambda: httpx.get(f"{url}/health").is_success, "the API answers", process=process)
    assert (asks(url), asks(url, key)) == (401, 200)
    revoke_key(url, "first")
    wait_until(lambda: asks(url, key) == 401, "the revoked key opens nothing")
    assert asks(url, {"Host": "localhost"}) == 401  # nothing opens for want of a key


@pytest.mark.parametrize("shown", ["", "stn_", "é", "x" * 5_000])
def test_what_is_no_key_is_refused(running: System, shown: str) -> None:
    answer = httpx.get(f"{running.url}/api/queue/metrics", headers={b"X-API-KEY": shown.encode()})

    assert answer.status_code == 401
    assert answer.json()["message"] == "Invalid or missing API key"


def test_keys_go_on_while_the_database_is_away(start_system: StartSystem) -> None:
    system = start_system("api", ADMIN_KEY=ADMIN_KEY, SECRET_KEY="the secret key of this test")

    assert asks(system.url, {"X-API-KEY": "the secret key of this test"}) == 200
    assert asks(system.url, {"X-API-KEY": "another"}) == 401


def test_log_ins_are_limited_by_address_and_say_so(start_system: StartSystem) -> None:
    system = start_system("api", LOGINS_PER_MINUTE_MAX="3", LOGIN_FAILURES_MAX="1000")
    url = f"{system.url}/api/v1/auth/login"

    def log_in(address: str) -> httpx.Response:
        body = {"username": "nobody", "password": "x"}
        return httpx.post(url, json=body, headers={"X-Forwarded-For": address})

    # A minute may end in between: then the window is new, and the next four are in one.
    for _ in range(2):
        answers = [log_in("2001:db8::1") for _ in range(4)]
        if len({each.headers["X-RateLimit-Reset"] for each in answers}) == 1:
            break

    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.headers["X-RateLimit-Limit"] == "3"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert int(refused.headers["X-RateLimit-Reset"]) % 60 == 0
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json() == {
        "success": False,
        "error": "Rate limit exceeded: 3 logins a minute",
    }
    assert log_in("2001:db8::2").status_code == 429  # of the same subscriber
    assert log_in("2001:db8:1::1").status_code == 401
