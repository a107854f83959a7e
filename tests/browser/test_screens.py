"""The screens of a hall: a number from the kiosk, and the display that calls it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.hall import BrowserHall
from tests.browser.test_looks import AXE, faults_of
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")
LEAST_PX = 64


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    yield made
    made.close()


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


def test_a_kiosk_hands_out_a_number_with_a_paper_and_a_code(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy máy lấy số")
    hall.procedure("Đăng ký khai sinh", counter_id)
    visit = open_page("/kiosk?idle=600", of=counters_site, locale="vi-VN")
    page = visit.page
    page.evaluate("() => { window.print = () => { document.body.dataset.printed = 'yes'; }; }")
    choice = page.get_by_role("button", name="Đăng ký khai sinh")
    expect(choice).to_be_visible()
    heights = page.locator(".kiosk button, .kiosk .for label").evaluate_all(
        "all => all.map((each) => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= LEAST_PX
    assert violations(page) == []

    page.get_by_label("Người cao tuổi").check()
    choice.click()

    expect(page.locator(".paper strong")).to_have_text("101")
    expect(page.locator(".paper .where")).to_have_text("Quầy máy lấy số")
    assert page.locator(".paper img").evaluate("img => img.decode().then(() => img.naturalWidth)")
    assert violations(page) == []
    waiting = hall.admin.get("/app/tickets/waiting", params={"counter_id": counter_id}).json()
    assert waiting["waiting_queue"][0]["priority"] == "elderly"

    with page.expect_response(lambda told: told.url.endswith("/print")) as told:
        page.get_by_role("button", name="Không ra giấy").click()
    assert told.value.ok
    expect(page.locator("body")).to_have_attribute("data-printed", "yes")
    unprinted = hall.admin.get("/app/reports/unprinted").json()
    assert "101" in str(unprinted)

    page.get_by_role("button", name="Xong").click()
    expect(choice).to_be_visible()
    assert faults_of(visit) == []


def test_a_kiosk_without_its_server_says_so_and_loses_nothing(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy mất mạng")
    hall.procedure("Mất mạng", counter_id)
    page = open_page("/kiosk?idle=600", of=counters_site, viewport=PHONE).page
    choice = page.get_by_role("button", name="Mất mạng")
    expect(choice).to_be_visible()

    page.context.set_offline(True)
    choice.click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.context.set_offline(False)
    choice.click()

    expect(page.locator(".paper strong")).to_have_text("101")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_display_shows_calls_as_they_come_and_those_it_missed(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id, other_id = hall.counter("Quầy màn hình"), hall.counter("Quầy bên")
    tickets = [hall.take(counter_id) for _ in range(3)]
    visit = open_page(
        f"/display?counters={counter_id}", of=counters_site, viewport=DESKTOP, locale="vi-VN"
    )
    page = visit.page
    row = page.locator(".now li")
    expect(row).to_have_count(1)
    expect(row.locator(".next")).to_contain_text("101, 102, 103")

    hall.move(tickets[0], "called")
    expect(row.locator("strong")).to_have_text("101")
    expect(page.locator(".now li.latest")).to_have_count(1)
    expect(page.locator("#news")).to_contain_text("Mời số 101")
    hall.move(hall.take(other_id), "called")
    assert violations(page) == []

    page.get_by_role("button", name="Bật âm thanh").click()
    expect(page.get_by_role("button", name="Bật âm thanh")).to_have_count(0)

    page.context.set_offline(True)
    expect(page.locator("#banner span")).to_be_visible()
    expect(row.locator("strong")).to_have_text("101")
    hall.move(tickets[1], "called")
    page.context.set_offline(False)
    expect(row.locator("strong")).to_have_text("102")
    expect(page.locator("#banner span")).to_be_hidden()

    said = {"type": "emergency", "message": "Xin rời khỏi sảnh", "message_en": "Please leave"}
    hall.admin.post("/app/announcements", json=said).raise_for_status()
    expect(page.locator(".said[data-type=emergency]")).to_have_text("Xin rời khỏi sảnh")


def test_a_display_marks_the_call_that_came_last_within_a_second_too(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    first_id, second_id = hall.counter("Quầy cùng lúc một"), hall.counter("Quầy cùng lúc hai")
    first, second = hall.take(first_id), hall.take(second_id)
    page = open_page(f"/display?counters={first_id},{second_id}", of=counters_site).page
    expect(page.locator(".now li")).to_have_count(2)

    hall.move(first, "called")
    hall.move(second, "called")

    expect(page.locator(".last", has_text="Called before")).to_contain_text("Quầy cùng lúc một")
    expect(page.locator(".now li.latest .where")).to_have_text("Quầy cùng lúc hai")
