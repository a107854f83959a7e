"""What is told, and what still works, while a store is away."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import migrate
from tests.conftest import StartSystem
from tests.messages.test_contract import put, take
from tests.postgresql import PostgresqlServer
from tests.servers import RedisServer, System, wait_until

PATHS = ("/health", "/api/v1/health", "/health/queue-system")


def test_health_tells_every_component(http: httpx.Client) -> None:
    for path, word in zip(PATHS, ("ok", "healthy", "healthy"), strict=True):
        answer = http.get(path)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["status"], body["success"], body["data"]["status"]) == (word, True, "healthy")
        assert isinstance(body["uptime_seconds"], int)
        assert body["version"] == body["data"]["version"]
        assert body["components"] == dict.fromkeys(
            ("database", "redis", "broker", "workers", "beat"), "healthy"
        )


def test_head_is_answered_for_those_who_only_knock(http: httpx.Client) -> None:
    assert http.head("/health").status_code == 200


def test_worker_and_beat_that_are_silent_degrade_without_taking_the_api_away(
    start_system: StartSystem,
) -> None:
    system = start_system("api")

    answer = httpx.get(f"{system.url}/api/v1/health")

    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
    components = answer.json()["components"]
    assert (components["workers"], components["beat"]) == ("degraded", "degraded")


def test_messages_go_on_while_redis_is_away(start_system: StartSystem) -> None:
    system = start_system("api")
    with httpx.Client(base_url=system.url, timeout=30) as http:
        system.redis_server.stop()
        wait_until(lambda: status_of(http, "/api/v1/health") == 503, "the loss is noticed")

        assert status_of(http, "/health") == 200
        assert http.get("/health").json()["components"]["redis"] == "unhealthy"
        queued = put(http)
        leased = take(http)
        assert leased["id"] == queued["id"]
        held = {"id": leased["id"], "lock_token": leased["lock_token"]}
        assert http.post("/api/queue/ack", json=held).status_code == 200

        system.redis_server.start()
        wait_until(lambda: status_of(http, "/api/v1/health") == 200, "it is well again")
        with http.stream("GET", "/api/queue/events") as events:
            lines = events.iter_lines()
            later = put(http)["id"]
            assert next(line for line in lines if later in line)


@pytest.fixture
def mortal(new_folder: Callable[[str], Path], redis_server: RedisServer) -> Iterator[Any]:
    """An API on a PostgreSQL of its own, which may be stopped."""
    if PostgresqlServer.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with PostgresqlServer(new_folder("p")) as postgresql:
        url = postgresql.create_database("mortal")
        migrate.upgrade(url)
        with System(
            new_folder("y"),
            database_url=url,
            redis_url=redis_server.url,
            processes=("api",),
            settings={"DATABASE_TIMEOUT_S": "2"},
        ) as system:
            yield postgresql, system


def test_database_that_is_away_is_told_and_waited_for(mortal: Any) -> None:
    postgresql, system = mortal
    with httpx.Client(base_url=system.url, timeout=30) as http:
        stored = [put(http)["id"] for _ in range(3)]
        postgresql.stop()

        for answer in (
            http.post("/api/queue/message", json={"payload": {}}),
            http.get("/api/queue/message?timeout=1"),
            http.get("/api/queue/metrics"),
        ):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["message"] == "database is unavailable"
        for path in PATHS:
            wait_until(lambda: status_of(http, path) == 503, f"{path} notices")  # noqa: B023
            assert http.get(path).json()["status"] == "unhealthy"

        postgresql.start()
        wait_until(lambda: status_of(http, "/health") == 200, "it is well again")
        assert [take(http)["id"] for _ in stored] == stored


def status_of(http: httpx.Client, path: str) -> int:
    return http.get(path).status_code
