"""A ticket on a phone: its place, its call, how it ends, and what works without scripts."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import BrowserHall
from tests.browser.test_looks import AXE, faults_of
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")

NOTIFIED = """async () => {
  const worker = await navigator.serviceWorker.getRegistration("/static/app/");
  return worker ? (await worker.getNotifications()).map((each) => each.title) : [];
}"""


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    yield made
    made.close()


def test_a_phone_follows_its_ticket_to_the_end(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy điện thoại")
    tickets = [hall.take(counter_id) for _ in range(4)]
    mine = tickets[-1]
    visit = open_page(
        f"/ticket/{mine['public_id']}",
        of=counters_site,
        viewport=PHONE,
        locale="vi-VN",
        permissions=["notifications"],
    )
    page = visit.page
    expect(page.locator(".mine strong")).to_have_text("104")
    expect(page.locator("h1")).to_have_text("Còn 3 người trước bạn")
    page.locator(".tell button").click()
    expect(page.locator(".tell button")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#tell-note")).to_contain_text("cả khi trang chạy nền")

    hall.move(tickets[0], "called")
    expect(page.locator("h1")).to_have_text("Còn 2 người trước bạn")
    page.wait_for_function(f"async () => (await ({NOTIFIED})()).length > 0")
    assert page.evaluate(NOTIFIED) == ["Bạn đang là người thứ 3 trong hàng"]

    page.context.set_offline(True)
    expect(page.locator("#banner span")).to_be_visible()
    hall.move(mine, "called")
    page.context.set_offline(False)  # as a phone that wakes up
    expect(page.locator("h1")).to_have_text("Mời bạn đến Quầy điện thoại ngay")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

    hall.move(mine, "serving")
    expect(page.locator("h1")).to_have_text("Bạn đang được phục vụ")
    hall.move(mine, "completed")
    expect(page.locator("h1")).to_have_text("Đã xong")
    assert visit.strangers == []


def test_a_ticket_shows_without_scripts_and_loads_itself_anew(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy không kịch bản")
    hall.take(counter_id)
    mine = hall.take(counter_id)
    page = open_page(
        f"/ticket/{mine['public_id']}", of=counters_site, java_script_enabled=False
    ).page

    expect(page.locator("h1")).to_have_text("1 before you")
    assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "15"
    hall.move(mine, "cancelled")
    page.reload()
    expect(page.locator("h1")).to_have_text("Cancelled")


def test_an_id_that_can_be_guessed_shows_nothing(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    mine = hall.take(hall.counter("Quầy đoán số"))

    visit = open_page(f"/ticket/{mine['id']}", of=counters_site)

    expect(visit.page.locator("h1")).to_have_text("No such ticket")
    expect(visit.page.locator(".mine")).to_be_hidden()
    assert [each for each in faults_of(visit) if "404" not in each] == []
