"""Nothing called is lost: relay, Redis and API are killed in turn while an officer calls people."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.live.clients import JsClient, OpenJs
from tests.live.conftest import js_folder, open_js  # noqa: F401  # fixtures
from tests.people.conftest import ADMIN_PASSWORD, token_of
from tests.servers import RedisServer, System, free_port, wait_until

VICTIMS: Final = ("relay", "redis", "api")
PAUSE_S_MAX: Final = 1.0  # of calls between one kill and the next
MANY: Final = "1000000"


@dataclass
class Stage:
    """A hall on processes that may be killed; Redis keeps what it wrote, as the embedded does."""

    system: System
    relay_url: str
    counter_id: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def kill(self, victim: str) -> None:
        """End a victim as a crash would, and start it again."""
        if victim == "redis":
            self.system.redis_server.process.kill()
            self.system.redis_server.start()
            return
        self.system.running[victim].kill()
        self.system.start(victim)
        self.wait_for(victim)

    def wait_for(self, role: str) -> None:
        url = self.relay_url if role == "relay" else self.system.url
        wait_until(
            lambda: httpx.get(f"{url}/health").status_code == httpx.codes.OK,
            f"{role} answers",
            process=self.system.running[role],
        )


@dataclass
class Officer:
    """Takes a ticket and calls it, again and again; what was not answered is left."""

    stage: Stage
    is_over: threading.Event = field(default_factory=threading.Event)
    called: int = 0

    def work(self) -> None:
        with httpx.Client(
            base_url=self.stage.system.url, headers=self.stage.headers, timeout=10
        ) as http:
            while not self.is_over.is_set():
                with contextlib.suppress(httpx.TransportError):
                    self.call_one(http)
                time.sleep(0.05)  # a polite client pauses

    def call_one(self, http: httpx.Client) -> None:
        taken = http.post("/app/tickets/", json={"counter_id": self.stage.counter_id})
        if taken.status_code != httpx.codes.CREATED:
            return
        ticket_id = taken.json()["id"]
        answer = http.patch(f"/app/tickets/{ticket_id}", json={"status": "called"})
        self.called += answer.status_code == httpx.codes.OK


@pytest.fixture
def stage(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[Stage]:
    folder, relay_bind = new_folder("k"), f"127.0.0.1:{free_port()}"
    (folder / "stanchion.db").write_bytes(migrated_file.read_bytes())
    with (
        RedisServer(new_folder("r"), appends=True) as server,
        System(
            folder,
            database_url=f"sqlite:///{folder}/stanchion.db",
            redis_url=server.url,
            processes=("api", "relay"),
            settings={
                "RELAY_BIND": relay_bind,
                "ADMIN_PASSWORD": ADMIN_PASSWORD,
                "TICKETS_PER_MINUTE_MAX": MANY,
                "TICKET_CHANGES_PER_MINUTE_MAX": MANY,
            },
        ) as system,
    ):
        system.redis_server = server
        made = Stage(system, f"http://{relay_bind}")
        made.wait_for("relay")
        with httpx.Client(base_url=system.url) as http:
            token = token_of(http, "admin", ADMIN_PASSWORD)
            made.headers = {"Authorization": f"Bearer {token}"}
            answer = http.post("/app/counters/", json={"name": "Quầy 1"}, headers=made.headers)
            made.counter_id = answer.raise_for_status().json()["id"]
        yield made


@pytest.mark.xdist_group("supervisor")
@pytest.mark.parametrize(
    "rounds", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])]
)
def test_every_display_ends_with_every_call_in_order(
    stage: Stage,
    open_js: OpenJs,  # noqa: F811
    rounds: int,
) -> None:
    seed = random.SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 -- shown when it fails
    order = random.Random(seed)
    victims = itertools.islice(
        itertools.chain.from_iterable(order.sample(VICTIMS, k=3) for _ in itertools.count()), rounds
    )
    displays = [
        open_js(f"{stage.relay_url}/ws/queue", **options)
        for options in ({}, {"transports": ["websocket"]})
    ]
    for display in displays:
        display.next_event("initial-queue-state")
    officer = Officer(stage)
    thread = threading.Thread(target=officer.work)
    thread.start()
    try:
        for victim in victims:
            time.sleep(order.uniform(0, PAUSE_S_MAX))
            stage.kill(victim)
            before = officer.called
            wait_until(lambda: officer.called > before, f"calls flow after {victim}")  # noqa: B023
    finally:
        officer.is_over.set()
        thread.join()
    with httpx.Client(base_url=stage.system.url, headers=stage.headers, timeout=20) as http:
        officer.call_one(http)  # what nobody was told yet comes before the next
        calls = list(calls_of(http))

    assert len(calls) >= officer.called
    for display in displays:
        assert heard(display, last=calls[-1][0]) == calls


def calls_of(http: httpx.Client) -> Iterator[tuple[int, str]]:
    """Yield each call that is on disk, and when: what displays tell its age by."""
    ticket_id = 1
    while (answer := http.get(f"/app/tickets/{ticket_id}")).status_code == httpx.codes.OK:
        ticket: dict[str, Any] = answer.json()
        if ticket["status"] == "called":
            yield ticket_id, ticket["updated_at"]
        ticket_id += 1


def heard(display: JsClient, *, last: int) -> list[tuple[int, str]]:
    """Return each call that a display was told of, up to the last one, and when it was."""
    calls: list[tuple[int, str]] = []
    while not calls or calls[-1][0] != last:
        data = display.next_event("queue-announcement")[1]
        calls.append((data["ticket"]["id"], data["timestamp"]))
    return calls
