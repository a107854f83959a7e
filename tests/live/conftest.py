"""What live tests share: an API without and one with a key, a relay, and the official client."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.clients import JsClient, OpenJs
from tests.servers import RedisServer, System, free_port, wait_until

HERE = Path(__file__).resolve().parent
KEY = "a-key-of-the-tests"


@pytest.fixture(scope="session")
def js_folder(new_folder: Callable[[str], Path]) -> Path:
    """The official client, installed by its lock."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        reason = "node is not installed (Debian: nodejs npm)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = new_folder("j")
    for path in (HERE / "js").iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def open_js(js_folder: Path) -> Iterator[OpenJs]:
    """Opens official clients of an address and ends them with the test."""
    with ExitStack() as stack:

        def open_client(url: str, **options: Any) -> JsClient:
            return stack.enter_context(JsClient(js_folder, url, **options))

        yield open_client


class Live:
    """An API, and sometimes a relay, whose live side is tested."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.url = system.url
        self.relay_url = ""

    def enqueue(self, count: int = 1, **fields: Any) -> list[str]:
        """Store messages in one commit and return their ids."""
        answer = httpx.post(
            f"{self.url}/api/queue/batch",
            json={"messages": [{"payload": {"n": 1}, **fields}] * count},
            headers={"X-API-KEY": KEY},
            timeout=20,
        )
        return [message["id"] for message in answer.json()["messages"]]


StartLive = Callable[..., Live]


@pytest.fixture(scope="session")
def _start(new_folder: Callable[[str], Path], migrated_file: Path) -> Callable[..., Live]:
    def start(stack: ExitStack, *, relay: bool = False, **settings: str) -> Live:
        server = stack.enter_context(RedisServer(new_folder("r")))
        folder = new_folder("y")
        database = shutil.copy(migrated_file, folder / "stanchion.db")
        relay_bind = f"127.0.0.1:{free_port()}"
        system = System(
            folder,
            database_url=f"sqlite:///{database}",
            redis_url=server.url,
            processes=("api", "relay") if relay else ("api",),
            settings={"RELAY_BIND": relay_bind, **settings},
        )
        system.redis_server = server
        live = Live(stack.enter_context(system))
        if relay:
            live.relay_url = f"http://{relay_bind}"
            wait_for_relay(live)
        return live

    return start


@pytest.fixture
def start_live(_start: Callable[..., Live]) -> Iterator[StartLive]:
    """Starts an API for one test, that may harm it; `relay=True` starts a relay beside it."""
    with ExitStack() as stack:
        yield lambda **settings: _start(stack, **settings)


@pytest.fixture(scope="session")
def live(_start: Callable[..., Live]) -> Iterator[Live]:
    """An API without a key."""
    with ExitStack() as stack:
        yield _start(stack)


@pytest.fixture(scope="session")
def keyed(_start: Callable[..., Live]) -> Iterator[Live]:
    """An API with a key, another site's pages that are welcome, and little patience."""
    with ExitStack() as stack:
        yield _start(
            stack,
            SECRET_KEY=KEY,
            CORS_ORIGINS="https://pages.example",
            SOCKET_AUTHENTICATION_TIMEOUT_S="1",
            SOCKET_MESSAGE_BYTES_MAX="2048",
            SOCKET_MESSAGES_PER_S="5",
        )


def wait_for_relay(live: Live) -> None:
    wait_until(
        lambda: httpx.get(f"{live.relay_url}/health").status_code == httpx.codes.OK,
        "the relay answers",
        process=live.system.running["relay"],
    )


def told(event: list[Any]) -> tuple[str, dict[str, Any]]:
    """Return an event without its offset."""
    name, data, offset = event
    assert isinstance(offset, str)
    return name, json.loads(json.dumps(data))
