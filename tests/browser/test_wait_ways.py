"""The visitors' page of a room: from a place in line to the site, awake and asleep."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.rooms import Rooms, headline
from tests.servers import wait_until

pytestmark = pytest.mark.xdist_group("browser")


# The way in ----------------------------------------------------------------------------------


def test_a_visitor_moves_up_and_goes_in(open_page: OpenPage, rooms: Rooms, shop: str) -> None:
    rooms.make()
    first, second = rooms.join(2)
    visit = open_page(rooms.path, of=rooms.hall)
    headline(visit.page).to_have_text("You are number 3")

    rooms.leave(second)
    headline(visit.page).to_have_text("You are number 2")
    assert visit.page.title().startswith("2 · ")
    rooms.leave(first)
    headline(visit.page).to_have_text("You are next")
    expect(visit.page.locator("#progress")).to_have_js_property("value", 100)
    rooms.change(admission_rate=1_000)

    visit.page.wait_for_url(f"{shop}/checkout?stanchion_session=*")
    assert visit.errors == []


def test_a_visitor_goes_to_where_the_way_began(
    open_page: OpenPage, rooms: Rooms, shop: str
) -> None:
    rooms.make(admission_rate=1_000)

    page = open_page(f"{rooms.path}?to=%2Fbuy%3Fseat%3D7", of=rooms.hall).page

    page.wait_for_url(f"{shop}/buy?seat=7&stanchion_session=*")


def test_a_page_that_is_loaded_again_says_the_place_from_the_first_byte(
    open_page: OpenPage, rooms: Rooms
) -> None:
    rooms.make()
    rooms.join(2)
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are number 3")

    answer = page.reload()

    assert answer is not None
    assert ">You are number 3</h1>" in answer.text()
    [cookie] = [each for each in page.context.cookies() if each["name"] == "stanchion_place"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", rooms.path)


def test_scripts_change_nothing_of_what_the_server_wrote(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    rooms.join(4)
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are number 5")
    text = "() => document.getElementById('wait').innerText"
    page.context.add_init_script(
        "addEventListener('DOMContentLoaded', () => {"
        " globalThis.first = document.getElementById('headline').textContent"
        " + document.querySelector('[data-text=time]').textContent; })"
    )

    page.reload()

    expect(page.locator("#copy")).to_be_visible()
    now = page.evaluate(text)
    first = page.evaluate("globalThis.first")
    assert first.startswith("You are number 5")
    assert first.removeprefix("You are number 5") in now


def test_a_link_takes_the_place_along(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    rooms.join(2)
    here = open_page(rooms.path, of=rooms.hall, permissions=["clipboard-read", "clipboard-write"])
    headline(here.page).to_have_text("You are number 3")
    here.page.get_by_role("button", name="Copy the link").click()
    expect(here.page.locator("#copy")).to_have_text("Link copied")
    link = here.page.evaluate("navigator.clipboard.readText()")
    rooms.join()

    there = open_page(link.removeprefix(rooms.hall.url), of=rooms.hall)

    headline(there.page).to_have_text("You are number 3")
    assert there.page.url == f"{rooms.hall.url}{rooms.path}"


def test_a_visitor_leaves_and_joins_again(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are next")
    rooms.join()

    page.get_by_role("button", name="Leave the line").click()
    headline(page).to_have_text("You left the line")
    # The button is gone; a keyboard goes on from where it was.
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Join again")).to_be_focused()
    page.keyboard.press("Enter")

    headline(page).to_have_text("You are number 2")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Copy the link")).to_be_focused()


# Asleep and offline --------------------------------------------------------------------------


def test_a_page_without_a_connection_says_so_and_goes_on(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    [first] = rooms.join()
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are number 2")

    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("No connection")
    headline(page).to_have_text("You are number 2")
    rooms.leave(first)
    page.context.set_offline(False)

    headline(page).to_have_text("You are next")
    expect(page.locator("#banner span")).to_be_hidden()


def test_who_slept_too_long_is_told_and_may_join_again(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make(heartbeat_interval_seconds=1, heartbeat_timeout_seconds=2)
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are next")

    page.context.set_offline(True)
    wait_until(lambda: rooms.waiting() == 0, "the place is lost")
    page.context.set_offline(False)

    headline(page).to_have_text("Your place was given up")
    page.get_by_role("button", name="Join again").click()
    headline(page).to_have_text("You are next")


def test_a_page_that_stays_keeps_its_place_in_view_or_not(
    open_page: OpenPage, rooms: Rooms
) -> None:
    rooms.make(heartbeat_interval_seconds=1, heartbeat_timeout_seconds=10)
    lost = rooms.join()
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are number 2")

    # Whoever shows no sign of life is gone, and the page is not.
    headline(page).to_have_text("You are next")

    assert lost
    assert rooms.waiting() == 1
    assert len(page.workers) == 1  # whose clock is not slowed in a tab that nobody looks at


def test_a_page_that_is_closed_says_so(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make(heartbeat_interval_seconds=300, heartbeat_timeout_seconds=3_600)
    visit = open_page(rooms.path, of=rooms.hall)
    headline(visit.page).to_have_text("You are next")
    # The page's first sign of life; the next would be minutes away.
    wait_until(lambda: heartbeats(rooms) > 0, "the page is heard of")
    before = heartbeats(rooms)

    visit.page.goto("about:blank")

    # What the server makes of it: tests/rooms/test_contract_visitors.py.
    wait_until(lambda: heartbeats(rooms) > before, "the page says that it goes")


def heartbeats(rooms: Rooms) -> float:
    """Return how many signs of life the server got by HTTP, of all rooms."""
    counted = re.findall(
        r'^stanchion_http_request_seconds_count\{.*/heartbeat".*\} (.+)$',
        httpx.get(f"{rooms.hall.url}/metrics").text,
        re.MULTILINE,
    )
    return sum(map(float, counted))


# How it hears --------------------------------------------------------------------------------


def test_steps_and_changes_come_by_the_socket(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    [first] = rooms.join()
    page = open_page("/wait/nowhere", of=rooms.hall).page
    with page.expect_websocket() as opened:
        page.goto(f"{rooms.hall.url}{rooms.path}")
    opened.value.wait_for_event("framereceived")
    headline(page).to_have_text("You are number 2")
    # From here on nothing that the page asks is answered.
    page.route("**/*", lambda route: route.abort())

    rooms.leave(first)
    headline(page).to_have_text("You are next")
    for status, note in (
        ("paused", "The line stands still"),
        ("maintenance", "Whoever has a place keeps it"),
        ("closed", "Nobody is let in"),
        ("active", "This page moves on by itself"),
    ):
        rooms.change(status=status)
        expect(page.locator(".note")).to_contain_text(note)

    assert opened.value.url.endswith(f"/ws/queues/{rooms.id}")


def test_without_a_socket_the_page_asks(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make(heartbeat_interval_seconds=1)
    [first] = rooms.join()
    page = open_page("/wait/nowhere", of=rooms.hall).page
    page.route_web_socket("**/*", lambda socket: socket.close())
    page.goto(f"{rooms.hall.url}{rooms.path}")
    headline(page).to_have_text("You are number 2")

    rooms.leave(first)

    headline(page).to_have_text("You are next")
