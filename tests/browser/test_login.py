"""The log-in page: from the form to the session and out again, and what it says when it fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, new_database
from tests.browser.test_looks import AXE, faults_of
from tests.servers import RedisServer, System

pytestmark = pytest.mark.xdist_group("browser")

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def house(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API whose admin's password is known and who is locked out soon."""
    with (
        RedisServer(new_folder("r")) as server,
        System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api",),
            settings={"ADMIN_PASSWORD": PASSWORD},
        ) as system,
    ):
        yield system


def log_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_keyboard_alone_logs_in_and_out(open_page: OpenPage, house: System) -> None:
    visit = open_page("/login?next=/", of=house)
    expect(visit.page.locator("#show")).to_be_visible()

    visit.page.keyboard.type("admin")
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.type(PASSWORD)
    visit.page.keyboard.press("Enter")

    expect(visit.page.locator(".user")).to_have_text("admin")
    assert visit.page.url == f"{house.url}/"
    visit.page.get_by_role("button", name="Log out").focus()
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("link", name="Log in")).to_be_visible()
    assert [
        cookie for cookie in visit.page.context.cookies() if cookie["name"] == "session_id"
    ] == []
    assert faults_of(visit) == []


def test_session_is_out_of_reach_for_scripts(open_page: OpenPage, house: System) -> None:
    page = open_page("/login", of=house).page

    log_in(page)
    expect(page.locator(".user")).to_be_visible()

    assert "session_id" not in page.evaluate("document.cookie")


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(0)"]
)
def test_login_leads_to_this_server_only(open_page: OpenPage, house: System, wanted: str) -> None:
    visit = open_page(f"/login?next={wanted}", of=house)

    log_in(visit.page)
    expect(visit.page.locator(".user")).to_be_visible()

    assert visit.page.url == f"{house.url}/"
    assert visit.strangers == []


def test_login_goes_where_the_reader_wanted(open_page: OpenPage, house: System) -> None:
    page = open_page("/login?next=/%3Fa=b%23x", of=house).page

    log_in(page)

    page.wait_for_url("**/?a=b#x")


def test_wrong_password_is_said_and_can_be_corrected(open_page: OpenPage, house: System) -> None:
    page = open_page("/login", of=house).page

    log_in(page, "wrong horse battery")

    expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".user")).to_have_text("admin")


def test_who_is_locked_out_is_told_for_how_long(
    open_page: OpenPage,
    new_folder: Callable[[str], Path],
    migrated_file: Path,
    redis_server: RedisServer,
) -> None:
    system = System(
        new_folder("y"),
        database_url=new_database(new_folder, migrated_file),
        redis_url=redis_server.url,
        processes=("api",),
        settings={"ADMIN_PASSWORD": PASSWORD},
    )
    with system:
        page = open_page("/login", of=system).page
        button = page.get_by_role("button", name="Log in")
        for _ in range(12):
            log_in(page, "wrong horse battery")
            expect(page.get_by_role("alert")).not_to_be_empty()
            if "Too many" in (page.get_by_role("alert").text_content() or ""):
                break
            expect(button).to_be_visible()

        expect(page.get_by_role("alert")).to_contain_text("Too many attempts. Try again in")
        submit = page.locator("[type=submit]")
        expect(submit).to_have_attribute("aria-disabled", "true")
        expect(submit).to_contain_text(":")
        page.evaluate(AXE)
        assert page.evaluate("async () => (await axe.run()).violations") == []


def test_login_without_a_server_says_so(open_page: OpenPage, own_site: System) -> None:
    page = open_page("/login", of=own_site).page
    expect(page.locator("#show")).to_be_visible()
    own_site.running["api"].stop()

    log_in(page)

    expect(page.get_by_role("alert")).to_have_text("The server does not answer. Is it running?")
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()


def test_password_can_be_looked_at(open_page: OpenPage, house: System) -> None:
    page = open_page("/login", of=house).page
    password = page.get_by_label("Password")
    password.fill("secret")

    page.get_by_role("button", name="Show").click()
    expect(password).to_have_attribute("type", "text")
    page.get_by_role("button", name="Hide").click()

    expect(password).to_have_attribute("type", "password")


def test_password_managers_know_the_fields(open_page: OpenPage, house: System) -> None:
    page = open_page("/login", of=house).page

    expect(page.get_by_label("User name")).to_have_attribute("autocomplete", "username")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")


def test_who_is_logged_in_sees_it_at_once(open_page: OpenPage, house: System) -> None:
    page = open_page("/login", of=house).page
    log_in(page)
    expect(page.locator(".user")).to_be_visible()

    answer = page.goto(f"{house.url}/login?next=/api/reference")

    assert answer is not None
    assert '<span class="user" >admin</span>' in answer.text()
    expect(page.locator(".already")).to_have_text("You are logged in as admin. Go on")
    expect(page.get_by_role("link", name="Go on")).to_have_attribute("href", "/api/reference")
