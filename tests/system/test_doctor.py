"""What the doctor says of real servers and of settings."""

import argparse
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from api.doctor import examine
from api.doctor.findings import Check, Level
from api.doctor.machine import check_data, check_exim, check_safety, check_settings, check_voice
from api.doctor.rooms import check_rooms
from api.doctor.stores import check_clock, check_database, check_redis
from api.people.commands import key
from models.database import Database
from models.rooms.room import FailMode, Room
from models.rooms.rules import RoomStatus
from models.rooms.statements import rooms
from models.secrets import ensure_secrets
from models.settings import load_settings
from tests.postgresql import PostgresqlServer
from tests.servers import RedisServer, System, free_port


@pytest.fixture
def said(tmp_path: Path, redis_server: RedisServer) -> Callable[..., str]:
    """Runs one check with some settings and returns what it said."""

    def run(check: Check, **given: str) -> str:
        environ = {
            "STANCHION_DATA": str(tmp_path),
            "STANCHION_REDIS_URL": redis_server.url,
            **{f"STANCHION_{name}": value for name, value in given.items()},
        }
        return "\n".join(map(str, check(load_settings(environ), environ)))

    return run


def test_it_finds_no_fault_with_a_house_that_runs(
    system: System, tmp_path: Path, send_through: Callable[[str], None]
) -> None:
    send_through(system.redis_url)  # and no more afterwards
    environ = {
        "STANCHION_DATA": str(tmp_path),
        "STANCHION_DATABASE_URL": system.database_url,
        "STANCHION_REDIS_URL": system.redis_url,
        "STANCHION_BIND": system.url.removeprefix("http://"),
        "STANCHION_EXIM": "off",  # whatever this machine has is no business of a test
    }

    findings = examine(load_settings(environ), environ)

    faults = [str(finding) for finding in findings if finding.level is Level.FAULT]
    # Tests run a PostgreSQL that does not wait for the disk, which is a fault indeed.
    assert [fault for fault in faults if " off: " not in fault] == []
    subjects = {finding.subject for finding in findings}
    assert subjects >= {"database", "redis", "broker", "workers", "beat", "ports", "clock"}


def test_each_setting_is_shown_with_its_source(said: Callable[..., str], tmp_path: Path) -> None:
    ensure_secrets(load_settings({"STANCHION_DATA": str(tmp_path)}))

    text = said(
        check_settings,
        SECRET_KEY="hush-hush",
        ADMIN_KEY="hush-hush",
        DATABASE_URL="postgresql://me:hush-hush@db/x",
    )

    assert "STANCHION_BIND = 127.0.0.1:8080 (default)" in text
    assert f"STANCHION_DATA = {tmp_path} (environment)" in text
    assert "STANCHION_SECRET_KEY = set, not shown (environment)" in text
    assert "STANCHION_ADMIN_PASSWORD = made at the first start (data folder)" in text
    assert "STANCHION_DATABASE_URL = postgresql://me:***@db/x (environment)" in text
    assert "hush-hush" not in text


def test_a_data_folder_that_others_may_read_is_a_warning(
    said: Callable[..., str], tmp_path: Path
) -> None:
    tmp_path.chmod(0o750)

    assert said(check_data).startswith("warn   data")
    tmp_path.chmod(0o700)
    assert said(check_data).startswith("ok     data")


def test_an_empty_database_is_a_fault(said: Callable[..., str]) -> None:
    assert "run `stanchion migrate`" in said(check_database)


def test_a_database_that_forgets_is_a_fault(
    said: Callable[..., str], postgresql_server: PostgresqlServer
) -> None:
    text = said(check_database, DATABASE_URL=postgresql_server.url("migrated"))

    assert "ok     database  answers, schema" in text
    assert "fault  database  has fsync off" in text


@pytest.fixture
def forgetful(redis_client: redis.Redis) -> Iterator[None]:
    """A Redis that drops what it has no room for."""
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    yield
    redis_client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.usefixtures("forgetful")
def test_a_redis_that_forgets_is_a_fault(said: Callable[..., str]) -> None:
    text = said(check_redis)

    assert "fault  redis     drops data when full (allkeys-lru): set noeviction" in text
    assert "warn   redis     has no append-only file" in text


