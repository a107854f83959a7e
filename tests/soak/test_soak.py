"""All four domains at once at half of what they bear, while every process is killed at random.

What was acknowledged is there, what was printed is unique, places stay in order, the mail index is
the spool, no process grows, and pages that were open all the while show what happens now.
"""

import contextlib
import itertools
import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from models.database import Database
from tests.browser.conftest import DEADLINE_MS, DESKTOP, browser  # noqa: F401  # a fixture
from tests.browser.hall import log_in
from tests.mail.exim_server import EximServer, Sink, require_exim
from tests.messages.test_crash import Stage, is_empty, tokens_on_disk
from tests.people.conftest import ADMIN_PASSWORD, token_of
from tests.postgresql import DurablePostgresqlServer
from tests.rooms.protected import ADMIN_KEY
from tests.servers import ServerError, wait_until
from tests.soak.loads import Consumers, Hall, Letters, Load, Producers, Visitors
from tests.soak.memory import Memory
from tests.system.supervised import PROGRAMS, Up

MANY: Final = "1000000"
LIMITS: Final = ("LOGINS", "TICKETS", "TICKET_CHANGES", "WAITING_LISTS", "ROOM_ADMIN", "JOINS")
# How many clients take turns; visitors and letters come one by one, so that their order is known.
CLIENTS: Final = {Producers: 2, Consumers: 2, Hall: 2, Visitors: 1, Letters: 1}
GROWTH_MIB_MAX: Final = 24.0
SAMPLE_MAX: Final = 1_000
# Who stands before the visitor whose page is open: more than are let in, in half an hour.
AHEAD: Final = 30
# A visitor's token is good for half an hour, and renewed in its last five minutes.
STAYS_EVERY_S: Final = 30


class WholeUp(Up):
    """`stanchion up` on a machine with an Exim."""

    def all_run(self) -> bool:
        return set(self.children()) == {*PROGRAMS, "mail-watch"}


class House(Stage):
    """Everything that runs, and so may be killed."""

    @property
    def victims(self) -> list[str]:
        return [*super().victims, "mail-watch", "flower"]


@dataclass
class Soak:
    """How long each part takes; a quiet end shows what memory does where nobody dies."""

    measure_s: float
    kills_s: float
    quiet_s: float
    pause_s_max: float
    warm_up_s: float


SHORT: Final = Soak(measure_s=5, kills_s=36, quiet_s=18, pause_s_max=3, warm_up_s=8)
NIGHT: Final = Soak(measure_s=30, kills_s=1_270, quiet_s=500, pause_s_max=20, warm_up_s=120)
SLOW: Final = (pytest.mark.slow, pytest.mark.timeout(3_600))
QUICK: Final = pytest.mark.timeout(900)


@dataclass
class Crowd:
    """The clients of all domains."""

    loads: list[Load]
    threads: list[tuple[Load, threading.Thread]] = field(default_factory=list)

    def start(self) -> None:
        for load in self.loads:
            for _ in range(CLIENTS[type(load)]):
                self.threads.append((load, threading.Thread(target=load.run)))
        for _, thread in self.threads:
            thread.start()

    def slow_down(self, pass_time: Callable[[float], None], seconds: float) -> dict[str, float]:
        """See how many turns a second all of them reach together, and go on with half of that."""
        before = [load.turns for load in self.loads]
        pass_time(seconds)
        reached = {}
        for load, turns in zip(self.loads, before, strict=True):
            reached[type(load).__name__] = per_s = max(load.turns - turns, 1) / seconds
            # Whoever takes messages out must keep up with who puts them in.
            load.pace.per_s = None if isinstance(load, Consumers) else per_s / 2
        return reached

    def stop(self, *loads: Load) -> None:
        """Let some end, or all; what they were doing is done when this returns."""
        ending = loads or self.loads
        for load in ending:
            load.is_over.set()
        for load, thread in self.threads:
            if any(load is each for each in ending):
                thread.join()


@pytest.fixture
def exim(new_folder: Callable[[str], Path]) -> Iterator[EximServer]:
    require_exim()
    with Sink() as sink:
        yield EximServer(new_folder("e"), sink_port=sink.port)


@pytest.fixture
def house(
    backend: str,
    exim: EximServer,
    new_folder: Callable[[str], Path],
    request: pytest.FixtureRequest,
) -> Iterator[House]:
    """`stanchion up` with an Exim of its own, on a database that waits for the disk."""
    folder = new_folder("n")
    with contextlib.ExitStack() as stack:
        postgresql, url = None, f"sqlite:///{folder}/queue.db"
        if backend == "postgresql":
            request.getfixturevalue("postgresql_server")  # it says so if there is none
            postgresql = stack.enter_context(DurablePostgresqlServer(new_folder("p")))
            url = postgresql.create_database("soak")
        up = WholeUp(
            folder,
            DATABASE_URL=url,
            EXIM=" ".join(exim.command),
            ADMIN_PASSWORD=ADMIN_PASSWORD,
            ADMIN_KEY=ADMIN_KEY,
            **{f"{name}_PER_MINUTE_MAX": MANY for name in LIMITS},
        )
        up.start_ready()
        yield House(up, postgresql)
        up.process.stop()


