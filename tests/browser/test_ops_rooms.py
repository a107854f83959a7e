"""The console's page of rooms: tried out before it is applied, and asked back where it is grave."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import BrowserHall, log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")
NAME = "Bán vé <b>hòa nhạc</b>"
PATH = "/api/v1/admin/queues/ops-sale"


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    room: dict[str, Any] = {"id": "ops-sale", "name": NAME, "target_url": "https://shop.example"}
    made.admin.post(
        "/api/v1/admin/queues", json={**room, "admission_rate": 2, "max_active_users": 5}
    ).raise_for_status()
    yield made
    made.admin.delete(PATH).raise_for_status()
    made.close()


def test_an_admin_tries_out_a_rate_before_it_is_applied(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.admin.patch(PATH, json={"status": "paused"}).raise_for_status()
    with httpx.Client(base_url=counters_site.url, timeout=30) as visitor:
        for _ in range(4):
            visitor.post("/api/v1/queues/ops-sale/enqueue").raise_for_status()
    visit = open_page("/ops/rooms", of=counters_site, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_role("button", name=NAME).click()
    row = page.get_by_role("row", name=NAME)
    expect(row.locator("td").nth(1)).to_have_text("4")
    effect = page.locator("#dials ~ form [role=status]")
    expect(effect).to_have_text("Who joins now waits for as long as this stays.")

    hall.admin.patch(PATH, json={"admission_rate": 0, "status": "active"}).raise_for_status()
    expect(row.locator("td").nth(3)).to_have_text("0")
    rate = page.get_by_label("Admitted a second, at most, as a number")
    type_as_people_do(rate, "0.1")
    expect(effect).to_contain_text("with this, about 40 s")
    assert hall.admin.get(PATH).json()["admission_rate"] == 0
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_have_text(f"{NAME} is set.")
    assert hall.admin.get(PATH).json()["admission_rate"] == 0.1

    rate.fill("-1")  # what the server would refuse is not sent
    page.get_by_role("button", name="Apply").click()
    assert hall.admin.get(PATH).json()["admission_rate"] == 0.1
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    # A table that is wider scrolls within its box, and a shade at the edge says so.
    rooms = page.get_by_role("group", name="All rooms")
    assert rooms.evaluate("box => box.scrollWidth > box.clientWidth")
    expect(rooms).to_have_css("background-attachment", "local, local, scroll, scroll")
    assert [*visit.errors, *visit.strangers] == []


def type_as_people_do(field: Locator, text: str) -> None:
    """Type letter by letter, and see that no stroke is put right under the hands."""
    field.fill("")
    expect(field).to_have_value("")
    field.press_sequentially(f"{text}05")
    expect(field).to_have_value(f"{text}05")
    field.press("Backspace")
    field.press("Backspace")


def test_turning_visitors_away_and_ending_a_session_ask_back(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    with httpx.Client(base_url=counters_site.url, timeout=30) as visitor:
        answer = visitor.post("/api/v1/queues/ops-sale/enqueue").raise_for_status()
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        page = open_page("/ops/rooms", of=counters_site).page
        log_in(page, "admin", ADMIN_PASSWORD)
        page.get_by_role("button", name=NAME).click()
        expect(page.get_by_role("row", name=NAME)).to_contain_text("1 of 5")
        # Who comes to claim the place begins the session.
        visitor.get("/api/v1/queues/ops-sale/status", headers=bearer).raise_for_status()
    page.get_by_role("button", name="End session").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    expect(page.get_by_text("There is no session.")).to_be_visible()
    assert hall.admin.get(f"{PATH}/sessions").json()["total"] == 0

    page.get_by_label("Admitted a second, at most, as a number").fill("3")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_have_text(f"{NAME} is set.")
    page.get_by_role("button", name="Maintenance").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("dialog .told")).to_have_text("")  # that was about something else
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert hall.admin.get(PATH).json()["status"] == "active"
    page.get_by_role("button", name="Maintenance").click()
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_role("row", name=NAME)).to_contain_text("Maintenance")
    assert hall.admin.get(PATH).json()["status"] == "maintenance"
