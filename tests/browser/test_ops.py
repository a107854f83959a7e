"""The console: who gets in, what it says first, and that it moves."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.hall import PASSWORD, BrowserHall, log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")
NOTICES = ".notices li"


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    yield made
    made.close()


def test_who_comes_is_led_to_the_log_in_and_back(
    open_page: OpenPage, counters_site: System
) -> None:
    page = open_page("/ops", of=counters_site).page
    assert "/login?next=" in page.url

    log_in(page, "admin", ADMIN_PASSWORD)

    expect(page.locator(".cards .card")).to_have_count(4)
    assert page.url == f"{counters_site.url}/ops"
    expect(page.locator(".ways a[aria-current=page]")).to_have_text("Overview")


@pytest.mark.parametrize(
    ("viewport", "color_scheme", "locale"),
    [(PHONE, "dark", "vi-VN"), (DESKTOP, "light", "en-GB")],
    ids=["phone", "desktop"],
)
def test_the_overview_is_accessible_and_keeps_to_itself(
    open_page: OpenPage,
    counters_site: System,
    viewport: dict[str, int],
    color_scheme: str,
    locale: str,
) -> None:
    visit = open_page(
        "/ops", of=counters_site, viewport=viewport, color_scheme=color_scheme, locale=locale
    )
    log_in(visit.page, "admin", ADMIN_PASSWORD)
    expect(visit.page.locator(".cards .card")).to_have_count(4)

    visit.page.evaluate(AXE)
    found = visit.page.evaluate("async () => (await axe.run()).violations")

    assert [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]] == []
    assert [*visit.errors, *visit.strangers] == []
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    assert width == viewport["width"]


def test_what_needs_a_person_is_said_and_goes_when_it_is_dealt_with(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    room = {"id": "stands", "name": "Sale", "target_url": "https://shop.example"}
    made = hall.admin.post("/api/v1/admin/queues", json={**room, "admission_rate": 0.1})
    assert made.status_code == 201, made.text
    path = "/api/v1/admin/queues/stands"
    try:
        hall.admin.patch(path, json={"status": "paused"}).raise_for_status()
        with httpx.Client(base_url=counters_site.url, timeout=30) as visitor:
            visitor.post("/api/v1/queues/stands/enqueue").raise_for_status()
        page = open_page("/ops", of=counters_site).page
        log_in(page, "admin", ADMIN_PASSWORD)
        notice = page.locator(NOTICES).filter(has_text="1 wait in Sale, which admits nobody")
        expect(notice).to_have_count(1)
        notice.locator("a").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#room")).to_have_text("Sale")
        page.go_back()
        expect(notice).to_have_count(1)
    finally:
        hall.admin.delete(path).raise_for_status()

    expect(notice).to_have_count(0)


def test_whom_it_is_not_for_is_told_so(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.officer("opsofficer", None)
    page = open_page("/ops", of=counters_site).page
    log_in(page, "opsofficer", PASSWORD)

    expect(page.locator("h1:visible")).to_have_text("Not for this account")
    expect(page.locator(".ways a:visible")).to_have_count(0)
