"""A visit from the kiosk to the last word, on all pages at once, with a server that goes and comes.

Kiosk and display speak Vietnamese, the first officer and the phone English, the second officer
Vietnamese.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage, Visit, tickets_system
from tests.browser.hall import BrowserHall, log_in
from tests.browser.test_screens import violations
from tests.browser.test_ticket import NOTIFIED
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")

NOBODY = "\N{EN DASH}"  # at a counter of the display


@pytest.fixture
def restarted(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API that the test stops and starts."""
    with tickets_system(new_folder, migrated_file) as system:
        yield system


@pytest.fixture
def hall(restarted: System) -> Iterator[BrowserHall]:
    made = BrowserHall(restarted.url)
    yield made
    made.close()


def are_accessible(*visits: Visit) -> None:
    """Look at each page as it is now; what fades in is not judged half-way."""
    for visit in visits:
        visit.page.emulate_media(reduced_motion="reduce")
        assert violations(visit.page) == []


def stands(officer: Page, status: str, number: str) -> None:
    expect(officer.locator(f".number[data-status={status}]")).to_have_text(number)


def called(display: Page, *numbers: str) -> None:
    """The number at each counter, in their order."""
    expect(display.locator(".now li strong")).to_have_text(list(numbers))


def nobody_is_at(officer: Page) -> None:
    expect(officer.locator(".stage .number.none")).to_be_visible()


def is_away(page: Page, *, is_so: bool) -> None:
    expect(page.locator("#banner span")).to_be_visible(visible=is_so)


