"""The halls as a supervisor sees them: load, and what can be set."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, expect

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


def test_a_supervisor_sees_the_load_and_sets_up_a_hall(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy giám sát")
    hall.officer("super01", None, role="supervisor")
    page = open_page("/ops/tickets", of=counters_site, locale="en-GB").page
    log_in(page, "super01")
    row = page.get_by_role("row", name="Quầy giám sát").first
    expect(row.locator("td").nth(2)).to_have_text("0")

    hall.take(counter_id)
    hall.take(counter_id)
    expect(row.locator("td").nth(2)).to_have_text("2")
    hall.admin.post(f"/app/counters/{counter_id}/call-next").raise_for_status()
    expect(row.locator("td").nth(1)).to_have_text("101")

    page.get_by_label("New counter").fill("Quầy của trang")
    page.get_by_role("button", name="Add").first.click()
    made = page.get_by_role("group", name="Quầy của trang")
    made.get_by_label("Who is next").select_option("strict")
    made.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("row", name="Quầy của trang").first).to_contain_text("On a break")
    counters = hall.admin.get("/app/counters").json()["counters"]
    [kept] = [each for each in counters if each["name"] == "Quầy của trang"]
    assert (kept["policy"], kept["status"]) == ("strict", "paused")

    page.get_by_label("New counter").fill("Quầy của trang")  # taken: it says so, nothing is lost
    page.get_by_role("button", name="Add").first.click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_label("New counter")).to_have_value("Quầy của trang")
    page.evaluate(AXE)
    assert page.evaluate("async () => (await axe.run()).violations.map((each) => each.id)") == []


def test_the_hall_takes_hours_as_people_write_them_and_says_what_is_wrong(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    counter_id = hall.counter("Quầy có giờ")
    page = open_page("/ops/tickets", of=counters_site, locale="en-GB").page
    log_in(page, "admin", ADMIN_PASSWORD)
    expect(page.get_by_role("group", name="Quầy có giờ")).to_contain_text(f"ID {counter_id}")
    form = page.locator("section[aria-labelledby=opening] form").first
    [before] = hall.admin.get("/app/branches").json()["branches"][:1]

    form.get_by_label("Always open").uncheck()
    form.get_by_label("Monday").fill("11:30-08:00")
    form.get_by_role("button", name="Save").click()
    expect(form.locator("[name=mon]:invalid")).to_have_count(1)
    form.get_by_label("Monday").fill("7h30-11h30; 13 - 17:00")
    form.get_by_label("Time zone").fill("Asia/Ha_Noi")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("timezone")
    form.get_by_label("Time zone").fill("Asia/Ho_Chi_Minh")
    form.get_by_label("Name of the hall").fill("Phường Bến Nghé")
    form.get_by_label("Numbers are counted").select_option("hall")
    form.get_by_label("First number of the hall").fill("501")
    form.get_by_label("Numbers begin anew at").fill("05:30")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    kept = hall.admin.get(f"/app/branches/{before['id']}").json()

    assert kept["opening"]["mon"] == [["07:30", "11:30"], ["13:00", "17:00"]]
    assert (kept["name"], kept["timezone"]) == ("Phường Bến Nghé", "Asia/Ho_Chi_Minh")
    assert (kept["numbering"], kept["number_first"], kept["reset_at"]) == ("hall", 501, "05:30")
    news = {key: value for key, value in before.items() if key not in {"id", "is_open"}}
    hall.admin.patch(f"/app/branches/{before['id']}", json=news).raise_for_status()


def test_the_focus_stays_where_a_counter_was_changed(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.counter("Quầy giữ chỗ")
    page = open_page("/ops/tickets", of=counters_site, locale="en-GB").page
    log_in(page, "admin", ADMIN_PASSWORD)
    group = page.get_by_role("group", name="Quầy giữ chỗ")

    group.get_by_role("button", name="Pause").press("Enter")
    expect(group.get_by_role("button", name="End the pause")).to_be_focused()
    group.get_by_label("First number").fill("301")
    group.get_by_label("First number").press("Enter")
    group.get_by_label("Name").fill("Quầy đã đổi tên")
    group.get_by_label("Name").press("Enter")

    renamed = page.get_by_role("group", name="Quầy đã đổi tên")
    expect(renamed.get_by_label("Name")).to_be_focused()
    [kept] = [
        each
        for each in hall.admin.get("/app/counters").json()["counters"]
        if each["name"] == "Quầy đã đổi tên"
    ]
    assert (kept["number_first"], kept["status"]) == (301, "paused")


def test_a_procedure_is_changed_where_it_stands(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    here, there = hall.counter("Quầy sửa"), hall.counter("Quầy sửa khác")
    body = {"name": "Trích lục cũ", "service_minutes": 7, "counter_ids": [here]}
    made = hall.admin.post("/app/procedures", json=body).json()
    page = open_page("/ops/tickets", of=counters_site, locale="en-GB").page
    log_in(page, "admin", ADMIN_PASSWORD)
    item = page.get_by_role("listitem").filter(has_text="Trích lục cũ")

    item.locator("summary").press("Enter")
    expect(item.get_by_label("Name")).to_have_value("Trích lục cũ")
    expect(item.get_by_label("Quầy sửa", exact=True)).to_be_checked()
    item.get_by_label("Name").fill("Trích lục mới")
    item.get_by_label("Minutes").fill("9")
    item.get_by_label("Quầy sửa", exact=True).uncheck()
    item.get_by_label("Quầy sửa khác").check()
    item.get_by_label("Minutes").press("Enter")

    changed = page.get_by_role("listitem").filter(has_text="Trích lục mới")
    expect(changed.locator("summary")).to_be_focused()
    expect(changed.locator("details")).not_to_have_attribute("open", "")
    kept = hall.admin.get(f"/app/procedures/{made['id']}").json()
    assert (kept["service_minutes"], kept["counter_ids"]) == (9, [there])


def test_recorded_clips_are_uploaded_by_their_names(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.counter("Quầy 8")
    page = open_page("/ops/tickets", of=counters_site, locale="en-GB").page
    log_in(page, "admin", ADMIN_PASSWORD)
    form = page.get_by_role("form", name="Recorded voice of").first
    sound = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24)
    files: list[FilePayload] = [
        {"name": name, "mimeType": "audio/wav", "buffer": sound}
        for name in ("Ticket.wav", "7.wav", "hello.wav", "8.txt")
    ]

    form.get_by_label("WAV, MP3 or Ogg files").set_input_files(files)
    form.get_by_role("button", name="Upload").click()
    section = page.locator("section[aria-labelledby=clips]")
    expect(section.get_by_role("status").first).to_contain_text("2 uploaded.")
    expect(section).to_contain_text("hello.wav: ")
    expect(section).to_contain_text("8.txt: not a WAV, MP3 or Ogg file")
    expect(section).to_contain_text("Not there yet: counter, 0, 1")
    [seven] = [c for c in hall.admin.get("/app/voice/clips").json()["clips"] if c["key"] == "7"]
    assert hall.admin.get(seven["url"]).content == sound
    section.get_by_role("button", name="Remove clip 7").click()
    expect(section.get_by_role("button", name="Remove clip 7")).to_have_count(0)
    section.get_by_role("button", name="Remove clip ticket").click()
    expect(section.get_by_role("listitem")).to_have_count(0)


def test_an_officer_is_told_whose_page_it_is(
    open_page: OpenPage, counters_site: System, hall: BrowserHall
) -> None:
    hall.officer("curious01", hall.counter("Quầy tò mò"))
    page = open_page("/ops/tickets", of=counters_site, viewport=PHONE).page
    log_in(page, "curious01")

    expect(page.locator("h1:visible")).to_have_text("Not for this account")
