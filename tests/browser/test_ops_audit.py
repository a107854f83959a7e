"""The console's page of the audit log: found by who, what and to what, and taken away as a file."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import BrowserHall, log_in
from tests.browser.test_looks import AXE
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import System

pytestmark = pytest.mark.xdist_group("browser")


def test_an_admin_narrows_the_log_and_takes_it_away(
    open_page: OpenPage, counters_site: System, tmp_path: Path
) -> None:
    hall = BrowserHall(counters_site.url)
    hall.officer("audited01", None, role="viewer")
    hall.close()
    visit = open_page("/ops/audit", of=counters_site, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(page.get_by_role("button", name="Show")).to_be_visible()
    here = page.get_by_role("navigation", name="Console").get_by_role("link", name="Audit log")
    expect(here).to_be_in_viewport(ratio=1)  # the last of a strip that is wider than a phone

    page.get_by_label("What was done").fill("user_created")
    page.get_by_label("To what").fill("audited01")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("user_created")
    with page.expect_download() as taken:
        page.get_by_role("link", name="As CSV").click()
    taken.value.save_as(tmp_path / "audit.csv")
    with (tmp_path / "audit.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["actor"], row["action"], row["target"]) == ("admin", "user_created", "audited01")

    page.get_by_label("Who").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No entry is like that.")).to_be_visible()
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert [*visit.errors, *visit.strangers] == []


def test_the_log_is_narrowed_to_a_time_of_the_readers_clock(
    open_page: OpenPage, counters_site: System
) -> None:
    page = open_page("/ops/audit", of=counters_site).page
    log_in(page, "admin", ADMIN_PASSWORD)
    page.get_by_label("From").fill("2001-01-01T00:00")
    page.get_by_label("Until").fill("2001-01-02T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No entry is like that.")).to_be_visible()

    page.get_by_label("Until").fill("2101-01-02T00:00")
    page.get_by_role("button", name="Show").click()

    expect(page.locator("tbody tr").filter(has_text="login_success").first).to_be_visible()
