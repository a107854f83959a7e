"""The command `stanchion`: exit codes, answers for programs, and what it refuses to start."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import redis
from celery.app.control import DuplicateNodenameWarning

from models import migrate
from models.vitals import read_vitals
from tests.servers import ROOT, Process, RedisServer, free_port, wait_until
from workers.app import app

ROLES = ("up", "api", "relay", "worker", "beat", "flower")


@pytest.fixture
def start(new_folder: Callable[[str], Path], redis_server: RedisServer) -> Callable[..., Process]:
    """Starts a command on a data folder that stays the same during a test."""
    folder = new_folder("c")
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "STANCHION_DATA": str(folder / "d"),
        "STANCHION_REDIS_URL": redis_server.url,
        "STANCHION_TIMEZONE": "UTC",
    }

    def run(*arguments: str, **settings: str) -> Process:
        path = folder / "log"
        path.unlink(missing_ok=True)
        return Process(
            [sys.executable, "-m", "api.cli", *arguments],
            log_path=path,
            environ=environ | {f"STANCHION_{name}": value for name, value in settings.items()},
        )

    return run


@pytest.fixture
def run(start: Callable[..., Process]) -> Callable[..., tuple[int, str]]:
    """Runs a command and returns its exit code and what it said."""

    def run(*arguments: str, **settings: str) -> tuple[int, str]:
        process = start(*arguments, **settings)
        return process.wait(60), process.log()

    return run


def test_a_mistake_in_the_command_is_2(run: Callable[..., tuple[int, str]]) -> None:
    assert run()[0] == 2
    assert run("enqueue")[0] == 2


def test_a_mistake_in_the_settings_is_2_and_one_line(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("migrate", BNID="127.0.0.1:1")

    assert code == 2
    assert said == "stanchion: STANCHION_BNID: unknown setting; did you mean STANCHION_BIND?\n"


def test_help_lists_each_command(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("--help")

    assert code == 0
    assert all(f"  {role}  " in said for role in (*ROLES, "migrate", "doctor", "version"))


def test_each_command_and_what_it_takes_is_in_the_page_that_lists_them(
    run: Callable[..., tuple[int, str]],
) -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    commands = listed(run("--help")[1])
    actions = [
        f"{command} {action}"
        for command in ("user", "key")
        for action in listed(run(command, "--help")[1])
    ]

    assert {*ROLES, "user", "key"} <= set(commands)
    assert actions
    missing = [each for each in (*commands, *actions) if f"`stanchion {each}" not in page]
    assert missing == []


def listed(text: str) -> list[str]:
    """Return the commands that a help text lists, each in a line of its own."""
    return re.findall(r"^    (\w+) ", text, re.MULTILINE)


def test_help_and_version_load_no_database() -> None:
    program = "import sys; from api.cli import main; main(['version']); print(*sys.modules)"

    said = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.split()

    assert not {"sqlalchemy", "celery", "falcon", "redis", "asyncio"} & set(said)


def test_the_version_is_told_to_people_and_programs(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("version")
    facts = json.loads(run("version", "--json")[1])

    assert code == 0
    assert said == f"stanchion {facts['version']}\n"
    assert facts["schema"] == migrate.head()


def test_a_migration_says_what_it_did(run: Callable[..., tuple[int, str]]) -> None:
    first = run("migrate", "--json")
    second = run("migrate")

    assert first == (0, json.dumps({"was": None, "now": migrate.head()}) + "\n")
    assert second == (0, f"schema {migrate.head()}\n")


@pytest.mark.parametrize("role", ["api", "worker", "beat"])
def test_nothing_starts_on_an_old_schema(run: Callable[..., tuple[int, str]], role: str) -> None:
    code, said = run(role)

    assert code == 1
    assert said == (
        f"stanchion: the database is at empty, expected {migrate.head()}: run `stanchion migrate`\n"
    )


def test_a_database_that_is_away_is_one_line(run: Callable[..., tuple[int, str]]) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"

    code, said = run("api", DATABASE_URL=url)

    assert code == 1
    assert said.startswith("stanchion: database is unavailable: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("role", "setting"), [("api", "BIND"), ("relay", "RELAY_BIND")])
def test_a_public_address_needs_a_key(
    run: Callable[..., tuple[int, str]], role: str, setting: str
) -> None:
    address = f"0.0.0.0:{free_port()}"

    code, said = run(role, **{setting: address})

    assert code == 2
    assert said == (
        "stanchion: STANCHION_SECRET_KEY: expected a key, since"
        f" STANCHION_{setting} has a public address: {address}\n"
    )


def test_the_relay_serves_on_its_own_address(
    run: Callable[..., tuple[int, str]], start: Callable[..., Process]
) -> None:
    run("migrate")
    address = f"127.0.0.1:{free_port()}"

    process = start("relay", RELAY_BIND=address)

    health = lambda: httpx.get(f"http://{address}/health").is_success  # noqa: E731
    wait_until(health, "the relay answers", process=process)
    assert process.stop(signal.SIGTERM) == 0


def test_workers_of_one_machine_have_names_of_their_own(
    run: Callable[..., tuple[int, str]],
    start: Callable[..., Process],
    redis_client: redis.Redis,
    send_through: Callable[[str], None],
    redis_server: RedisServer,
) -> None:
    run("migrate")
    workers = [start("worker"), start("worker")]
    names = {f"worker-{each.pid}@{socket.gethostname()}" for each in workers}
    wait_until(lambda: set(read_vitals(redis_client).worker_seen_at_ms) == names, "both live")
    send_through(redis_server.url)

    with warnings.catch_warnings():
        warnings.simplefilter("error", DuplicateNodenameWarning)
        answers = wait_until(lambda: two_answers(timeout_s=2), "both answer")

    assert {name for answer in answers for name in answer} == names
    assert [each.stop() for each in workers] == [0, 0]


def two_answers(*, timeout_s: float) -> list[dict[str, object]]:
    """Ask all workers whether they are there; empty unless two say so."""
    answers: list[dict[str, object]] = app.control.ping(timeout=timeout_s, limit=2)
    return answers if len(answers) == 2 else []


def test_flower_asks_for_the_password_and_shows_it_to_nobody(
    start: Callable[..., Process],
) -> None:
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}/api/workers"
    process = start("flower", FLOWER_BIND=address, ADMIN_PASSWORD="a:very,odd password")
    refuses = lambda: httpx.get(url).status_code == httpx.codes.UNAUTHORIZED  # noqa: E731
    wait_until(refuses, "Flower refuses", process=process)

    assert httpx.get(url, auth=("admin", "a:very,odd")).status_code == httpx.codes.UNAUTHORIZED
    assert httpx.get(url, auth=("admin", "a:very,odd password")).is_success
    assert b"odd" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert process.stop(signal.SIGTERM) == 0


def test_doctor_finds_fault_with_a_house_that_is_down(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("doctor", "--json", BIND=f"127.0.0.1:{free_port()}")

    assert code == 1
    faults = {found["subject"] for found in json.loads(said) if found["level"] == "fault"}
    assert faults >= {"database", "workers", "beat", "ports"}
