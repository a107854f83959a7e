"""`stanchion user` and `stanchion key`: what they say to people and to programs."""

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.cli import main
from models.database import Database
from models.people.digests import digest_of
from models.people.passwords import is_password
from models.people.statements import keys, users
from tests.servers import ROOT


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Said]


@pytest.fixture
def command(
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command on the emptied database; `given` goes to its standard input."""
    assert database is not None
    monkeypatch.setenv("STANCHION_DATA", str(tmp_path))
    monkeypatch.setenv("STANCHION_DATABASE_URL", database_url)
    monkeypatch.setenv("STANCHION_ADMIN_PASSWORD", "short")

    def run(*arguments: str, given: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse ends the program itself
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run


def add(command: Command, name: str, *options: str) -> Said:
    arguments = ("user", "add", name, "--password-stdin", *options)
    return command(*arguments, given="good password\n")


def test_a_user_is_made_listed_and_disabled(command: Command, database: Database) -> None:
    made = add(
        command,
        *("Lan", "--role", "officer", "--counter", "3", "--full-name", "Lan N.", "--json"),
    )
    disabled = command("user", "disable", "lan", "--json")
    listed = command("user", "list")

    told = json.loads(made.stdout)
    assert (made.returncode, made.stderr) == (0, "")
    assert told == {
        "id": told["id"],
        "username": "lan",
        "role": "officer",
        "full_name": "Lan N.",
        "counter_id": 3,
        "active": True,
        "last_login_at": None,
    }
    assert json.loads(disabled.stdout)["active"] is False
    head, row = listed.stdout.splitlines()
    assert head.split() == [
        *("ID", "USERNAME", "ROLE", "FULL_NAME", "COUNTER_ID", "ACTIVE", "LAST_LOGIN_AT")
    ]
    assert "lan" in row
    with database.begin() as connection:
        found = users.by_name(connection, "lan")
    assert found is not None
    assert is_password(found[1], "good password")


def test_a_password_is_changed(command: Command, database: Database) -> None:
    add(command, "lan", "--role", "viewer")

    changed = command("user", "passwd", "lan", "--password-stdin", given="better password\n")

    assert changed.returncode == 0
    with database.begin() as connection:
        found = users.by_name(connection, "lan")
    assert found is not None
    assert is_password(found[1], "better password")


def test_what_cannot_be_done_is_one_line_and_1(command: Command) -> None:
    add(command, "lan", "--role", "viewer")

    for answer, sentence in (
        (add(command, "lan", "--role", "viewer"), "user lan exists"),
        (command("user", "disable", "ghost"), "there is no user ghost"),
        (command("key", "revoke", "ghost"), "there is no key ghost"),
        (command("user", "passwd", "lan", "--password-stdin", given="x\n"), "password: "),
        (command("user", "passwd", "lan"), "password: Expected a terminal, or --password-stdin"),
    ):
        assert answer.returncode == 1
        assert answer.stderr.startswith(f"stanchion: {sentence}")
        assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("user",),
        ("user", "add", "lan"),
        ("user", "add", "lan", "--role", "king"),
        ("key", "add", "x"),
    ],
)
def test_a_mistake_in_the_command_is_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).returncode == 2


def test_a_key_is_shown_once(command: Command, database: Database) -> None:
    made = command("key", "add", "ci", "--scope", "messages", "--json")
    listed = command("key", "list", "--json")

    secret = json.loads(made.stdout)["key"]
    assert secret not in listed.stdout
    [told] = json.loads(listed.stdout)
    assert (told["name"], told["scope"]) == ("ci", "messages")
    with database.begin() as connection:
        [stored] = keys.read_all(connection)
    assert stored.digest == digest_of(secret)
    assert command("key", "revoke", "ci").returncode == 0
    assert json.loads(command("key", "list", "--json").stdout) == []


def test_an_empty_list_is_said_in_words(command: Command) -> None:
    assert command("key", "list").stdout == "none\n"


def test_migrate_makes_the_first_admin_once(command: Command, database: Database) -> None:
    first, second = command("migrate"), command("migrate")

    assert (first.returncode, second.returncode) == (0, 0)
    with database.begin() as connection:
        [admin] = users.read_all(connection)
        found = users.by_name(connection, "admin")
    assert (admin.username, admin.role) == ("admin", "admin")
    assert found is not None
    assert is_password(found[1], "short")


def test_the_commands_of_the_security_page_do_as_it_says(command: Command) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    lines = re.findall(r"^    stanchion (.*)$", page, re.MULTILINE)
    asks = ("user add", "user passwd")  # a terminal is asked for the password

    said = {
        line: command(
            *shlex.split(line),
            *(["--password-stdin"] if line.startswith(asks) else []),
            given="good password\n",
        )
        for line in lines
    }

    assert len(lines) == 7
    assert {line: each.stderr for line, each in said.items() if each.returncode} == {}
    assert "lan" in said["user list"].stdout
    assert "ci" in said["key list"].stdout
