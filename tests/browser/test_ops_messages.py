"""The console's page of messages: what is there, what died, and who may act."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import BrowserHall, log_in
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


def die(hall: BrowserHall, kind: str, error: str, *, queue: str = "default") -> str:
    """Store a message of a type and let its only attempt fail; returns its id."""
    new = {"payload": {"to": HOSTILE}, "type": kind, "max_attempts": 1, "queue": queue}
    hall.admin.post("/api/queue/message", json=new).raise_for_status()
    wish = {"type": kind, "timeout": 0, "queue": queue}
    held = hall.admin.get("/api/queue/message", params=wish).json()
    hall.admin.post(
        f"/api/queue/message/{held['id']}/nack",
        json={"lock_token": held["lock_token"], "error": error},
    ).raise_for_status()
    return str(held["id"])


def find_dead(page: Page, message_id: str) -> None:
    """Find the hostile message among the dead, read it, and close it again."""
    page.get_by_label("Which").select_option("dead")
    page.get_by_role("search").get_by_label("Type").fill(HOSTILE)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name=message_id).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("550 <b>no such mailbox</b>")
    expect(dialog).to_contain_text("1 of 1")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_an_admin_finds_what_died_and_lets_it_wait_again(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    message_id = die(hall, HOSTILE, "550 <b>no such mailbox</b>")
    visit = open_page("/ops/messages", of=counters_site, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", ADMIN_PASSWORD)

    find_dead(page, message_id)

    dead = page.get_by_role("region", name="Dead messages")
    dead.get_by_label("Type").fill(HOSTILE)
    dead.get_by_role("button", name="See how many").click()
    painted = dead.locator(".asked").evaluate("(box) => getComputedStyle(box).backgroundColor")
    sample = dead.locator(".asked .scroll")
    assert painted in sample.evaluate("(box) => getComputedStyle(box).backgroundImage")
    dead.get_by_role("button", name="Not now").press("Enter")
    expect(dead.get_by_role("heading")).to_be_focused()
    dead.get_by_role("button", name="See how many").click()
    dead.get_by_role("button", name="Redrive 1").press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Redriven: 1.")
    expect(dead.get_by_role("heading")).to_be_focused()
    assert hall.admin.get(f"/api/queue/message/{message_id}").json()["status"] == "queued"
    expect(page.get_by_role("log")).to_contain_text("redriven")

    page.get_by_role("button", name=f"Pause {HOSTILE}").click()
    expect(page.get_by_role("button", name=f"Resume {HOSTILE}")).to_be_visible()
    assert hall.admin.get("/api/queue/queues/default").json()["paused_types"] == [HOSTILE]
    page.get_by_role("button", name=f"Resume {HOSTILE}").click()
    expect(page.get_by_role("button", name=f"Pause {HOSTILE}")).to_be_visible()
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert [*visit.errors, *visit.strangers] == []


def test_the_notice_of_dead_messages_leads_to_where_most_of_them_are(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    queue, kind = "letters" + "w" * 57, "letter" + "w" * 94  # as long as a table may get
    path = f"/api/queue/queues/{queue}"
    hall.admin.put(path, json={}).raise_for_status()
    try:
        for _ in range(4):
            die(hall, kind, "returned to sender", queue=queue)
        page = open_page("/ops", of=counters_site, viewport=PHONE).page
        log_in(page, "admin", ADMIN_PASSWORD)

        page.locator(".notices a").filter(has_text="dead").click()

        expect(page.get_by_role("combobox", name="Queue")).to_have_value(queue)
        title = page.get_by_role("heading", name="Dead messages")
        expect(title).to_be_focused()
        expect(title).to_be_in_viewport()
        expect(page.get_by_role("region", name="Dead messages")).to_contain_text("4")

        page.goto(f"{counters_site.url}/ops/messages?queue={queue}")  # as of the one that waits
        expect(page.get_by_role("combobox", name="Queue")).to_have_value(queue)
        hall.admin.post(
            "/api/queue/message", json={"payload": {}, "type": kind, "queue": queue}
        ).raise_for_status()
        types = page.get_by_role("group", name="Types")
        expect(types).to_contain_text(kind)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    finally:
        hall.admin.delete(path, params={"force": "true"}).raise_for_status()


def test_a_viewer_sees_and_cannot_act(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    message_id = die(hall, "seen", "no")
    hall.officer("viewer01", None, role="viewer")
    page = open_page("/ops/messages", of=counters_site).page
    log_in(page, "viewer01")

    expect(page.get_by_role("region", name="Dead messages")).to_contain_text("Only admins")
    expect(page.get_by_role("button", name="See how many")).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    page.get_by_label("Which").select_option("dead")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("button", name=message_id)).to_be_visible()
