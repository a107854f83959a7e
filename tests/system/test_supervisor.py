"""`stanchion up`, started as a person starts it, and hurt in every way that it must survive."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from api.supervisor.child import Child, Program
from api.supervisor.embedded import mend
from api.supervisor.instance import prepare_data_folder
from api.supervisor.output import LinePump, Output
from models.settings import SettingsError, redis_socket_path
from tests.servers import ROOT, PostgresqlServer, Process, RedisServer, free_port, wait_until

# Its module-wide instance starts once, in one worker of xdist.
pytestmark = pytest.mark.xdist_group("supervisor")
PROGRAMS = ("redis", "api", "worker", "beat", "flower")


class Up:
    """One `stanchion up` on a data folder and ports of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data = folder / "d"
        self.bind, self.flower = (f"127.0.0.1:{free_port()}" for _ in range(2))
        given = {
            "BIND": self.bind,
            "FLOWER_BIND": self.flower,
            "DATA": str(self.data),
            "TIMEZONE": "UTC",
            **settings,
        }
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            **{f"STANCHION_{name}": value for name, value in given.items()},
        }
        self._folder = folder
        self.process: Process

    def start(self, log: str = "log") -> Process:
        self.process = Process(
            [sys.executable, "-m", "api.cli", "up"],
            log_path=self._folder / log,
            environ=self.environ,
        )
        return self.process

    def start_ready(self, log: str = "log") -> Process:
        self.start(log)
        wait_until(self.all_run, "everything runs", process=self.process)
        wait_until(self.is_healthy, "the API answers", process=self.process)
        return self.process

    def stop_clean(self, number: signal.Signals) -> None:
        """Stop it with a signal, and see that nothing is left of it."""
        everybody = self.descendants()
        assert self.process.stop(number) == 0
        assert not any(map(is_alive, everybody))
        assert "killed" not in self.process.log()
        assert not (self.data / "redis.sock").exists()

    def is_healthy(self) -> bool:
        return httpx.get(f"http://{self.bind}/health").status_code == 200

    def all_run(self) -> bool:
        return set(self.children()) == set(PROGRAMS)

    def children(self) -> dict[str, int]:
        """Return the process id of each program by its name."""
        named = {}
        for pid in children_of(self.process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                # Redis says itself where it listens, in place of its arguments.
                named[words[4].decode() if b"api.cli" in words else "redis"] = pid
        return named

    def descendants(self) -> list[int]:
        children = children_of(self.process.pid)
        return children + [pid for child in children for pid in children_of(child)]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run another command with the same settings; return its exit code and what it said."""
        path = self._folder / "command.log"
        path.unlink(missing_ok=True)
        process = Process(
            [sys.executable, "-m", "api.cli", *arguments], log_path=path, environ=self.environ
        )
        return process.wait(30), process.log()


def children_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may hold anything; the state and the parent follow it.
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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
    assert not any(map(is_alive, others))


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

    assert not any(map(is_alive, orphans))
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
    assert not any(map(is_alive, everybody))


# A program -----------------------------------------------------------------------------------


class Heard(Output):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("text", color=False)
        self.lines: list[str] = []

    def _write(self, line: str) -> None:
        self.lines.append(line)


def child_of(script: str, folder: Path, heard: Heard) -> Child:
    program = Program(name="api", command=["sh", "-c", script], kill_after_s=1)
    lock = os.open(folder, os.O_RDONLY)
    return Child(program, environ=os.environ, folder=folder, lock=lock, output=heard)


async def test_a_program_that_keeps_failing_is_given_ever_longer_pauses(tmp_path: Path) -> None:
    heard = Heard()
    child = child_of("exit 3", tmp_path, heard)
    running = asyncio.create_task(child.keep_running())

    async with asyncio.timeout(20):
        while len(heard.lines) < 3:  # noqa: ASYNC110 (lines are no event)
            await asyncio.sleep(0.02)
        await child.stop()
        await running

    assert heard.lines == [
        f"up      | api ended with 3; again in {pause} s" for pause in ("0.5", "1", "2")
    ]


async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    heard = Heard()

    code = await child_of("sleep 600 & echo $!; exit 4", tmp_path, heard).run_once()

    assert code == 4
    assert not is_alive(int(heard.lines[0].split()[-1]))


async def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    heard = Heard()
    child = child_of("trap '' TERM; echo up; while :; do sleep 0.1; done", tmp_path, heard)
    running = asyncio.create_task(child.keep_running())
    async with asyncio.timeout(20):
        while not heard.lines:  # noqa: ASYNC110 (lines are no event)
            await asyncio.sleep(0.02)

        await child.stop()
        await running

    assert heard.lines[1:] == ["up      | api did not stop and is killed"]


async def test_any_output_is_survived(tmp_path: Path) -> None:
    heard = Heard()

    code = await child_of(
        "head -c 300000 /dev/urandom; head -c 300000 /dev/zero; printf '\\033[2Jend'",
        tmp_path,
        heard,
    ).run_once()

    assert code == 0
    assert heard.lines[-1].endswith("\\x1b[2Jend")
    assert all(line.replace("\t", "").isprintable() for line in heard.lines)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_they_arrive(data: bytes, cuts: list[int]) -> None:
    whole, pieces = (pumped([data]), pumped(parts_of(data, cuts)))

    assert pieces == whole
    assert len(whole) == len(data.removesuffix(b"\n").split(b"\n")) or data == b""


def parts_of(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


def pumped(parts: list[bytes]) -> list[str]:
    lines: list[str] = []
    pump = LinePump(lines.append)
    for part in parts:
        pump.data_received(part)
    pump.connection_lost(None)
    return lines


# The embedded Redis --------------------------------------------------------------------------


@pytest.fixture
def written(new_folder: Callable[[str], Path]) -> Iterator[tuple[RedisServer, Path, Path]]:
    """A stopped Redis with a hundred keys, its folder, and its append-only file."""
    folder = new_folder("a")
    with RedisServer(folder, appends=True) as server:
        with redis.Redis.from_url(server.url) as client:
            for number in range(100):
                client.set(f"k{number}", number)
            client.pipeline(transaction=True).set("a", 1).set("b", 2).execute()
        server.stop()
        yield server, folder, next((folder / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"*3\r\n$3\r\nSET\r\nrubbish", b"*-1\r\n"])
def test_a_damaged_end_is_cut_off_and_kept(
    written: tuple[RedisServer, Path, Path], garbage: bytes
) -> None:
    server, folder, path = written
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)

    said = mend(folder)

    assert said is not None
    assert f"its last {len(garbage)} bytes" in said
    assert path.read_bytes() == whole
    assert [kept.read_bytes() for kept in folder.glob("cut-*.aof")] == [garbage]
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 102


def test_a_whole_file_is_left_as_it_is(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    before = path.read_bytes()

    assert mend(folder) is None
    assert path.read_bytes() == before


def test_a_transaction_is_cut_off_whole(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"*1\r\n$4\r\nEXEC\r\n") + b"\0")

    mend(folder)

    assert path.read_bytes() == whole[: whole.index(b"*1\r\n$5\r\nMULTI\r\n")]


def test_much_damage_is_told_and_not_touched(written: tuple[RedisServer, Path, Path]) -> None:
    _, folder, path = written
    damaged = path.read_bytes() + b"\0" * 2_000_000
    path.write_bytes(damaged)

    said = mend(folder)

    assert said is not None
    assert "is damaged from byte" in said
    assert path.read_bytes() == damaged


def test_no_file_is_no_damage(tmp_path: Path) -> None:
    assert mend(tmp_path) is None


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
