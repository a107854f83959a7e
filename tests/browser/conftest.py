"""A real browser on a real server: Debian's Chromium, driven by Playwright."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.rooms import Rooms, Shop
from tests.people.conftest import ADMIN_PASSWORD
from tests.rooms.protected import ADMIN_KEY
from tests.servers import RedisServer, System

CHROMIUM = ("/usr/bin/chromium", "/usr/local/bin/chromium")
# Chromium looks for hosts of its maker unless it is told not to; root has no sandbox.
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)
DEADLINE_MS = 45_000  # a machine that does much else is slow, not wrong
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


@dataclass
class Visit:
    """One page in a browser of its own, and what it did that no page of ours may do."""

    page: Page
    host: str
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors, and requests to other hosts, from now on."""
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda told: told.type in {"error", "warning"} and self.errors.append(told.text),
        )
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "data" and parts.netloc != self.host:
            self.strangers.append(url)


class OpenPage(Protocol):
    """Opens a path in a fresh browser profile."""

    def __call__(self, path: str, *, of: System | None = None, **options: Any) -> Visit:
        """Go there; `options` are those of a browser context."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser once for a module; its loop ends with it, before any other test's."""
    program = next((path for path in CHROMIUM if Path(path).exists()), None)
    if program is None:
        reason = "Chromium is not installed (Debian: chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        expect.set_options(timeout=DEADLINE_MS)
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """API, worker and beat; pages do not know which database stands behind them."""
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
        ) as started,
    ):
        yield started


@pytest.fixture(scope="session")
def counters_site(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API with wide limits whose admin's password is known, for the pages of tickets."""
    with tickets_system(new_folder, migrated_file) as system:
        yield system


@contextmanager
def tickets_system(
    new_folder: Callable[[str], Path], migrated_file: Path, **settings: str
) -> Iterator[System]:
    """An API alone, with limits that no hall of one address meets unless `settings` say so."""
    limits = ("LOGINS", "TICKETS", "TICKET_CHANGES", "WAITING_LISTS")
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api",),
            settings={
                "ADMIN_PASSWORD": ADMIN_PASSWORD,
                **{f"{name}_PER_MINUTE_MAX": "100000" for name in limits},
                **settings,
            },
        ) as system,
    ):
        yield system


@pytest.fixture
def own_site(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API alone, for a test that stops it."""
    with RedisServer(new_folder("r")) as server:
        system = System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api",),
        )
        system.redis_server = server
        with system:
            yield system


def new_database(new_folder: Callable[[str], Path], migrated_file: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated_file, new_folder('s') / 'stanchion.db')}"


@pytest.fixture
def http(site: System) -> Iterator[httpx.Client]:
    """A client that is no browser."""
    with httpx.Client(base_url=site.url, timeout=20) as client:
        yield client


@pytest.fixture
def open_page(browser: Browser, site: System) -> Iterator[OpenPage]:
    """Opens pages; each has a browser profile of its own, closed after the test."""
    contexts: list[BrowserContext] = []

    def visit(path: str, *, of: System | None = None, **options: Any) -> Visit:
        system = of or site
        context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        context.set_default_timeout(DEADLINE_MS)
        contexts.append(context)
        visit = Visit(context.new_page(), urlsplit(system.url).netloc)
        visit.watch()
        visit.page.goto(system.url + path)
        return visit

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    """The address of a site behind the rooms."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def hall(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API alone, which keeps admission going by itself."""
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api",),
            settings={
                "ADMIN_KEY": ADMIN_KEY,
                "JOINS_PER_MINUTE_MAX": "10000",
                "ROOM_ADMIN_PER_MINUTE_MAX": "100000",
            },
        ) as system,
    ):
        yield system


@pytest.fixture
def rooms(hall: System, shop: str, request: pytest.FixtureRequest) -> Rooms:
    """Makes a room named after the test."""
    return Rooms(hall, shop, request.node.name.removeprefix("test_"))