@pytest.fixture
def open_pages(browser: Browser, house: House) -> Iterator[Callable[[str], Page]]:  # noqa: F811
    with contextlib.ExitStack() as stack:

        def visit(path: str) -> Page:
            context = browser.new_context(viewport=DESKTOP, locale="en-GB")  # type: ignore[arg-type]
            stack.callback(context.close)
            context.set_default_timeout(DEADLINE_MS)
            page = context.new_page()
            page.goto(f"http://{house.up.bind}{path}")
            return page

        yield visit


@pytest.fixture
def officer(house: House) -> Iterator[httpx.Client]:
    """An admin at the counters."""
    with httpx.Client(base_url=f"http://{house.up.bind}", timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {token_of(http, 'admin', ADMIN_PASSWORD)}"
        yield http


def make_counter(officer: httpx.Client, name: str) -> int:
    answer = officer.post("/app/counters/", json={"name": name}).raise_for_status()
    return int(answer.json()["id"])


@pytest.mark.parametrize(
    ("backend", "soak"),
    [
        pytest.param("sqlite", SHORT, id="minute", marks=QUICK),
        pytest.param("sqlite", NIGHT, id="night-sqlite", marks=SLOW),
        pytest.param("postgresql", NIGHT, id="night-postgresql", marks=SLOW),
    ],
    indirect=["backend"],
)
def test_nothing_is_lost_and_nothing_grows(
    house: House,
    exim: EximServer,
    officer: httpx.Client,
    open_pages: Callable[[str], Page],
    soak: Soak,
) -> None:
    url = f"http://{house.up.bind}"
    producers, consumers = Producers(url), Consumers(url)
    hall = Hall(url, counter_id=make_counter(officer, "Soak"), headers=dict(officer.headers))
    visitors, letters = Visitors(url), Letters(url, exim=exim)
    visitors.make("soak", admission_rate=0.25, max_active_users=1_000_000)
    pages = Pages(open_pages, officer, visitors)
    crowd = Crowd([producers, consumers, hall, visitors, letters])
    seed = random.SystemRandom().randrange(10_000)
    with Memory(lambda: house.up.process.pid) as memory:
        crowd.start()
        try:
            reached = crowd.slow_down(pages.pass_time, soak.measure_s)
            killed = kill_at_random(house, soak, random.Random(seed), pages.pass_time)
            pages.pass_time(soak.quiet_s)
            crowd.stop(producers)
            wait_until(lambda: is_empty(url), "all is dealt with", timeout_s=60 + soak.kills_s / 2)
        finally:
            crowd.stop()
    tell(
        f"seed {seed}", reached, Counter(killed), [(type(x).__name__, x.turns) for x in crowd.loads]
    )

    check_messages(producers, consumers, house.up.environ["STANCHION_DATABASE_URL"])
    check_tickets(hall, house.up.environ["STANCHION_DATABASE_URL"])
    check_places(visitors)
    check_mail(letters, exim)
    check_memory(memory, soak)
    pages.check(url)


def tell(*facts: object) -> None:
    print(*facts, sep="\n")  # noqa: T201 -- shown when it fails


def kill_at_random(
    house: House, soak: Soak, order: random.Random, pass_time: Callable[[float], None]
) -> list[str]:
    """Kill each once, in some order, and then whoever it hits, until the time is over."""
    killed: list[str] = []
    until = time.monotonic() + soak.kills_s
    waiting = order.sample(house.victims, k=len(house.victims))
    while waiting or time.monotonic() < until:
        pass_time(order.uniform(0, soak.pause_s_max))
        victim = waiting.pop() if waiting else order.choice(house.victims)
        house.kill(victim)
        killed.append(victim)
        wait_until(
            house.up.all_run,
            f"everything runs again after {victim}",
            process=house.up.process,
            timeout_s=120,
        )
        wait_until(house.up.is_healthy, f"the API answers after {victim}")
    return killed


# What must hold ------------------------------------------------------------------------------


def check_messages(producers: Producers, consumers: Consumers, database_url: str) -> None:
    done = tokens_on_disk(database_url)
    assert producers.stored
    assert set(producers.stored) <= set(done)
    assert all(done[message_id] == token for message_id, token in consumers.acknowledged)
    told = Counter(message_id for message_id, _ in consumers.acknowledged)
    assert max(told.values()) == 1


def check_tickets(hall: Hall, database_url: str) -> None:
    database = Database(database_url, connections_max=1, timeout_s=30)
    with database.begin() as connection:
        found = text("SELECT id, sequence, business_day, number FROM ticket")
        rows = connection.execute(found).all()
    database.close()
    assert hall.printed
    assert dict(hall.printed).items() <= {row.id: row.number for row in rows}.items()
    numbers = Counter((row.sequence, row.business_day, row.number) for row in rows)
    assert [each for each, count in numbers.items() if count > 1] == []


def check_places(visitors: Visitors) -> None:
    """Ask visitors, spread over all who joined, where they stand: as they came."""
    assert visitors.errors == []
    step = max(1, len(visitors.tokens) // SAMPLE_MAX)
    last = visitors.tokens[-1]
    with httpx.Client(base_url=visitors.url, timeout=30) as http:
        before = visitors.look(http, last)["position"]
        told = [visitors.look(http, token) for token in visitors.tokens[::step]]
        moved = before - visitors.look(http, last)["position"]
    standing = [each["position"] if each.get("status") == "waiting" else 0 for each in told]
    lost = [each for each in told if each.get("error", {}).get("code") == "NOT_FOUND"]
    assert lost == []
    assert standing == sorted(standing)
    waiting = [each for each in standing if each]
    assert waiting
    # Who was let in meanwhile moved the others up between two looks, and nobody else did.
    assert len(waiting) - len(set(waiting)) <= moved


def check_mail(letters: Letters, exim: EximServer) -> None:
    with httpx.Client(base_url=letters.url, timeout=30) as http:
        letters.sign_in(http)

        def indexed() -> set[str]:
            found: set[str] = set()
            for page in itertools.count(1):
                asked = http.get("/api/v1/queue", params={"per_page": 100, "page": page})
                told = asked.raise_for_status().json()
                found |= {each["id"] for each in told["data"]["messages"]}
                if len(told["data"]["messages"]) < told["meta"]["per_page"]:
                    return found
            return found

        def listed() -> set[str]:
            lines = exim.run("-bp")
            return set(re.findall(r"^\s*\S+\s+\S+\s+(\S+-\S+-\S+) ", lines, re.MULTILINE))

        with suppress(ServerError):  # what differs tells more than that it does
            wait_until(lambda: indexed() == listed(), "the index is the spool")
        assert indexed() == listed()
        kept = set(letters.submitted) - letters.tried
        assert letters.deleted
        assert kept <= listed() <= set(letters.submitted) - letters.deleted


def check_memory(memory: Memory, soak: Soak) -> None:
    """See that who lived long enough to be warm is as large at the end as then."""
    lives = [life for life in memory.lives.values() if life.lived_s() > 2 * soak.warm_up_s]
    grown = {
        f"{life.name} {life.lived_s():.0f} s": life.growth_mib(soak.warm_up_s) for life in lives
    }
    largest = {life.name: statistics.median(mib for _, mib in life.held) for life in lives}
    tell("grown by MiB", grown, "holds MiB", largest)
    assert {life.name for life in lives} >= {*PROGRAMS, "mail-watch", "up"}
    assert {name: mib for name, mib in grown.items() if mib > GROWTH_MIB_MAX} == {}


class Pages:
    """Three pages that stay open: the console, a display, and the wait of one visitor."""

    def __init__(
        self, visit: Callable[[str], Page], officer: httpx.Client, visitors: Visitors
    ) -> None:
        self._officer = officer
        self._visitors = Visitors(visitors.url, room="still")
        self._visitors.make("still", admission_rate=0.001, max_active_users=1)
        self._counter_id = make_counter(officer, "Shown")
        with httpx.Client(base_url=visitors.url) as http:
            for _ in range(AHEAD):
                assert self._visitors.turn(http)
        self._stayed_at_s = time.monotonic()
        self._console = visit("/ops")
        log_in(self._console, "admin", ADMIN_PASSWORD)
        self._display = visit(f"/display?counters={self._counter_id}")
        self._wait = visit("/wait/still")
        expect(self._display.locator(".now li")).to_have_count(1)
        expect(self._wait.locator("#headline")).to_contain_text("You are number")

    def pass_time(self, seconds: float) -> None:
        """Let the browser go on, which a sleep would not, and who is to leave stay until then."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self._console.wait_for_timeout(min(left_s, STAYS_EVERY_S) * 1_000)
            if time.monotonic() - self._stayed_at_s < STAYS_EVERY_S:
                continue
            with httpx.Client(base_url=self._visitors.url) as http, suppress(httpx.HTTPError):
                self._visitors.stay(http)
                self._stayed_at_s = time.monotonic()

    def check(self, url: str) -> None:
        """See that each shows what happens only now."""
        body = {"messages": [{"payload": {}}] * 3}
        httpx.post(f"{url}/api/queue/batch", json=body, timeout=30).raise_for_status()
        card = "section[aria-labelledby=card-messages]"
        expect(self._console.locator(f"{card} dd").first).to_have_text("3")

        taken = self._officer.post("/app/tickets/", json={"counter_id": self._counter_id})
        ticket: dict[str, Any] = taken.raise_for_status().json()
        path = f"/app/tickets/{ticket['id']}"
        self._officer.patch(path, json={"status": "called"}).raise_for_status()
        expect(self._display.locator(".now li strong")).to_have_text(str(ticket["number"]))

        before = self._wait.locator("#headline").inner_text()
        last = {"Authorization": f"Bearer {self._visitors.tokens[-1]}"}
        httpx.delete(f"{url}/api/v1/queues/still/position", headers=last).raise_for_status()
        expect(self._wait.locator("#headline")).not_to_have_text(before)
        expect(self._wait.locator("#headline")).to_contain_text(re.compile("You are (number|next)"))
