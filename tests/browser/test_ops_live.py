"""The console's overview is told what happens: it asks nothing, and comes back by itself."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from models import pulse
from models.clock import now_ms
from models.database import Database
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.hall import log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import RedisServer, System

pytestmark = pytest.mark.xdist_group("browser")
MESSAGES = "section[aria-labelledby=card-messages]"


@pytest.fixture
def house(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """All processes, whose database has a past."""
    database_url = f"sqlite:///{shutil.copy(migrated_file, new_folder('s') / 'stanchion.db')}"
    _remember(database_url)
    with RedisServer(new_folder("r")) as server:
        system = System(
            new_folder("y"),
            database_url=database_url,
            redis_url=server.url,
            settings={"ADMIN_PASSWORD": ADMIN_PASSWORD},
        )
        system.redis_server = server
        with system:
            yield system


def _remember(database_url: str) -> None:
    """Keep an hour of messages but for one minute, as workers would have kept it."""
    last_ms = pulse.minute_of(now_ms())
    database = Database(database_url, connections_max=1, timeout_s=5)
    with database.begin() as connection:
        for minute in (each for each in range(1, 60) if each != 30):
            at_ms = last_ms - minute * pulse.MINUTE_MS
            happened = pulse.Counts(arrived=minute, done=2, failed=minute % 2)
            seen = pulse.Seen(depth=100 + minute, oldest_at_ms=at_ms - 65_000)
            pulse.add(connection, "messages", {at_ms: happened})
            pulse.keep(connection, "messages", seen, now_ms=at_ms)
    database.close()


def put(system: System, count: int) -> None:
    body = {"messages": [{"payload": {}}] * count}
    httpx.post(f"{system.url}/api/queue/batch", json=body, timeout=30).raise_for_status()


def waiting(page: Page) -> Locator:
    """Return the number of messages that wait, which is the first of the card."""
    return page.locator(f"{MESSAGES} dd").first


def test_it_is_told_what_happens_and_asks_nothing(open_page: OpenPage, house: System) -> None:
    visit = open_page("/ops", of=house)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(waiting(page)).to_have_text("0")
    expect(page.locator(f"{MESSAGES} .pulse canvas")).to_have_count(2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    put(house, 3)

    expect(waiting(page)).to_have_text("3")
    # What the workers keep is told as well: this minute's messages, in the table.
    page.locator(f"{MESSAGES} summary").click()
    latest = page.locator(f"{MESSAGES} tbody tr:nth-child(-n+2) td:nth-of-type(3)")
    expect(latest.filter(has_text=re.compile("^3$"))).to_have_count(1)
    assert [url for url in asked if "/socket.io/" not in url] == []
    assert [*visit.errors, *visit.strangers] == []


def test_it_says_that_it_is_cut_off_and_goes_on_after_a_restart(
    open_page: OpenPage, house: System
) -> None:
    page = open_page("/ops", of=house).page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(waiting(page)).to_have_text("0")

    house.running["api"].stop()
    banner = page.locator("#banner span")
    expect(banner).to_be_visible()
    expect(page.locator(".as-of")).to_contain_text("No connection")
    house.start("api")
    house.wait_ready()
    put(house, 2)

    expect(banner).to_be_hidden()
    expect(waiting(page)).to_have_text("2")


def test_it_goes_on_by_itself_after_redis_was_killed(open_page: OpenPage, house: System) -> None:
    page = open_page("/ops", of=house).page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(waiting(page)).to_have_text("0")

    house.redis_server.process.kill()
    house.redis_server.start()
    house.wait_ready()
    put(house, 2)

    expect(waiting(page)).to_have_text("2")


def test_without_a_socket_it_asks_now_and_then(open_page: OpenPage, house: System) -> None:
    page = open_page("/login?next=/ops", of=house).page
    page.context.route("**/socket.io/**", lambda route: route.abort())
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(waiting(page)).to_have_text("0")

    put(house, 4)

    expect(waiting(page)).to_have_text("4")
    expect(page.locator("#banner span")).to_be_hidden()
    expect(page.locator(f"{MESSAGES} .pulse canvas")).to_have_count(2)


def test_the_hour_is_said_to_who_does_not_see_it_and_reached_by_keyboard(
    open_page: OpenPage, house: System
) -> None:
    page = open_page("/ops", of=house).page
    log_in(page, "admin", ADMIN_PASSWORD)
    pictures = page.locator(f"{MESSAGES} [role=img]")
    expect(pictures.first).to_have_attribute("aria-label", re.compile("most 15[89]$"))
    expect(pictures.last).to_have_attribute("aria-label", re.compile("failed$"))

    page.locator(f"{MESSAGES} h2 a").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    rows = page.locator(f"{MESSAGES} tbody tr")
    expect(rows).to_have_count(60)
    told = [each.split("\t")[1:] for each in rows.all_inner_texts()]
    assert ["140", "65 sec", "40", "2", "0"] in told
    assert ["\N{EN DASH}"] * 5 in told


@pytest.mark.parametrize(
    ("viewport", "color_scheme", "locale"),
    [(PHONE, "light", "vi-VN"), (PHONE, "dark", "en-GB"), (DESKTOP, "dark", "vi-VN")],
    ids=["phone-light-vi", "phone-dark-en", "desktop-dark-vi"],
)
def test_the_hour_is_accessible_and_fits(
    open_page: OpenPage, house: System, viewport: dict[str, int], color_scheme: str, locale: str
) -> None:
    visit = open_page("/ops", of=house, viewport=viewport, color_scheme=color_scheme, locale=locale)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(page.locator(f"{MESSAGES} .pulse canvas")).to_have_count(2)
    page.locator(f"{MESSAGES} summary").click()
    expect(page.locator(f"{MESSAGES} tbody tr")).to_have_count(60)

    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run()).violations")

    assert [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert [*visit.errors, *visit.strangers] == []
