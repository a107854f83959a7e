"""The officer's page: one counter by keyboard and by hand, and what it says when it fails."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import BrowserHall, log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    yield made
    made.close()


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


def press(page: Page, key: str) -> None:
    """Press a key once its button can be: one thing is done at a time."""
    button = page.locator(f"[aria-keyshortcuts={key.upper()}]")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press(key)


def stands(page: Page, status: str, number: str) -> None:
    expect(page.locator(f".number[data-status={status}]")).to_have_text(number)


def test_a_counter_is_served_by_keyboard(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy bàn phím")
    hall.officer("keys01", counter_id)
    first, second = hall.take(counter_id), hall.take(counter_id, priority="elderly")
    page = open_page("/officer", of=counters_site, locale="vi-VN").page
    assert "/login" in page.url
    log_in(page, "keys01")
    expect(page.locator(".officer .line li")).to_have_count(2)
    assert violations(page) == []

    press(page, "n")
    stands(page, "called", "101")
    press(page, "r")
    expect(page.locator(".who")).to_contain_text("Số lần gọi: 2")
    press(page, "s")
    stands(page, "serving", "101")
    page.locator("#notes").fill("Thiếu bản sao n n n")
    assert violations(page) == []
    page.reload()
    expect(page.locator("#notes")).to_have_value("Thiếu bản sao n n n")
    press(page, "n")

    stands(page, "called", "102")
    seen = hall.admin.get(f"/app/tickets/{first['id']}").json()
    assert (seen["status"], seen["notes"]) == ("completed", "Thiếu bản sao n n n")
    assert hall.status(second) == "called"


def test_a_thumb_parks_returns_transfers_and_takes_a_break(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    here, there = hall.counter("Quầy ngón tay"), hall.counter("Quầy bên kia")
    hall.officer("thumb01", here)
    ticket = hall.take(here)
    page = open_page(
        "/officer", of=counters_site, viewport=PHONE, color_scheme="dark", has_touch=True
    ).page
    log_in(page, "thumb01")

    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Set aside").click()
    page.get_by_role("button", name="Let return").click()
    expect(page.locator(".officer ol.line .no")).to_have_text("101")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="To another counter").click()
    page.get_by_role("button", name="Quầy bên kia").click()
    expect(page.locator(".stage .number")).to_have_text("Nobody is here")
    seen = hall.admin.get(f"/app/tickets/{ticket['id']}").json()
    assert (seen["counter_id"], seen["status"]) == (there, "waiting")

    page.get_by_role("button", name="Break").click()
    page.get_by_label("Why").fill("Lunch")
    page.get_by_role("button", name="Start the break").click()
    expect(page.locator(".stage .who")).to_contain_text("Lunch Back at")
    assert violations(page) == []
    page.get_by_role("button", name="Go on serving").click()
    expect(page.locator(".state")).to_have_text("Open")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_what_fails_says_why_and_loses_nothing(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy xung đột")
    hall.officer("conflict01", counter_id)
    ticket = hall.take(counter_id)
    page = open_page("/officer", of=counters_site).page
    log_in(page, "conflict01")
    page.get_by_role("button", name="Next").click()
    stands(page, "called", "101")
    page.locator("#notes").fill("kept")

    page.context.set_offline(True)
    page.get_by_role("button", name="Serve").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
    expect(page.locator("#banner span")).to_be_visible()
    expect(page.locator("#notes")).to_have_value("kept")
    page.context.set_offline(False)
    expect(page.locator("#banner span")).to_be_hidden()
    page.get_by_role("button", name="Serve").click()
    stands(page, "serving", "101")

    hall.move(ticket, "completed")  # by somebody else: the page follows
    expect(page.locator(".stage .number")).to_have_text("Nobody is here")


def test_who_left_while_the_page_looked_is_not_there(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy vội")
    hall.officer("hurry01", counter_id)
    first, second = hall.take(counter_id), hall.take(counter_id)
    page = open_page("/officer", of=counters_site).page
    log_in(page, "hurry01")
    expect(page.locator(".stage .number")).to_have_text("Nobody is here")

    def leave(route: Route) -> None:
        if hall.status(first) == "called":
            hall.move(first, "serving")
            hall.move(first, "completed")
        route.continue_()

    page.route(f"**/app/tickets/{first['id']}", leave)
    with page.expect_request_finished(lambda asked: asked.url.endswith(f"/tickets/{first['id']}")):
        hall.move(first, "called")  # by somebody else; the page asks who that is
    expect(page.locator(".officer ol.line li")).to_have_count(1)
    expect(page.locator(".stage .number")).to_have_text("Nobody is here")
    page.get_by_role("button", name="Next").click()

    stands(page, "called", "102")
    assert (hall.status(first), hall.status(second)) == ("completed", "called")


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en-GB", "Number 101 was called and is not served yet. Serve it, call it again"),
        ("vi-VN", "Số 101 đã được gọi nhưng chưa phục vụ. Hãy phục vụ, gọi lại"),
    ],
)
def test_a_counter_that_is_busy_says_with_whom_and_calls_nobody(
    open_page: OpenPage, counters_site: System, hall: BrowserHall, locale: str, sentence: str
) -> None:
    counter_id = hall.counter(f"Quầy bận {locale}")
    hall.officer(f"busy-{locale}".lower(), counter_id)
    first, second = hall.take(counter_id), hall.take(counter_id)
    page = open_page("/officer", of=counters_site, locale=locale).page
    log_in(page, f"busy-{locale}".lower())
    expect(page.locator(".officer ol.line li")).to_have_count(2)

    def be_late(route: Route) -> None:
        hall.call_next(counter_id)  # by somebody else, while the request is on its way
        route.continue_()

    page.route("**/call-next", be_late)
    press(page, "n")

    expect(page.get_by_role("alert")).to_contain_text(sentence)
    stands(page, "called", "101")
    assert violations(page) == []
    assert (hall.status(first), hall.status(second)) == ("called", "waiting")
    press(page, "s")
    stands(page, "serving", "101")
    expect(page.get_by_role("alert")).to_have_text("")


def test_an_admin_chooses_the_counter_and_it_is_remembered(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.counter("Quầy một")
    hall.counter("Quầy hai")
    page = open_page("/officer", of=counters_site).page
    log_in(page, "admin", ADMIN_PASSWORD)

    page.get_by_label("Counter").select_option(label="Quầy một")
    expect(page.locator(".officer h1")).to_have_text("Which counter do you serve?")
    page.get_by_label("Counter").select_option(label="Quầy hai")
    page.get_by_role("button", name="Work here").press("Enter")
    expect(page.locator(".officer h1")).to_have_text("Quầy hai")
    expect(page.get_by_role("button", name="Work here")).to_be_focused()
    page.reload()

    expect(page.locator(".officer h1")).to_have_text("Quầy hai")
