"""The console's page of people: who may log in, and a key that is shown once."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import PASSWORD, BrowserHall, log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")
HOSTILE = "<img src=x onerror=alert(0)>"


@pytest.fixture
def hall(counters_site: System) -> Iterator[BrowserHall]:
    made = BrowserHall(counters_site.url)
    yield made
    made.close()


def test_an_admin_makes_a_user_and_gives_another_role(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    visit = open_page("/ops/people", of=counters_site, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)

    expect(page.get_by_role("heading", name="New user")).to_be_visible()
    page.get_by_label("User name").fill("newcomer")
    page.get_by_label("Full name").fill(HOSTILE)
    page.get_by_label("Password (at least 8 characters)").fill(PASSWORD)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("row", name="newcomer")).to_contain_text(HOSTILE)
    page.get_by_label("Role of newcomer").select_option("operator")
    expect(page.locator("#page")).to_have_attribute("aria-busy", "false")
    page.get_by_role("button", name="Disable newcomer").click()
    expect(page.get_by_role("button", name="Enable newcomer")).to_be_visible()
    users = hall.admin.get("/api/v1/auth/users").json()["data"]
    [made] = [each for each in users if each["username"] == "newcomer"]
    assert (made["role"], made["is_active"]) == ("operator", False)
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert [*visit.errors, *visit.strangers] == []


def test_an_officer_gets_a_counter_where_the_user_is_made(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    first, second = hall.counter("Quầy của Lan"), hall.counter("Quầy khác của Lan")
    page = open_page("/ops/people", of=counters_site).page
    log_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_label("User name").fill("Nguyễn Lan")
    page.locator("[name=role]").select_option("officer")
    page.locator("[name=counter]").select_option(str(first))
    page.get_by_label("Password (at least 8 characters)").fill(PASSWORD)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("[name=username]:invalid")).to_have_count(1)  # the browser says why

    page.get_by_label("User name").fill("lan")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Counter of lan")).to_have_value(str(first))
    page.get_by_label("Counter of lan").select_option(str(second))
    expect(page.locator("#page")).to_have_attribute("aria-busy", "false")

    users = hall.admin.get("/api/v1/auth/users").json()["data"]
    [lan] = [each for each in users if each["username"] == "lan"]
    assert (lan["role"], lan["counter_id"]) == ("officer", second)


def test_a_key_is_shown_once(open_page: OpenPage, counters_site: System, hall: BrowserHall) -> None:
    page = open_page("/ops/people", of=counters_site).page
    log_in(page, "admin", ADMIN_PASSWORD)

    page.get_by_label("Name of the key").fill("of-the-page")
    page.get_by_label("Opens").select_option("tickets")
    page.get_by_role("button", name="Make").click()
    shown = page.locator(".secret code")
    expect(shown).not_to_be_empty()
    secret = shown.inner_text()
    hall.admin.get("/app/reports/unprinted", headers={"X-API-KEY": secret}).raise_for_status()
    page.get_by_role("button", name="I have it").click()
    expect(shown).to_have_count(0)
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke of-the-page").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row", name="of-the-page")).to_have_count(0)


def test_the_last_admin_stays_and_the_page_says_why(
    open_page: OpenPage, counters_site: System
) -> None:
    page = open_page("/ops/people", of=counters_site).page
    log_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_label("Role of admin").select_option("viewer")

    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_label("Role of admin")).to_have_value("admin")
