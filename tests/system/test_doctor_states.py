"""`stanchion doctor --json` on a house with one part at fault: which row says so, and how."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from api.doctor.reach import check_proxy
from models.database import Database
from models.mail.tables import host
from models.settings import load_settings
from tests.conftest import StartSystem
from tests.servers import ROOT, System, wait_until

Row = dict[str, str]


def doctor(system: System, *, exim: str = "off", **settings: str) -> tuple[int, list[Row]]:
    """Run the command as an operator would, and return its exit code and its rows."""
    given = {
        "DATA": str(system.folder),
        "DATABASE_URL": system.database_url,
        "REDIS_URL": system.redis_url,
        "BIND": system.url.removeprefix("http://"),
        "TIMEZONE": "UTC",
        "EXIM": exim,
        **settings,
    }
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    environ |= {f"STANCHION_{name}": value for name, value in given.items()}
    command = [sys.executable, "-m", "api.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=120)
    rows: list[Row] = json.loads(done.stdout)
    return done.returncode, rows


def told(rows: list[Row]) -> set[tuple[str, str]]:
    return {(row["subject"], row["fact"]) for row in rows}


def faults(rows: list[Row]) -> dict[str, str]:
    """Return what is at fault by its subject; nothing is without advice."""
    bad = [row for row in rows if row["level"] != "ok"]
    assert [row for row in bad if not row["advice"]] == []
    return {row["subject"]: row["fact"] for row in bad if row["level"] == "fault"}


@pytest.mark.on_sqlite
def test_each_part_that_goes_is_named(start_system: StartSystem) -> None:
    system = start_system()
    code, rows = doctor(system)
    assert (code, faults(rows)) == (0, {})

    system.running["worker"].kill()
    code, rows = doctor(system)
    assert code == 1
    assert "nobody takes from system, messages" in faults(rows)["queues"]

    system.start("worker", command=("api.cli", "worker", "--queues", "system,messages"))

    def told() -> str | None:
        fact = faults(doctor(system)[1])["queues"]
        return fact if fact.startswith("nobody takes from people") else None

    fact = wait_until(told, "it takes what it was told to", process=system.running["worker"])
    assert "mail: what is sent there waits" in fact

    system.redis_server.stop()
    code, rows = doctor(system)
    assert code == 1
    assert {"redis", "workers", "queues"} <= set(faults(rows))
    assert {"ok"} == {row["level"] for row in rows if row["subject"] == "database"}


@pytest.mark.on_sqlite
def test_a_schema_behind_and_a_silent_mail_host_are_named(start_system: StartSystem) -> None:
    system = start_system("api")
    unwatched = ("mail", "an Exim is here, and nothing watches it")
    assert unwatched in told(doctor(system, exim="/bin/true")[1])
    assert unwatched not in told(doctor(system)[1])

    database = Database(system.database_url, connections_max=1, timeout_s=10)
    with database.begin() as connection:
        connection.execute(
            host.insert().values(
                name="mx9", generation=1, number=1, is_whole=True, seen_at_ms=1, first_seen_at_ms=1
            )
        )
    assert faults(doctor(system)[1])["mail"].startswith("mx9 was last heard of")

    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database.close()

    code, rows = doctor(system)
    assert code == 1
    assert faults(rows)["database"].startswith("has schema 0001, this release needs")


@pytest.mark.on_sqlite
def test_secrets_that_others_may_read_or_guess_are_named(start_system: StartSystem) -> None:
    system = start_system("api")
    path = system.folder / "secrets.json"
    path.chmod(0o644)

    code, rows = doctor(system)
    assert code == 1
    assert "others may read it" in faults(rows)["secrets"]

    path.chmod(0o600)
    _, rows = doctor(system, ADMIN_PASSWORD="changeme")
    assert "everybody would try first" in faults(rows)["secrets"]


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("BIND", "0.0.0.0:80", "0.0.0.0:80 can be reached without TLS"),
        ("BROKER_URL", "amqp://u:p@mq.example/", "STANCHION_BROKER_URL leads over a network"),
        ("REDIS_URL", "redis://redis.example/0", "STANCHION_REDIS_URL leads over a network"),
        ("DATABASE_URL", "postgresql://db.example/x?sslmode=prefer", "DATABASE_URL leads over"),
    ],
)
def test_what_goes_in_the_clear_is_named(
    tmp_path: Path, setting: str, value: str, words: str
) -> None:
    environ = {"STANCHION_DATA": str(tmp_path), "STANCHION_SECRET_KEY": "x" * 32}
    quiet = "\n".join(map(str, check_proxy(load_settings(environ), environ)))
    environ[f"STANCHION_{setting}"] = value
    loud = "\n".join(map(str, check_proxy(load_settings(environ), environ)))

    assert words in loud
    assert words not in quiet
