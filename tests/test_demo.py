"""`stanchion demo`: every page of a new installation shows something, and a repeat adds nothing."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from models.secrets import secrets_path
from tests.servers import RedisServer, System


@pytest.fixture
def new_house(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API on stores of its own, in which nobody did anything yet."""
    database = shutil.copy(migrated_file, new_folder("s") / "stanchion.db")
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=f"sqlite:///{database}",
            redis_url=server.url,
            processes=("api",),
        ) as system,
    ):
        yield system


def shown(http: httpx.Client) -> tuple[list[tuple[str, int]], int, int]:
    """Return counters with who waits, procedures, and messages."""
    counters = http.get("/app/counters").json()["counters"]
    return (
        [(each["name"], each["total_waiting"]) for each in counters],
        len(http.get("/app/procedures").json()["procedures"]),
        http.get("/api/queue/status").json()["counts"]["queued"],
    )


def test_a_demo_shows_something_everywhere_and_a_repeat_adds_nothing(new_house: System) -> None:
    with httpx.Client(base_url=new_house.url, timeout=30) as http:
        for name in ("first", "second"):
            command = new_house.start("demo", name=name)
            assert command.wait(60) == 0, command.log
            assert shown(http) == ([("Quầy Tư pháp", 3), ("Quầy Hộ tịch", 4)], 4, 12)

        assert http.get("/wait/demo").status_code == 200
        key = json.loads(secrets_path(new_house.folder).read_text())["admin_key"]
        rooms = http.get("/api/v1/admin/queues", headers={"X-Admin-Key": key})
        assert "demo" in rooms.text
