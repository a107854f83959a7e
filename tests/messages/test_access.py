"""Who may use the messages queue: with SECRET_KEY, and without it on loopback."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import RedisServer, System

# The guard stands before every database.
pytestmark = pytest.mark.on_sqlite

UNAUTHORIZED = {"error": "Unauthorized", "message": "Invalid or missing API key"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/api/doc", 200),
        ("/api/reference", 200),
        ("/api/queue/metrics", 401),
        ("/api/queue/message?timeout=0", 401),
        ("/api/queue/nothing", 401),
    ],
)
def test_key_is_needed_where_the_contract_says(keyed: httpx.Client, path: str, status: int) -> None:
    assert keyed.get(path).status_code == status


def test_refusal_is_in_the_contracts_words(keyed: httpx.Client) -> None:
    for headers in ({}, {"X-API-KEY": "wrong"}, {"X-API-KEY": ""}, {"X-API-KEY": "s3cret2"}):
        answer = keyed.post("/api/queue/message", json={"payload": {}}, headers=headers)
        assert answer.status_code == 401
        assert {name: answer.json()[name] for name in UNAUTHORIZED} == UNAUTHORIZED


def test_key_opens(keyed: httpx.Client) -> None:
    headers = {"X-API-KEY": "s3cret"}

    stored = keyed.post("/api/queue/message", json={"payload": {}}, headers=headers)
    taken = keyed.get("/api/queue/message?timeout=5", headers={**headers, "Host": "q.example"})

    assert (stored.status_code, taken.status_code) == (201, 200)


def test_events_are_open_without_the_words_of_consumers(keyed: httpx.Client) -> None:
    headers = {"X-API-KEY": "s3cret"}
    with (
        keyed.stream("GET", "/api/queue/events") as blind,
        keyed.stream("GET", "/api/queue/events", headers=headers) as seeing,
    ):
        lines = [blind.iter_lines(), seeing.iter_lines()]
        keyed.post("/api/queue/message", json={"payload": {"a": "private"}}, headers=headers)
        leased = keyed.get("/api/queue/message?timeout=5&consumer_id=me", headers=headers).json()
        keyed.post(
            f"/api/queue/message/{leased['id']}/nack",
            json={"lock_token": leased["lock_token"], "error": "private"},
            headers=headers,
        )
        told = [next(line for line in one if '"error"' in line) for one in lines]

    assert told[0] == f'data: {{"id":"{leased["id"]}","error":null}}'
    assert told[1] == f'data: {{"id":"{leased["id"]}","error":"private"}}'


def test_without_a_key_only_own_names_are_served(http: httpx.Client) -> None:
    answer = http.get("/api/queue/metrics", headers={"Host": "rebound.example"})

    assert answer.status_code == 403
    assert "STANCHION_SECRET_KEY" in answer.json()["message"]
    for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
        assert http.get("/api/queue/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_without_a_key_other_sites_pages_are_refused(
    http: httpx.Client, headers: dict[str, str]
) -> None:
    assert http.get("/api/queue/message?timeout=0", headers=headers).status_code == 403


def test_without_a_key_a_proxy_of_this_machine_lets_no_stranger_in(http: httpx.Client) -> None:
    headers = {"Host": "localhost", "X-Forwarded-For": "203.0.113.9"}

    answer = http.get("/api/queue/metrics", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "local_only")


def test_without_a_key_own_pages_may_call(http: httpx.Client) -> None:
    headers = {"Origin": str(http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}

    assert http.get("/api/queue/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_without_a_key_only_json_is_read(http: httpx.Client, content_type: str) -> None:
    answer = http.post(
        "/api/queue/message", content=b'{"payload": {}}', headers={"Content-Type": content_type}
    )

    assert answer.status_code == 400
    assert list(answer.json()["details"]) == ["Content-Type"]


def test_metrics_are_for_this_machine(http: httpx.Client) -> None:
    forwarded = http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})

    assert http.get("/metrics").status_code == 200
    assert forwarded.status_code == 403


@pytest.fixture(scope="module")
def keyed_system(
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    redis_server: RedisServer,
) -> Iterator[System]:
    with System(
        new_folder("k"),
        database_url=new_database_url(),
        redis_url=redis_server.url,
        processes=("api",),
        settings={"SECRET_KEY": "s3cret"},
    ) as system:
        yield system


@pytest.fixture
def keyed(keyed_system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=keyed_system.url, timeout=20) as client:
        yield client