def test_clocks_are_compared(said: Callable[..., str], postgresql_server: PostgresqlServer) -> None:
    text = said(check_clock, DATABASE_URL=postgresql_server.url("migrated"))

    assert text.count("ok     clock") == 2


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("BIND", "0.0.0.0:80", "fault  safety    0.0.0.0:80 is public without a key"),
        ("RELAY_BIND", "[::]:80", "fault  safety    [::]:80 is public without a key"),
        ("SECRET_KEY", "short", "warn   safety    STANCHION_SECRET_KEY has less than"),
        ("FLOWER_BIND", "0.0.0.0:80", "warn   safety    Flower is public"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "warn   safety    STANCHION_TRUSTED_PROXIES"),
        ("CORS_ORIGINS", "*", "warn   safety    STANCHION_CORS_ORIGINS"),
    ],
)
def test_a_choice_that_is_not_safe_is_named(
    said: Callable[..., str], setting: str, value: str, words: str
) -> None:
    assert words in said(check_safety, **{setting: value})
    assert words not in said(check_safety)


def test_a_made_key_makes_a_public_address_safe(
    said: Callable[..., str], migrated_file: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{shutil.copy(migrated_file, tmp_path)}"
    given = {"BIND": "0.0.0.0:80", "DATABASE_URL": url}
    options = argparse.Namespace(action="add", name="a-program", scope="messages", json=True)

    before = said(check_safety, **given)
    key(load_settings({f"STANCHION_{name}": value for name, value in given.items()}), options)

    assert "0.0.0.0:80 is public without a key: set STANCHION_SECRET_KEY" in before
    assert "is public" not in said(check_safety, **given)


def test_what_else_is_not_safe_is_told_while_the_database_is_away(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    environ = {
        "STANCHION_DATA": str(tmp_path),
        "STANCHION_BIND": "0.0.0.0:80",
        "STANCHION_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none",
        "STANCHION_REDIS_URL": redis_server.url,
        "STANCHION_CORS_ORIGINS": "*",
    }

    found = examine(load_settings(environ), environ)

    told = [str(each) for each in found if each.subject == "safety"]
    assert any("lets every web page in" in each for each in told)
    assert any(each.startswith("fault") and "database is unavailable" in each for each in told)


def test_an_exim_that_is_named_must_be_there(said: Callable[..., str]) -> None:
    assert said(check_exim, EXIM="/nowhere/exim -C x").startswith("fault  exim")
    assert said(check_exim, EXIM="sh -C x").startswith("ok     exim")


def test_a_voice_is_looked_for_and_can_be_off(said: Callable[..., str]) -> None:
    assert said(check_voice, ESPEAK="/nowhere/espeak-ng").startswith("warn   voice")
    assert said(check_voice, ESPEAK="sh").startswith("ok     voice")
    assert "is off" in said(check_voice, ESPEAK="off")


def test_rooms_that_can_be_talked_into_or_stand_open_are_named(
    said: Callable[..., str], database: Database, database_url: str
) -> None:
    def make(room_id: str, **settings: Any) -> None:
        room = Room(id=room_id, name="Sale", target_url="https://example.com/", **settings)
        with database.begin() as connection:
            rooms.create(connection, replace(room, secret=bytes(32)))

    make("strict", public_priority_max=0)
    quiet = said(check_rooms, DATABASE_URL=database_url)
    make("invited", invite_only=True)
    make("shut", status=RoomStatus.CLOSED)
    make("boastful")
    make("standing-open", public_priority_max=0, fail_mode=FailMode.OPEN, fail_open_until_ms=1)
    make("unlimited", public_priority_max=0, capacity=0)
    loud = said(check_rooms, DATABASE_URL=database_url)

    assert "1 take visitors" in quiet
    assert "boastful: visitors say themselves which priority they have" in loud
    assert "standing-open: open to everybody while the store is away" in loud
    assert "unlimited: active, and nobody is ever let in: a limit is 0" in loud
    assert not any(room_id in loud for room_id in ("strict", "invited", "shut"))
