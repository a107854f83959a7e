"""A back-up that is made under load, and a new machine that goes on from it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.rooms.visitors import Hall
from tests.servers import wait_until
from tests.system.supervised import Up

WAITING = 30


@pytest.fixture
def new_up(
    backend: str, new_folder: Callable[[str], Path], request: pytest.FixtureRequest
) -> Iterator[Callable[[], Up]]:
    """Makes a machine with an empty database and stops what runs on it at the end."""
    made: list[Up] = []

    def make() -> Up:
        folder = new_folder("b")
        url = f"sqlite:///{folder}/stanchion.db"
        if backend == "postgresql":
            url = request.getfixturevalue("postgresql_server").create_database(folder.name)
        made.append(Up(folder, DATABASE_URL=url))
        return made[-1]

    yield make
    for up in made:
        if hasattr(up, "process"):
            up.process.stop()


def hall_of(up: Up, stack: ExitStack) -> Hall:
    hall = Hall(SimpleNamespace(url=f"http://{up.bind}", folder=up.data))  # type: ignore[arg-type]
    stack.callback(hall.close)
    return hall


def store_messages(url: str, stored: list[str], is_over: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=30) as http:
        while not is_over.is_set():
            answer = http.post("/api/queue/message", json={"payload": {"n": len(stored)}})
            stored.append(answer.raise_for_status().json()["id"])


def state_of(hall: Hall, room: str, token: str) -> dict[str, Any]:
    answer = hall.status(room, token)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return {name: body[name] for name in ("position", "queue_length", "status")}


def back_up_under_load(old: Up, file: Path) -> list[str]:
    """Make a back-up while messages come in; return those acknowledged before it began."""
    stored: list[str] = []
    is_over = threading.Event()
    url = f"http://{old.bind}"
    load = threading.Thread(target=store_messages, args=(url, stored, is_over))
    load.start()
    try:
        wait_until(lambda: len(stored) > 100, "messages come in")
        acknowledged = list(stored)
        code, said = old.run("backup", str(file))
        assert code == 0, said
        before = len(stored)
        wait_until(lambda: len(stored) > before, "messages go on coming in")
    finally:
        is_over.set()
        load.join()
    return acknowledged


@pytest.mark.xdist_group("supervisor")
def test_a_new_machine_goes_on_where_the_back_up_was_made(
    new_up: Callable[[], Up], new_folder: Callable[[str], Path]
) -> None:
    file = new_folder("f") / "night.tar.gz"
    old, new = new_up(), new_up()
    old.start_ready()
    with ExitStack() as stack:
        hall = hall_of(old, stack)
        room = hall.paused()
        places = [hall.join(room) for _ in range(WAITING)]
        acknowledged = back_up_under_load(old, file)
        waiting = [state_of(hall, room, each["token"]) for each in places]
    old.process.stop()

    code, said = new.run("restore", str(file))
    assert code == 0, said
    new.start_ready()

    with ExitStack() as stack:
        hall = hall_of(new, stack)
        assert [state_of(hall, room, each["token"]) for each in places] == waiting
        assert hall.join(room)["position"] == WAITING + 1
        http = stack.enter_context(httpx.Client(base_url=f"http://{new.bind}", timeout=30))
        found = {http.get(f"/api/queue/message/{each}").status_code for each in acknowledged}
        assert found == {200}
    # Whoever runs it knows the keys already: they are the old ones.
    assert (new.data / "secrets.json").read_bytes() == (old.data / "secrets.json").read_bytes()
    code, said = new.run("restore", "--replace", str(file))
    assert (code, "already running" in said) == (1, True)
