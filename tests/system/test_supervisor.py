"""`stanchion up`, started as a person starts it, and hurt in every way that it must survive."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from api.supervisor.instance import prepare_data_folder
from models.settings import SettingsError, redis_socket_path
from tests.postgresql import PostgresqlServer
from tests.processes import children_of, wait_until_ended
from tests.servers import Process, RedisServer, free_port, wait_until
from tests.system.supervised import PROGRAMS, Up

# Its module-wide instance starts once, in one worker of xdist.
pytestmark = pytest.mark.xdist_group("supervisor")


@pytest.fixture
def new_up(new_folder: Callable[[str], Path]) -> Iterator[Callable[..., Up]]:
    """Makes an `up` of its own for a test, not yet started."""
    made: list[Up] = []

    def make(**settings: str) -> Up:
        made.append(Up(new_folder("u"), **settings))
        return made[-1]

    yield make
    for up in made:
        if hasattr(up, "process"):
            up.process.stop()


@pytest.fixture(scope="module")
def up(new_folder: Callable[[str], Path]) -> Iterator[Up]:
    """One that runs; a test waits until what it hurt is well again."""
    started = Up(new_folder("u"))
    started.start_ready()
    yield started
    wait_until(started.all_run, "everything runs", process=started.process)
    started.stop_clean(signal.SIGTERM)


# Starting ------------------------------------------------------------------------------------


def test_the_first_start_tells_a_newcomer_everything_once(new_up: Callable[..., Up]) -> None:
    up = new_up()
    first = up.start_ready("first")
    secrets = json.loads((up.data / "secrets.json").read_text())
    said = first.log()
    assert f"http://{up.bind}" in said
    assert f"http://{up.flower}" in said
    assert secrets["admin_password"] in said
    assert secrets["admin_key"] in said
    up.stop_clean(signal.SIGINT)

    second = up.start_ready("second")

    assert f"ready: http://{up.bind}" in second.log()
    assert not any(secret in second.log() for secret in secrets.values())
    up.stop_clean(signal.SIGHUP)


def test_the_request_that_it_shows_works(up: Up) -> None:
    lines = up.process.log().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  curl "))
    script = "\n".join(lines[at : at + 3]).replace("curl ", "curl -sSf ")

    process = Process(["sh", "-c", script], log_path=up.data.parent / "curl.log")

    assert process.wait() == 0
    assert '"hello": "world"' in process.log().replace('":"', '": "')


def test_the_data_folder_is_its_owners_alone(up: Up) -> None:
    for path in (up.data, up.data / "run", up.data / "redis"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    assert list((up.data / "run").iterdir()) == []


def test_a_second_instance_says_who_runs(up: Up) -> None:
    code, said = up.run("up")

    assert code == 1
    assert said.count("\n") == 1
    assert f"already running in {up.data} as process {up.process.pid}" in said
    assert up.all_run()


def test_a_busy_port_is_named_before_anything_starts(new_up: Callable[..., Up]) -> None:
    up = new_up()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        up.environ["STANCHION_FLOWER_BIND"] = address

        code, said = up.run("up")

    assert code == 1
    assert said == (
        f"stanchion: cannot listen on {address} (STANCHION_FLOWER_BIND): address already in use\n"
    )
    assert not (up.data / "stanchion.db").exists()
    assert not (up.data / "redis.sock").exists()


def test_a_public_address_without_a_key_does_not_start(new_up: Callable[..., Up]) -> None:
    up = new_up(BIND=f"0.0.0.0:{free_port()}")

    code, said = up.run("up")

    assert code == 2
    assert said.startswith("stanchion: STANCHION_SECRET_KEY: expected a key")
    assert not up.data.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(SettingsError, match="must be empty or of mode 0700"):
        prepare_data_folder(tmp_path)

    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_what_an_operator_gives_is_used_and_not_shown(
    new_up: Callable[..., Up], redis_server: RedisServer, postgresql_server: PostgresqlServer
) -> None:
    up = new_up(
        REDIS_URL=redis_server.url,
        DATABASE_URL=postgresql_server.create_database("up"),
        LOG_FORMAT="json",
        SECRET_KEY="given-secret-key",
        ADMIN_KEY="given-admin-key",
        ADMIN_PASSWORD="given-admin-password",
    )
    process = up.start()
    wait_until(lambda: len(up.children()) == 4, "everything runs", process=process)

    assert set(up.children()) == set(PROGRAMS) - {"redis"}
    assert not (up.data / "stanchion.db").exists()
    lines = [json.loads(line) for line in process.log().splitlines()]
    assert any("X-API-KEY" in line["event"] for line in lines)
    assert "given-" not in process.log()


def test_it_says_when_a_redis_of_ones_own_is_away(new_up: Callable[..., Up]) -> None:
    process = new_up(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0").start()

    wait_until(
        lambda: "but redis cannot be reached" in process.log(),
        "it says so",
        process=process,
        timeout_s=90,
    )

    assert "Stanchion is ready" in process.log()


# Staying up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_program_is_started_again(up: Up, name: str) -> None:
    wait_until(up.all_run, "everything runs", process=up.process)
    killed = up.children()[name]
    others = children_of(killed)

    os.kill(killed, signal.SIGKILL)

    wait_until(
        lambda: up.children().get(name, killed) != killed and up.is_healthy(),
        f"{name} runs again",
        process=up.process,
    )
    wait_until_ended(others)


def test_a_message_survives_that(up: Up) -> None:
    url = f"http://{up.bind}/api/queue/message"
    sent = httpx.post(url, json={"type": "survivor", "payload": {"n": 1}}).json()
    wait_until(lambda: set(up.children()) >= {"redis", "api"}, "both run", process=up.process)

    for name in ("redis", "api"):
        os.kill(up.children()[name], signal.SIGKILL)

    wait_until(
        lambda: httpx.get(url, params={"type": "survivor"}).json()["id"] == sent["id"],
        "the message is there",
        process=up.process,
    )


def test_nothing_outlives_a_killed_supervisor(new_up: Callable[..., Up]) -> None:
    up = new_up()
    first = up.start_ready()
    wait_until(lambda: children_of(up.children()["api"]), "gunicorn has a worker", process=first)
    orphans = up.descendants()

    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = up.start_ready("second")  # at once: it waits for what is left

    wait_until_ended(orphans)
    assert second.stop(signal.SIGINT) == 0


# Stopping ------------------------------------------------------------------------------------


def test_a_signal_in_the_middle_of_the_start_stops_it(new_up: Callable[..., Up]) -> None:
    up = new_up()
    process = up.start()
    wait_until(lambda: "redis" in up.children(), "redis runs", process=process)

    assert process.stop(signal.SIGTERM) == 0
    assert children_of(process.pid) == []


def test_a_second_signal_kills_at_once(new_up: Callable[..., Up]) -> None:
    up = new_up()
    process = up.start_ready()
    wait_until(lambda: " ready." in process.log(), "the worker is ready", process=process)
    everybody = up.descendants()
    os.kill(up.children()["worker"], signal.SIGSTOP)  # it will not hear the first
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in process.log(), "it stops", process=process)

    assert process.stop(signal.SIGINT) == 0

    assert "did not stop" not in process.log()
    wait_until_ended(everybody)


def test_a_damaged_file_does_not_keep_the_house_from_starting(new_up: Callable[..., Up]) -> None:
    up = new_up()
    first = up.start()
    wait_until(lambda: "redis" in up.children(), "redis runs", process=first)
    url = f"unix://{redis_socket_path(str(up.data))}"
    with redis.Redis.from_url(url) as client:
        wait_until(lambda: client.set("kept", 1), "redis answers", process=first)
    first.stop()
    [path] = (up.data / "redis" / "appendonlydir").glob("*.incr.aof")
    with path.open("ab") as file:
        file.write(b"\0" * 100)

    second = up.start_ready("second")

    assert "its last 100 bytes are now in cut-" in second.log()
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"1"


def test_flower_lists_the_tasks_that_ran(up: Up) -> None:
    password = json.loads((up.data / "secrets.json").read_text())["admin_password"]

    def names() -> set[str]:
        answer = httpx.get(f"http://{up.flower}/api/tasks", auth=("admin", password))
        return {task["name"] for task in answer.raise_for_status().json().values()}

    wait_until(lambda: {"messages.expire", "system.tick"} <= names(), "Flower has seen them")
