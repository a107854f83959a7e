"""The visitors' page of a room: what it looks like, says, and is without scripts."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.rooms import Rooms, headline
from tests.browser.test_looks import AXE, faults_of
from tests.servers import System, wait_until

pytestmark = pytest.mark.xdist_group("browser")


def violations(page: Page) -> list[str]:
    """Return what axe-core finds."""
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


# Looks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("viewport", "color_scheme", "locale"),
    [
        pytest.param(PHONE, "light", "vi-VN", id="phone-light-vi"),
        pytest.param(PHONE, "dark", "en-GB", id="phone-dark-en"),
        pytest.param(DESKTOP, "light", "en-GB", id="desktop-light-en"),
        pytest.param(DESKTOP, "dark", "vi-VN", id="desktop-dark-vi"),
    ],
)
def test_page_is_for_everybody(
    open_page: OpenPage, rooms: Rooms, viewport: Any, color_scheme: str, locale: str
) -> None:
    rooms.make(appearance={"title": "Đêm nhạc", "text": "<b>One</b> line\nand another"})
    rooms.join(3)

    visit = open_page(
        rooms.path, of=rooms.hall, viewport=viewport, color_scheme=color_scheme, locale=locale
    )

    said = "Bạn là số 4" if locale == "vi-VN" else "You are number 4"
    headline(visit.page).to_have_text(said)
    assert violations(visit.page) == []
    expect(visit.page.locator(".own")).to_contain_text("<b>One</b> line")
    assert visit.page.locator("html").get_attribute("lang") == locale[:2]
    assert visit.page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert faults_of(visit) == []


def test_a_room_s_colours_are_there_and_can_be_read(open_page: OpenPage, rooms: Rooms) -> None:
    colours = {"background": "#5a2d82", "accent": "#ff8800", "text": "#777777"}
    rooms.make(appearance={"colours": colours})
    rooms.join()

    visit = open_page(rooms.path, of=rooms.hall)

    headline(visit.page).to_have_text("You are number 2")
    expect(visit.page.locator("html")).to_have_css("background-color", "rgb(90, 45, 130)")
    assert violations(visit.page) == []
    expect(visit.page.locator("#theme")).to_be_hidden()


# States --------------------------------------------------------------------------------------

STATES = {
    "paused": ({"status": "paused"}, "You are next", "The line stands still"),
    "maintenance": ({"status": "maintenance"}, "Back soon", "Whoever has a place keeps it"),
    "closed": ({"status": "closed"}, "This line is closed", "Nobody is let in"),
    "full": ({"max_queue_size": 1}, "The line is full", "tries again by itself"),
    "early": ({"opens_at": "2099-01-01T00:00:00Z"}, "Opens in ", "keep it until then"),
    "drawn": ({"opens_at": "2099-01-01T00:00:00Z", "draw": True}, "Opens in ", "drawn by lot"),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_said(open_page: OpenPage, rooms: Rooms, state: str) -> None:
    settings, said, note = STATES[state]
    is_made_so = "opens_at" in settings or state == "full"
    rooms.make(**(settings if is_made_so else {}))
    if state == "full":
        rooms.join()
    if not is_made_so:
        rooms.change(**settings)

    visit = open_page(rooms.path, of=rooms.hall, color_scheme="dark")

    headline(visit.page).to_contain_text(said)
    expect(visit.page.locator(".note")).to_contain_text(note)
    assert violations(visit.page) == []


def test_a_room_that_is_none_is_said(open_page: OpenPage, hall: System) -> None:
    page = open_page("/wait/nowhere", of=hall, locale="vi-VN").page

    headline(page).to_have_text("Không có phòng chờ này")
    expect(page.locator("link[rel=stylesheet]")).to_have_count(1)
    assert violations(page) == []


def test_a_room_by_invitation_says_so_and_takes_a_code(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make(invite_only=True)
    page = open_page(f"{rooms.path}?code=mistyped", of=rooms.hall).page

    headline(page).to_have_text("By invitation only")
    expect(page.locator(".note")).to_contain_text("Open the link that came with your invitation")
    assert violations(page) == []
    page.goto(f"{rooms.hall.url}{rooms.path}?code={rooms.code()}")

    headline(page).to_have_text("You are next")


# Who listens ---------------------------------------------------------------------------------


def test_steps_are_not_chattered_about_and_the_turn_is_told(
    open_page: OpenPage, rooms: Rooms
) -> None:
    rooms.make()
    others = rooms.join(4)
    page = open_page(rooms.path, of=rooms.hall).page
    headline(page).to_have_text("You are number 5")
    page.evaluate(
        "() => { globalThis.started = performance.now(); globalThis.told = [];"
        " new MutationObserver(() => told.push("
        "document.getElementById('news').textContent)).observe("
        "document.getElementById('news'), {childList: true, characterData: true, subtree: true}); }"
    )

    for position, token in enumerate(reversed(others)):
        rooms.leave(token)
        said = f"You are number {4 - position}" if position < 3 else "You are next"
        headline(page).to_have_text(said)
    chatter = page.evaluate("told")
    seconds = page.evaluate("(performance.now() - started) / 1000")
    rooms.change(status="paused")
    expect(page.locator(".note")).to_contain_text("The line stands still")

    assert len(chatter) <= seconds // 30
    assert (
        page.evaluate("told.at(-1)")
        == "You are next. The line stands still for now. You keep your place."
    )


# Without scripts -----------------------------------------------------------------------------


def test_without_scripts_a_button_takes_a_place_and_the_page_moves_on(
    open_page: OpenPage, rooms: Rooms, shop: str
) -> None:
    rooms.make(heartbeat_interval_seconds=1)
    [first] = rooms.join()
    page = open_page(f"{rooms.path}?to=/buy", of=rooms.hall, java_script_enabled=False).page

    page.get_by_role("button", name="Take a place").click()
    headline(page).to_have_text("You are number 2")
    expect(page.get_by_role("button", name="Copy the link")).to_be_hidden()
    rooms.leave(first)
    headline(page).to_have_text("You are next")
    rooms.change(admission_rate=1_000)

    page.wait_for_url(f"{shop}/buy?stanchion_session=*")


def test_without_scripts_one_can_leave(open_page: OpenPage, rooms: Rooms) -> None:
    rooms.make()
    page = open_page(rooms.path, of=rooms.hall, java_script_enabled=False).page
    page.get_by_role("button", name="Take a place").click()

    page.get_by_role("button", name="Leave the line").click()

    headline(page).to_have_text("You left the line")
    assert rooms.waiting() == 0


# For programs --------------------------------------------------------------------------------


def test_the_same_comes_as_json(rooms: Rooms) -> None:
    rooms.make(appearance={"text": "Hello", "languages": {"vi": {"text": "Xin chào"}}})
    address = f"{rooms.hall.url}{rooms.path}"
    wants = {"Accept": "application/json", "Accept-Language": "vi"}

    before = httpx.get(address, headers=wants).json()
    joined = httpx.post(address, headers=wants)
    shown = {**wants, "Authorization": f"Bearer {joined.json()['token']}"}
    after = httpx.get(address, headers=shown).json()

    assert (before["state"], before["token"], before["text"]) == ("joining", None, "Xin chào")
    assert (after["state"], after["position"], after["first_position"]) == ("waiting", 1, 1)
    assert after["token"] == joined.json()["token"]
    assert httpx.post(f"{address}/leave", headers=shown).json()["state"] == "left"


def test_a_get_takes_no_place(rooms: Rooms) -> None:
    rooms.make()

    page = httpx.get(f"{rooms.hall.url}{rooms.path}", headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert rooms.waiting() == 0


def test_admitted_programs_are_told_where_to_go(rooms: Rooms, shop: str) -> None:
    rooms.make(admission_rate=1_000)
    wants = {"Accept": "application/json"}

    with httpx.Client(base_url=rooms.hall.url, headers=wants) as http:
        http.post(rooms.path)

        def admitted() -> Any:
            told = http.get(f"{rooms.path}?to=/a%3Fb=1").json()
            return told if told["redirect_url"] else None

        told = wait_until(admitted, "the visitor is let in")

    assert told["state"] == "admitted"
    parts = urlsplit(told["redirect_url"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{shop}/a"
    assert parse_qs(parts.query).keys() == {"b", "stanchion_session"}
