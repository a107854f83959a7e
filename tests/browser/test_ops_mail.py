"""The console's page of mail, with a real Exim: found, chosen, acted on, and read without harm."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.hall import log_in
from tests.browser.test_looks import AXE
from tests.mail.conftest import exim, exim_server, mail, running, sink
from tests.mail.mail_system import PASSWORD, MailSystem
from tests.servers import wait_until
from workers import mail as tasks
from workers.app import send

__all__ = ["exim", "exim_server", "mail", "running", "sink"]  # fixtures
pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.on_sqlite,
]
# Keeps what is written into pictures.
DRAWN = """
    window.drawn = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
      drawn.push(String(text));
      return write.call(this, text, ...rest);
    };
"""
HOSTILE = "Hóa đơn <img src=x onerror=alert(1)>"


def statuses(mail: MailSystem, *message_ids: str) -> set[str]:
    listed = mail.listed(per_page=100)["data"]["messages"]
    return {each["status"] for each in listed if each["id"] in message_ids}


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found: list[str] = page.evaluate(
        "async () => (await axe.run()).violations.map((each) => each.id)"
    )
    return found


def test_an_admin_chooses_freezes_and_undoes(open_page: OpenPage, mail: MailSystem) -> None:
    first, second = (mail.exim.submit(f"{name}@defer.test", subject=HOSTILE) for name in "ab")
    other = mail.exim.submit("c@defer.test", sender="other@y.test", subject="Other")
    mail.wait_for(first, second, other)
    visit = open_page("/ops/mail", of=mail.system, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", PASSWORD)
    expect(page.locator("[data-row]")).to_have_count(3)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

    page.get_by_label("Sender", exact=True).fill("a@x.test")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("[data-row]")).to_have_count(2)
    assert "sender=a%40x.test" in page.url
    page.get_by_label("Choose this page").check()
    page.reload()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("alert")).to_have_text("2 of 2 are frozen.")
    wait_until(lambda: statuses(mail, first, second) == {"frozen"}, "both are frozen")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("alert")).to_have_text("2 of 2 are thawed.")
    wait_until(lambda: "frozen" not in statuses(mail, first, second), "both are thawed")
    assert [*visit.errors, *visit.strangers] == []


def test_with_nothing_chosen_there_is_nothing_to_press(
    open_page: OpenPage, mail: MailSystem
) -> None:
    mail.wait_for(mail.exim.submit("a.person.of.a.long.name@defer.test"))
    wide = {"width": 1440, "height": 900}
    page = open_page("/ops/mail", of=mail.system, viewport=wide).page
    log_in(page, "admin", PASSWORD)
    row = page.locator("[data-row='0']")
    expect(row).to_contain_text("to a.person.of.a.long.name@defer.test")
    # Neither an id nor an address is broken where there is room.
    assert row.locator("code").evaluate("each => each.getClientRects().length") == 1
    assert row.locator(".who").evaluate("each => each.getBoundingClientRect().height") < 130
    freeze = page.get_by_role("button", name="Freeze")
    expect(page.get_by_text("Nothing chosen")).to_be_visible()
    expect(freeze).to_have_attribute("aria-disabled", "true")
    expect(freeze).to_have_css("border-top-style", "dashed")

    page.get_by_label("Sender", exact=True).fill("nobody@z.test")
    page.get_by_role("button", name="Search").click()

    expect(page.get_by_text("No message fits these filters.")).to_be_visible()
    expect(freeze).to_have_count(0)


def test_an_address_that_asks_for_what_there_is_not_has_a_way_out(
    open_page: OpenPage, mail: MailSystem
) -> None:
    mail.wait_for(mail.exim.submit("a@defer.test"))
    page = open_page("/ops/mail?status=frozn", of=mail.system).page
    log_in(page, "admin", PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("got 'frozn'")

    page.get_by_role("button", name="All messages").click()

    expect(page.locator("[data-row]")).to_have_count(1)


def test_what_is_gone_for_good_is_asked_back(open_page: OpenPage, mail: MailSystem) -> None:
    first, second = (mail.exim.submit("u@defer.test") for _ in range(2))
    mail.wait_for(first, second)
    page = open_page("/ops/mail", of=mail.system).page
    log_in(page, "admin", PASSWORD)
    expect(page.locator("[data-row]")).to_have_count(2)
    page.goto(f"{mail.system.url}/ops/mail?sender=a%40x.test")
    page.get_by_label(f"Choose {first}").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_have_text("1 of 1 are deleted.")
    expect(page.locator("[data-row]")).to_have_count(1)
    assert page.locator("[data-row] .plain").all_inner_texts() == [second]
    page.get_by_role("button", name="All messages").click()
    expect(page).to_have_url(f"{mail.system.url}/ops/mail")


def test_by_keyboard_a_message_is_opened_read_and_frozen_by_somebody_else(
    open_page: OpenPage, mail: MailSystem
) -> None:
    other = mail.exim.submit("u@defer.test")
    message_id = mail.exim.submit("u@defer.test", subject=HOSTILE, body="Xin chào <b>bạn</b>\n")
    mail.wait_for(message_id, other)
    visit = open_page("/ops/mail", of=mail.system, color_scheme="dark")
    page = visit.page
    log_in(page, "admin", PASSWORD)
    expect(page.locator("[data-row='0']")).to_contain_text(HOSTILE)

    page.keyboard.press("j")
    expect(page.locator("[data-row='0'] .plain")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Xin chào <b>bạn</b>")
    dialog.get_by_role("button", name="Show headers and body").click()
    expect(dialog).to_contain_text(f"Subject: {HOSTILE}")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    mail.exim.run("-Mf", message_id)
    expect(page.locator("[data-row='0']")).to_contain_text("Frozen")
    page.keyboard.press("t")
    expect(page.get_by_role("alert")).to_have_text("1 of 1 are thawed.")
    page.keyboard.press("Delete")
    expect(dialog).to_contain_text("Delete 1 message?")
    expect(dialog).not_to_contain_text("thawed")  # which was said of something else
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("1 of 1 are deleted.")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator("[data-row='0'] .plain")).to_be_focused()
    assert [*visit.errors, *visit.strangers] == []


def test_all_that_a_filter_finds_is_shown_and_then_done(
    open_page: OpenPage, mail: MailSystem
) -> None:
    first = mail.exim.submit("u@defer.test", sender="spam@bad.test", subject=HOSTILE)
    mail.exim.copies(first, 59)
    other = mail.exim.submit("u@defer.test", sender="good@x.test")
    wait_until(lambda: mail.listed()["meta"]["total"] == 61, "all are listed")
    visit = open_page("/ops/mail?sender=bad.test", of=mail.system, viewport=PHONE)
    page = visit.page
    log_in(page, "admin", PASSWORD)
    expect(page.locator("[data-row]")).to_have_count(50)

    all_found = page.get_by_role("button", name="Choose all 60 that are found")
    circle = all_found.evaluate("each => getComputedStyle(each, '::before').marginRight")
    assert circle != "0px"  # or it would touch the words
    all_found.click()
    expect(page.get_by_text("60 chosen")).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Freeze 60 messages?")
    expect(dialog.get_by_role("listitem")).to_have_count(10)
    assert violations(page) == []
    dialog.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("alert")).to_have_text("60 of 60 are frozen.")
    wait_until(lambda: mail.listed(status="frozen")["meta"]["total"] == 60, "all are frozen")
    assert statuses(mail, other) == {"queued"}

    page.get_by_role("button", name="Choose all 60 that are found").click()
    page.get_by_role("button", name="Send back").click()
    expect(dialog).to_contain_text("each sender is told")
    dialog.get_by_role("button", name="Send back").click()
    expect(page.get_by_role("alert")).to_have_text("60 of 60 are sent back.", timeout=30_000)
    assert [*visit.errors, *visit.strangers] == []


def test_all_of_a_group_are_no_more_than_its_list(open_page: OpenPage, mail: MailSystem) -> None:
    first = mail.exim.submit("u@defer.test", sender="spam@bad.test")
    mail.exim.copies(first, 59)
    other = mail.exim.submit("u@defer.test", sender="good@x.test")
    wait_until(lambda: mail.listed()["meta"]["total"] == 61, "all are listed")
    visit = open_page("/ops/mail?age_max=2d&size_min=1", of=mail.system)
    page = visit.page
    log_in(page, "admin", PASSWORD)
    page.get_by_role("combobox", name="By", exact=True).select_option("sender_domain")
    page.get_by_role("button", name="bad.test", exact=True).click()
    expect(page.get_by_role("textbox", name="Sender's domain")).to_have_value("bad.test")

    page.get_by_role("button", name="Choose all 60 that are found").click()
    page.get_by_role("button", name="Freeze").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Freeze 60 messages?")
    dialog.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("alert")).to_have_text("60 of 60 are frozen.")

    assert statuses(mail, other) == {"queued"}
    page.get_by_role("textbox", name="Sender's domain").fill("")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Choose all 61 that are found")).to_be_visible()
    assert [*visit.errors, *visit.strangers] == []


def test_a_delivery_is_watched_line_by_line(open_page: OpenPage, mail: MailSystem) -> None:
    message_id = mail.exim.submit("tmp@far.test", subject=HOSTILE)
    mail.wait_for(message_id)
    visit = open_page("/ops/mail", of=mail.system, viewport=PHONE, color_scheme="dark")
    page = visit.page
    log_in(page, "admin", PASSWORD)
    page.locator("[data-row] .plain").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("log")).to_have_count(0)

    dialog.get_by_role("button", name="Deliver now").click()
    log = dialog.get_by_role("log")
    expect(log).to_contain_text("SMTP<< 451 4.2.1 mailbox busy")
    expect(log).to_have_attribute("data-over", "true")
    expect(dialog.locator(".facts")).to_contain_text("Deferred")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator("[data-row] .plain").click()
    expect(dialog.get_by_role("log")).to_contain_text("SMTP>> RCPT TO:<tmp@far.test>")
    assert [*visit.errors, *visit.strangers] == []


def test_the_envelope_is_changed(open_page: OpenPage, mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test", "v@defer.test")
    mail.wait_for(message_id)
    visit = open_page("/ops/mail", of=mail.system)
    page = visit.page
    log_in(page, "admin", PASSWORD)
    page.locator("[data-row] .plain").click()
    dialog = page.get_by_role("dialog")

    dialog.get_by_label("Another recipient").fill("bad@@x.test")
    dialog.get_by_role("button", name="Add").first.click()
    expect(dialog.get_by_role("alert")).to_contain_text("expected one address")
    dialog.get_by_label("Another recipient").fill("new@far.test")
    dialog.get_by_role("button", name="Add").first.click()
    expect(dialog.get_by_role("listitem").filter(has_text="new@far.test")).to_be_visible()
    row = dialog.get_by_role("listitem").filter(has_text="v@defer.test")
    row.get_by_role("button", name="Take off").click()
    row.get_by_role("button", name="Take off for good").click()
    expect(row).to_contain_text("delivered")
    dialog.get_by_label("Another envelope sender").fill("b@x.test")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.locator(".facts")).to_contain_text("b@x.test")

    wait_until(lambda: mail.listed()["data"]["messages"][0]["sender"] == "b@x.test", "it is so")
    assert mail.listed()["data"]["messages"][0]["delivered"] == ["v@defer.test"]
    assert visit.strangers == []
    assert [each for each in visit.errors if "400" not in each] == []  # the address that was none


def test_remarks_are_left_for_one_another(open_page: OpenPage, mail: MailSystem) -> None:
    mail.wait_for(mail.exim.submit("u@defer.test"))
    visit = open_page("/ops/mail", of=mail.system)
    page = visit.page
    log_in(page, "admin", PASSWORD)
    page.locator("[data-row] .plain").click()
    dialog = page.get_by_role("dialog")

    dialog.get_by_label("Tag", exact=True).fill("spam?")
    dialog.get_by_label("Tag", exact=True).press("Enter")
    expect(dialog.get_by_role("list", name="Tags")).to_contain_text("spam?")
    dialog.get_by_label("Note", exact=True).fill("asked Anna <b>")
    dialog.get_by_label("Note", exact=True).press("Enter")
    expect(dialog).to_contain_text("asked Anna <b>")
    assert violations(page) == []
    dialog.get_by_role("button", name="Take off the tag spam?").click()
    expect(dialog.get_by_role("list", name="Tags")).to_have_count(0)
    assert [*visit.errors, *visit.strangers] == []


def test_the_last_hour_is_drawn_above_what_is_said_of_it(
    open_page: OpenPage, mail: MailSystem, send_through: Callable[[str], None]
) -> None:
    send_through(mail.system.redis_url)

    def samples() -> bool:
        send(tasks.sample.name, queue="mail", expires_s=60)
        trend = mail.http.get("/api/v1/queue/trend").json()["data"]["samples"]
        return len(trend) > 1

    wait_until(samples, "two samples are there")
    mail.let_samples_lie_apart(minutes=20)
    page = open_page("/ops/mail", of=mail.system, viewport=PHONE, locale="vi-VN").page
    log_in(page, "admin", PASSWORD)
    expect(page.locator("figure.peaks canvas")).to_have_count(2)
    page.add_init_script(DRAWN)
    page.reload()
    expect(page.locator("figure.peaks canvas")).to_have_count(2)

    labels = page.wait_for_function("drawn.length > 4 && drawn").json_value()
    moments = [each for each in labels if not each.isdecimal()]
    assert moments
    assert [each for each in moments if not re.fullmatch(r"\d\d:\d\d", each)] == []
    for figure in page.locator("figure.peaks").all():
        drawn = figure.locator("canvas").bounding_box()
        said = figure.locator("figcaption").bounding_box()
        assert drawn is not None
        assert said is not None
        assert drawn["y"] + drawn["height"] <= said["y"]


def test_an_alarm_stands_first(
    open_page: OpenPage, mail: MailSystem, send_through: Callable[[str], None]
) -> None:
    send_through(mail.system.redis_url)
    page = open_page("/ops/mail", of=mail.system).page
    log_in(page, "admin", PASSWORD)
    expect(page.get_by_role("heading", name="What waits")).to_be_visible()
    watcher = mail.system.running["mail-watch"]
    watcher.freeze()
    try:
        mail.let_be_silent()
        send(tasks.alarm.name, queue="mail", expires_s=60)
        alarms = page.get_by_role("list", name="What needs somebody first")
        expect(alarms).to_contain_text("mx1 is silent")
    finally:
        watcher.thaw()
    wait_until(mail.is_alive, "the host shows life again")
    send(tasks.alarm.name, queue="mail", expires_s=60)
    expect(alarms).to_have_count(0)


def test_a_viewer_looks_and_cannot_act(open_page: OpenPage, mail: MailSystem) -> None:
    message_id = mail.exim.submit("u@defer.test")
    mail.wait_for(message_id)
    with mail.as_user("viewer"):
        page = open_page("/ops/mail", of=mail.system, locale="vi-VN").page
        log_in(page, "viewer", PASSWORD)
        expect(page.locator("[data-row]")).to_have_count(1)

    expect(page.locator("[data-row] input")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("f")
    page.locator("[data-row] .plain").click()
    expect(page.get_by_role("dialog")).to_contain_text("u@defer.test")
    expect(page.get_by_role("dialog")).to_contain_text("Thư đến từ a@x.test")
    expect(page.get_by_role("button", name="Xem phần đầu thư")).to_have_count(0)
    assert "frozen" not in statuses(mail, message_id)
