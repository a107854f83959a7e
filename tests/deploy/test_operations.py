"""The commands of docs/operations.md, in the order of the page, on one running instance."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgresql import PostgresqlServer
from tests.servers import ROOT, RedisServer, System

PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text for language, text in BLOCKS if language == "sh"]


@pytest.fixture(scope="module")
def instance(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path
) -> Iterator[tuple[System, Path]]:
    """API, worker, beat and Flower's port on SQLite in the data folder, and where to work."""
    folder = tmp_path_factory.mktemp("ops")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "stanchion.db").write_bytes(migrated_file.read_bytes())
    redis_folder = folder / "r"
    redis_folder.mkdir()
    with (
        RedisServer(redis_folder, appends=True) as server,
        System(
            data, database_url=f"sqlite:///{data}/stanchion.db", redis_url=server.url
        ) as started,
    ):
        yield started, folder


def test_each_block_says_whether_it_is_run() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "text"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split("\n")[0][:40])
def test_command_works(instance: tuple[System, Path], command: str) -> None:
    system, folder = instance
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    stanchion = programs / "stanchion"
    stanchion.write_text(f'#!/bin/sh\nexec {sys.executable} -m api.cli "$@"\n')
    stanchion.chmod(0o755)
    address = system.url.partition("://")[2]

    answer = subprocess.run(
        ["sh", "-eu"],
        input=command.replace("127.0.0.1:8080", address),
        check=False,
        cwd=folder,
        env={**system._environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_secrets_that_were_made_are_all_there(instance: tuple[System, Path]) -> None:
    _, folder = instance
    wanted = re.findall(r"^(\w+)=$", (ROOT / "deploy" / "compose.env").read_text(), re.MULTILINE)

    subprocess.run(["sh", "-eu"], input=COMMANDS[0], check=True, cwd=folder, text=True)
    made = dict(re.findall(r"^(\w+)=(\w+)$", (folder / ".env").read_text(), re.MULTILINE))

    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert set(made) == set(wanted)
    assert len(set(made.values())) == len(wanted)
    assert all(len(value) == 32 for value in made.values())


def test_a_backup_of_postgresql_brings_everything_back(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    [script] = [text for _, text in BLOCKS if text.startswith("pg_dump")]
    url = postgresql_server.create_database("stanchion", template="migrated")
    change = "UPDATE message_counter SET n = n + 1"
    with psycopg.connect(url, autocommit=True) as connection:
        row = ("1", "default", "", "queued", 41)
        connection.execute("INSERT INTO message_counter VALUES (%s, %s, %s, %s, %s)", row)
        commands = iter(script.splitlines(keepends=True))
        run(postgresql_server, next(commands), tmp_path)
        connection.execute(change)
    run(postgresql_server, "".join(commands), tmp_path)

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM message_counter").fetchall() == [(41,)]


def run(server: PostgresqlServer, script: str, folder: Path) -> None:
    programs = Path(str(server.program("pg_dump"))).resolve().parent
    answer = subprocess.run(
        ["sh", "-eu"],
        input=script,
        check=False,
        cwd=folder,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGHOST": str(server.folder),
            "PGUSER": "stanchion",
        },
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
