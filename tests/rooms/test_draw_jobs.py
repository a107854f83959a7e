"""Proofs for draws in the background, on both databases, and for the verifier of the docs."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import delete

from models.database import Database
from models.rooms.draw import Draw, LaneDraw, commitment_of, place_of, secret_of
from models.rooms.draw_jobs import open_drawn_rooms
from models.rooms.room import Room as Settings
from models.rooms.rules import Place
from models.rooms.statements import draws
from models.rooms.statements import rooms as statements
from models.rooms.tables import draw as draw_table
from models.rooms.tables import room as room_table
from tests.rooms.rooms import Room
from tests.servers import ROOT

SECRET = bytes(range(32))
# The job goes by the clock of Redis: these rooms opened long ago, or never will.
PAST_MS = 1_700_000_000_000
FUTURE_MS = 4_000_000_000_000
SALE = Settings(
    id="sale",
    name="Sale",
    target_url="https://example.com",
    secret=SECRET,
    opens_at_ms=PAST_MS,
    draw=True,
    created_at_ms=5,
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database that holds the room and no draw."""
    made = Database(database_url, connections_max=2, timeout_s=10)
    with made.begin() as connection:
        connection.execute(delete(draw_table))
        connection.execute(delete(room_table))
        statements.create(connection, SALE)
    yield made
    with made.begin() as connection:
        connection.execute(delete(draw_table))
        connection.execute(delete(room_table))
    made.close()


def room_of(client: redis.Redis, *, opens_at_ms: int = PAST_MS) -> Room:
    room = Room(client, now_ms=0)
    room.configure(draw=True, opens_at_ms=opens_at_ms, rate_per_s=0)
    return room


def test_job_opens_a_room_and_notes_who_was_drawn(
    database: Database, redis_client: redis.Redis
) -> None:
    room = room_of(redis_client)
    places = room.join_some(25)

    assert open_drawn_rooms(database, redis_client, now_ms=PAST_MS) == ["sale"]

    with database.begin() as connection:
        lanes = draws.read(connection, SALE)
    assert lanes == (LaneDraw(0, 25), LaneDraw(), LaneDraw(), LaneDraw())
    draw = Draw(secret_of(SECRET), lanes)
    positions = [room.locate(place).position for place in places]
    assert positions == [place_of(draw, place).number + 1 for place in places]


def test_job_that_comes_late_and_twice_finds_it_done(
    database: Database, redis_client: redis.Redis
) -> None:
    room = room_of(redis_client)
    places = room.join_some(25)
    open_drawn_rooms(database, redis_client, now_ms=PAST_MS)
    before = [room.locate(place).position for place in places]
    room.join_some(5)

    assert open_drawn_rooms(database, redis_client, now_ms=PAST_MS + 9_000) == ["sale"]

    assert [room.locate(place).position for place in places] == before


def test_job_leaves_a_room_alone_whose_time_has_not_come(
    database: Database, redis_client: redis.Redis
) -> None:
    room_of(redis_client, opens_at_ms=FUTURE_MS).join_some(5)

    assert open_drawn_rooms(database, redis_client, now_ms=PAST_MS) == []


def test_job_passes_over_a_room_that_redis_lost(
    database: Database, redis_client: redis.Redis
) -> None:
    assert open_drawn_rooms(database, redis_client, now_ms=PAST_MS) == []


def test_draw_that_was_noted_stands(database: Database) -> None:
    first, second = (LaneDraw(0, 9),) * 4, (LaneDraw(0, 8),) * 4
    with database.begin() as connection:
        draws.fix(connection, SALE, first, now_ms=1)

    with database.begin() as connection:
        assert draws.fix(connection, SALE, second, now_ms=2) == first


def test_verifier_of_the_docs_works_the_draw_out(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "rooms-draw.md").read_text()
    [program] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "verify.py").write_text(program)
    secret = secret_of(SECRET)
    lanes = (LaneDraw(7, 500), LaneDraw(0, 20), LaneDraw(), LaneDraw())
    record = {
        "algorithm": "stanchion-draw-1",
        "commitment": commitment_of(secret),
        "secret": secret.hex(),
        "lanes": [
            {"priority": lane, "first": drawn.first, "count": drawn.count}
            for lane, drawn in enumerate(lanes)
        ],
    }
    (tmp_path / "draw.json").write_text(json.dumps(record))
    claims = json.dumps({"lane": 0, "number": 130}).encode()
    token = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x"

    said = verify(tmp_path, token, commitment_of(secret))
    wrong = verify(tmp_path, token, commitment_of(b"another"))

    place = place_of(Draw(secret, lanes), Place(0, 130)).number - 7
    assert said.stdout == f"arrival 124 of 500 drew place {place + 1}\n", said.stderr
    assert "another secret was drawn with" in wrong.stderr


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "verify.py", "draw.json", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
