"""A kiosk that is registered by a key, in a hall whose address may take one number a minute."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, tickets_system
from tests.browser.hall import BrowserHall
from tests.browser.test_screens import violations
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")
KEPT = "localStorage.getItem('stanchion_kiosk_key')"


@pytest.fixture
def narrow(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    with tickets_system(new_folder, migrated_file, TICKETS_PER_MINUTE_MAX="1") as system:
        yield system


@pytest.fixture
def hall(narrow: System) -> Iterator[BrowserHall]:
    made = BrowserHall(narrow.url)
    yield made
    made.close()


def take(page: Page, number: str) -> None:
    page.get_by_role("button", name="Khai sinh").click()
    expect(page.locator(".paper strong")).to_have_text(number)
    page.get_by_role("button", name="Done").click()


def test_a_registered_kiosk_is_not_counted_and_hides_its_key(
    open_page: OpenPage, narrow: System, hall: BrowserHall
) -> None:
    hall.procedure("Khai sinh", hall.counter("Quầy có khóa"))
    key = hall.admin.post("/api/v1/auth/keys", json={"name": "hall", "scope": "kiosk"})
    secret = key.raise_for_status().json()["data"]["key"]
    visit = open_page(f"/kiosk?idle=600#key={secret}", of=narrow)
    page = visit.page

    expect(page.locator(".key")).to_have_text(
        "This kiosk is registered: it hands out numbers without a limit."
    )
    assert page.url == f"{narrow.url}/kiosk?idle=600"
    assert violations(page) == []
    for number in ("101", "102", "103"):
        take(page, number)
    page.reload()
    take(page, "104")
    assert visit.errors == []

    page.goto(f"{narrow.url}/kiosk?forget#key=")
    expect(page.get_by_role("button", name="Khai sinh")).to_be_visible()
    expect(page.locator(".key")).to_have_count(0)
    assert page.evaluate(KEPT) is None
    # One a minute, and a minute may end between two.
    paper, refusal = page.locator(".paper strong"), page.get_by_text("Too many numbers at once")
    for _ in range(3):
        page.get_by_role("button", name="Khai sinh").click()
        expect(paper.or_(refusal)).to_be_visible()
        if refusal.is_visible():
            break
        page.get_by_role("button", name="Done").click()
    expect(refusal).to_be_visible()


def test_a_kiosk_whose_key_opens_nothing_says_so_and_goes_on(
    open_page: OpenPage, narrow: System, hall: BrowserHall
) -> None:
    hall.procedure("Khai sinh", hall.counter("Quầy mất khóa"))
    page = open_page("/kiosk#key=stn_nobody_knows", of=narrow, locale="vi-VN").page

    expect(page.locator(".key")).to_contain_text("không còn hiệu lực")
    assert violations(page) == []
    page.get_by_role("button", name="Khai sinh").click()
    expect(page.locator(".paper strong")).to_have_text("101")