class Journey:
    """The pages of a hall with two counters, and of somebody who comes when three wait."""

    def __init__(self, open_page: OpenPage, system: System, hall: BrowserHall) -> None:
        self._open: Final = lambda path, **options: open_page(path, of=system, **options)
        self._system: Final = system
        self._hall: Final = hall
        self.here = hall.counter("Quầy Tư pháp")
        there = hall.counter("Quầy Hộ tịch")
        hall.procedure("Chứng thực giấy tờ", self.here)
        hall.procedure("Đăng ký khai sinh", there)
        hall.officer("journey01", self.here)
        hall.officer("journey02", there)
        for _ in range(3):
            hall.take(self.here)
        self.kiosk = self._open("/kiosk?idle=600", locale="vi-VN")
        self.display = self._open("/display", locale="vi-VN")
        self.officer = self._open("/officer")
        log_in(self.officer.page, "journey01")

    def act(self, name: str) -> None:
        """Press a button of the officer's."""
        self.officer.page.get_by_role("button", name=name).click()

    def take_a_number(self) -> None:
        kiosk = self.kiosk.page
        choice = kiosk.get_by_role("button", name="Chứng thực giấy tờ")
        expect(choice).to_be_visible()
        are_accessible(self.kiosk)
        choice.click()
        expect(kiosk.locator(".paper strong")).to_have_text("104")
        expect(kiosk.locator(".paper")).to_contain_text("Còn 3 người phía trước")
        code = kiosk.locator(".paper img").get_attribute("src") or ""
        self.phone = self._open(
            code.removesuffix("/code.svg"),
            viewport=PHONE,
            has_touch=True,
            permissions=["notifications"],
        )
        self.headline = self.phone.page.locator("h1")
        expect(self.headline).to_have_text("3 before you")
        self.phone.page.get_by_role("button", name="Tell me when I am third").click()
        expect(self.phone.page.locator("#tell-note")).to_contain_text("You will be told")
        called(self.display.page, NOBODY, NOBODY)
        are_accessible(self.kiosk, self.phone, self.display, self.officer)
        kiosk.get_by_role("button", name="Xong").click()

    def serve_the_first(self) -> None:
        """Whoever is third then is told so."""
        self.act("Next")
        stands(self.officer.page, "called", "101")
        called(self.display.page, "101", NOBODY)
        expect(self.headline).to_have_text("2 before you")
        self.phone.page.wait_for_function(f"async () => (await ({NOTIFIED})()).length > 0")
        assert self.phone.page.evaluate(NOTIFIED) == ["You are number 3 in line"]
        self.act("Serve")
        stands(self.officer.page, "serving", "101")
        are_accessible(self.phone, self.display, self.officer)
        self.act("Done")
        nobody_is_at(self.officer.page)

    def call_the_second_in_vain(self) -> None:
        self.act("Next")
        stands(self.officer.page, "called", "102")
        for calls in (2, 3):
            self.act("Call again")
            expect(self.officer.page.locator(".who")).to_contain_text(f"Calls: {calls}")
        self.act("Did not come")
        nobody_is_at(self.officer.page)
        expect(self.headline).to_have_text("1 before you")

    def lose_the_server(self) -> None:
        """Every page says so, and what is tried is refused in words."""
        self._system.running["api"].stop()
        for each in (self.display, self.officer, self.phone):
            is_away(each.page, is_so=True)
        self.act("Next")
        expect(self.officer.page.get_by_role("alert")).to_contain_text("Nothing is lost")
        self.kiosk.page.get_by_role("button", name="Chứng thực giấy tờ").click()
        expect(self.kiosk.page.get_by_role("alert")).to_contain_text("Máy chủ không trả lời")
        is_away(self.kiosk.page, is_so=True)
        are_accessible(self.kiosk, self.phone, self.display, self.officer)

    def find_it_again(self) -> None:
        """Somebody else calls before the pages are there again, and none misses it."""
        self._system.start("api")
        self._system.wait_ready()
        self._hall.call_next(self.here)
        for each in (self.display, self.officer, self.phone, self.kiosk):
            is_away(each.page, is_so=False)
        expect(self.kiosk.page.get_by_role("alert")).to_have_count(0)
        called(self.display.page, "103", NOBODY)
        stands(self.officer.page, "called", "103")
        expect(self.headline).to_have_text("You are next")

    def send_the_third_elsewhere(self) -> None:
        self.act("To another counter")
        self.act("Quầy Hộ tịch")
        nobody_is_at(self.officer.page)
        self.other = self._open("/officer", viewport=PHONE, locale="vi-VN", has_touch=True)
        log_in(self.other.page, "journey02")
        self.other.page.get_by_role("button", name="Gọi số tiếp theo").click()
        stands(self.other.page, "called", "103")
        called(self.display.page, NOBODY, "103")

    def serve_the_phone(self) -> None:
        self.act("Next")
        called(self.display.page, "104", "103")
        expect(self.headline).to_have_text("Please go to Quầy Tư pháp now")
        are_accessible(self.officer, self.other, self.phone, self.display)
        self.act("Serve")
        expect(self.headline).to_have_text("You are being served")
        self.act("Done")
        expect(self.headline).to_have_text("Done")
        are_accessible(self.kiosk, self.phone, self.display, self.officer, self.other)


def test_a_visit_goes_well_on_every_page_through_a_restart(
    open_page: OpenPage, restarted: System, hall: BrowserHall
) -> None:
    journey = Journey(open_page, restarted, hall)

    journey.take_a_number()
    journey.serve_the_first()
    journey.call_the_second_in_vain()
    journey.lose_the_server()
    journey.find_it_again()
    journey.send_the_third_elsewhere()
    journey.serve_the_phone()

    before = journey.display.page.locator(".last").first
    expect(before).to_have_text(
        "Đã gọi: 103 (Quầy Hộ tịch) · 103 (Quầy Tư pháp) · 102 (Quầy Tư pháp) · 101 (Quầy Tư pháp)"
    )
    pages = (journey.kiosk, journey.phone, journey.display, journey.officer, journey.other)
    for each in pages:
        assert each.strangers == []
        assert [error for error in each.errors if not is_of_the_restart(error)] == []


def is_of_the_restart(error: str) -> bool:
    """What a browser itself notes of a server that is gone, or of a call that came too early."""
    return "Failed to load resource" in error or "WebSocket connection" in error
