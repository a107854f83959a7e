"""How pages look and behave to everybody: sizes, colours, languages, keyboards, screen readers."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage, Visit

pytestmark = pytest.mark.xdist_group("browser")

AXE = gzip.decompress(
    (Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js.gz").read_bytes()
).decode()
PAGES = ("/", "/login")
EVERY_PAGE = pytest.mark.parametrize("path", PAGES)
EVERY_SIZE = pytest.mark.parametrize(
    "viewport", [pytest.param(PHONE, id="phone"), pytest.param(DESKTOP, id="desktop")]
)
EVERY_COLOUR = pytest.mark.parametrize("color_scheme", ["light", "dark"])
EVERY_LANGUAGE = pytest.mark.parametrize("locale", ["vi-VN", "en-GB"])
TARGET_PX = 44


def is_live(page: Page) -> None:
    """Wait until the page's scripts have done their first work."""
    expect(page.locator("#theme")).to_be_visible()
    if page.locator("#messages").count():
        expect(page.locator("#messages")).to_have_attribute("data-live", "true")
        expect(page.locator("#chart canvas")).to_be_visible()


def faults_of(visit: Visit) -> list[str]:
    return [*visit.errors, *(f"asked {url}" for url in visit.strangers)]


# Everybody -----------------------------------------------------------------------------------


@EVERY_PAGE
@EVERY_SIZE
@EVERY_COLOUR
@EVERY_LANGUAGE
def test_page_is_accessible_silent_and_keeps_to_itself(
    open_page: OpenPage, path: str, viewport: Any, color_scheme: str, locale: str
) -> None:
    visit = open_page(path, viewport=viewport, color_scheme=color_scheme, locale=locale)
    is_live(visit.page)

    visit.page.evaluate(AXE)
    found = visit.page.evaluate("async () => (await axe.run()).violations")

    told = [
        f"{rule['id']}: {node['html']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
    assert told == []
    assert faults_of(visit) == []
    assert visit.page.locator("html").get_attribute("lang") == locale[:2]
    background = "rgb(20, 20, 18)" if color_scheme == "dark" else "rgb(252, 251, 249)"
    expect(visit.page.locator("html")).to_have_css("background-color", background)


@EVERY_PAGE
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_page_never_scrolls_sideways(open_page: OpenPage, path: str, width: int) -> None:
    visit = open_page(path, viewport={"width": width, "height": 700}, locale="vi-VN")
    is_live(visit.page)

    assert visit.page.evaluate("document.documentElement.scrollWidth") == width


@EVERY_PAGE
@EVERY_SIZE
def test_a_thumb_hits_every_control(open_page: OpenPage, path: str, viewport: Any) -> None:
    visit = open_page(path, viewport=viewport)
    is_live(visit.page)

    small = []
    for control in visit.page.locator("a:visible, button:visible, input:visible").all():
        box = control.bounding_box()
        assert box is not None
        if min(box["width"], box["height"]) < TARGET_PX:
            small.append(f"{control.inner_text()}: {box['width']} x {box['height']}")
    assert small == []


@EVERY_PAGE
def test_keyboard_reaches_every_control_and_shows_where_it_is(
    open_page: OpenPage, path: str
) -> None:
    page = open_page(path).page
    is_live(page)
    controls = "a:visible, button:visible, input:visible, pre"
    wanted = page.locator(controls).count()

    reached = set()
    for _ in range(wanted + 1):  # one more, since after the last one the browser's own have a turn
        page.keyboard.press("Tab")
        focused = page.locator(":focus:not(body)")
        if focused.count():
            expect(focused).to_have_css("outline-style", "solid")
            reached.add(focused.evaluate("element => element.outerHTML"))

    assert len(reached) == wanted


def test_skip_link_leads_to_the_content(open_page: OpenPage) -> None:
    page = open_page("/").page
    is_live(page)

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_who_wants_no_motion_gets_none(open_page: OpenPage) -> None:
    page = open_page("/", reduced_motion="reduce").page
    is_live(page)

    moving = page.evaluate(
        "() => [...document.querySelectorAll('*')].filter((element) => {"
        " const style = getComputedStyle(element);"
        " return style.transitionDuration !== '0s' || style.animationName !== 'none'; }).length"
    )
    assert moving == 0


# Without scripts -----------------------------------------------------------------------------


def test_page_says_all_that_matters_without_scripts(open_page: OpenPage) -> None:
    page = open_page("/", java_script_enabled=False, locale="vi-VN").page

    expect(page.locator("h1")).to_have_text("Mọi thứ đang chạy")
    expect(page.locator(".components dd")).to_have_text(["Tốt"] * 5)
    expect(page.locator("[data-text=queued]")).to_have_text(re.compile(r"\d+"))
    expect(page.locator("button:visible")).to_have_count(0)


# Choices -------------------------------------------------------------------------------------


def test_chosen_colours_are_there_from_the_first_byte(open_page: OpenPage) -> None:
    page = open_page("/", color_scheme="light").page
    is_live(page)

    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    answer = page.goto(page.url + "login")

    assert answer is not None
    assert 'data-theme="dark"' in answer.text()
    expect(page.locator("html")).to_have_css("background-color", "rgb(20, 20, 18)")


def test_chosen_language_holds_for_every_page(open_page: OpenPage) -> None:
    page = open_page("/login?next=/api/reference", locale="en-GB").page

    page.get_by_role("link", name="Tiếng Việt").click()

    expect(page.locator("h1")).to_have_text("Đăng nhập")
    assert page.url.endswith("/login?next=%2Fapi%2Freference")
    page.get_by_role("link", name="Stanchion").click()
    expect(page.locator("html")).to_have_attribute("lang", "vi")


def test_print_leaves_out_what_paper_cannot_do(open_page: OpenPage) -> None:
    page = open_page("/", color_scheme="dark").page
    is_live(page)

    page.emulate_media(media="print", color_scheme="dark")

    expect(page.locator("html")).to_have_css("background-color", "rgb(255, 255, 255)")
    for control in (".controls", ".copy", ".activity"):
        expect(page.locator(control).first).to_be_hidden()
