"""The start page moves with the server, and says so when it cannot."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from models import migrate
from tests.browser.conftest import OpenPage, new_database
from tests.browser.hall import log_in
from tests.browser.test_looks import faults_of, is_live
from tests.people.conftest import ADMIN_KEY, ADMIN_PASSWORD
from tests.postgresql import PostgresqlServer
from tests.servers import RedisServer, System

pytestmark = pytest.mark.xdist_group("browser")

RECOVERY_MS = 100_000

# Counts every change of what screen readers are told to read out.
COUNT_NEWS = """() => {
  window.newsCount = 0;
  const observer = new MutationObserver((changes) => { window.newsCount += changes.length; });
  for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
    observer.observe(region, { childList: true, characterData: true, subtree: true });
  }
}"""


def count(page: Page, state: str) -> int:
    return int((page.locator(f"[data-text={state}]").text_content() or "").replace(",", ""))


def test_first_message_is_sent_as_the_page_says_and_shows_at_once(open_page: OpenPage) -> None:
    visit = open_page("/", permissions=["clipboard-read", "clipboard-write"])
    is_live(visit.page)
    before = count(visit.page, "queued")

    visit.page.get_by_role("button", name="Copy").first.click()
    expect(visit.page.locator("#news")).to_have_text("Copied")
    command = visit.page.evaluate("navigator.clipboard.readText()")
    sent = subprocess.run(["sh", "-c", f"{command} --silent"], check=True, capture_output=True)

    assert b'"status":"queued"' in sent.stdout
    expect(visit.page.locator("[data-text=queued]")).to_have_text(str(before + 1))
    expect(visit.page.locator("figcaption")).to_contain_text("seconds: 1 in, 0 done")
    assert faults_of(visit) == []


def test_server_with_keys_asks_for_one(
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
        settings={"SECRET_KEY": "a secret of many words"},
    )
    with system:
        visit = open_page("/", of=system)
        is_live(visit.page)

        for command in visit.page.locator("[aria-labelledby=first-title] pre").all():
            expect(command).to_contain_text('curl -H "X-API-KEY: $KEY" http')
        expect(visit.page.get_by_text("$KEY stands for an API key")).to_be_visible()
        assert faults_of(visit) == []  # the counts come by the stream, which needs no key


def test_counts_follow_a_message_through_its_states(
    open_page: OpenPage, http: httpx.Client
) -> None:
    page = open_page("/").page
    is_live(page)
    before = {state: count(page, state) for state in ("processing", "acknowledged", "dead")}

    http.post("/api/queue/message", json={"type": "a", "payload": {}})
    http.post("/api/queue/message", json={"type": "b", "payload": {}, "max_attempts": 1})
    first = http.get("/api/queue/message?timeout=5&type=a").json()
    expect(page.locator("[data-text=processing]")).to_have_text(str(before["processing"] + 1))
    held = {"id": first["id"], "lock_token": first["lock_token"]}
    http.post("/api/queue/ack", json=held).raise_for_status()
    second = http.get("/api/queue/message?timeout=5&type=b").json()
    http.post(
        f"/api/queue/message/{second['id']}/nack",
        json={"lock_token": second["lock_token"], "error": "no"},
    ).raise_for_status()

    for state, more in (("processing", 0), ("acknowledged", 1), ("dead", 1)):
        expect(page.locator(f"[data-text={state}]")).to_have_text(str(before[state] + more))


def test_numbers_that_move_are_not_read_out(open_page: OpenPage, http: httpx.Client) -> None:
    page = open_page("/").page
    is_live(page)
    before = count(page, "queued")
    page.evaluate(COUNT_NEWS)

    http.post("/api/queue/batch", json={"messages": [{"payload": {}}] * 50})

    expect(page.locator("[data-text=queued]")).to_have_text(str(before + 50))
    assert page.evaluate("window.newsCount") == 0


def test_page_that_nobody_looks_at_holds_no_connection(open_page: OpenPage) -> None:
    page = open_page("/").page
    is_live(page)

    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(page.locator("figcaption")).to_have_text("Listening…")
    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: false });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")

    expect(page.locator("figcaption")).not_to_have_text("Listening…")


def test_page_outlives_a_restart_of_the_server(open_page: OpenPage, own_site: System) -> None:
    visit = open_page("/", of=own_site)
    is_live(visit.page)
    banner = visit.page.locator("#banner")
    expect(banner).to_be_hidden()

    own_site.running["api"].stop()

    expect(banner).to_contain_text("No connection to the server")
    expect(visit.page.locator("h1")).to_have_text("Out of reach")
    expect(visit.page.locator(".components dd")).to_have_text(["Unknown"] * 5)
    expect(visit.page.locator("figcaption")).to_contain_text("these numbers are from")

    own_site.start("api")
    own_site.wait_ready()

    # The page asks after up to 19 s, and gives each answer 8 s: two slow ones are no fault of it.
    expect(banner).to_be_hidden(timeout=RECOVERY_MS)
    expect(visit.page.locator("[data-component=database] dd")).to_have_text("Healthy")
    httpx.post(
        f"{own_site.url}/api/queue/message", json={"payload": {}}, timeout=30
    ).raise_for_status()
    expect(visit.page.locator("[data-text=queued]")).to_have_text("1")


def test_page_without_redis_says_what_still_runs(open_page: OpenPage, own_site: System) -> None:
    page = open_page("/", of=own_site).page
    is_live(page)

    own_site.redis_server.stop()

    expect(page.locator("[data-component=redis] dd")).to_have_text("Unhealthy")
    expect(page.locator("[data-component=database] dd")).to_have_text("Healthy")
    expect(page.locator("h1")).to_have_text("Running, but not all of it")
    expect(page.locator("#banner")).to_be_hidden()


def test_offline_is_told_at_once(open_page: OpenPage) -> None:
    page = open_page("/").page
    is_live(page)

    page.context.set_offline(True)
    expect(page.locator("#banner")).to_be_visible()
    page.context.set_offline(False)

    expect(page.locator("#banner")).to_be_hidden()


def test_page_without_a_database_still_comes_and_says_so(
    open_page: OpenPage, new_folder: Callable[[str], Path], redis_server: RedisServer
) -> None:
    if PostgresqlServer.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with PostgresqlServer(new_folder("p")) as server:
        url = server.create_database("pages")
        migrate.upgrade(url)
        system = System(
            new_folder("y"), database_url=url, redis_url=redis_server.url, processes=("api",)
        )
        with system:
            page = open_page("/", of=system).page
            is_live(page)

            server.stop()

            expect(page.locator("h1")).to_have_text("Not serving")
            page.reload()
            expect(page.locator("h1")).to_have_text("Not serving")
            expect(page.locator("[data-text=queued]")).to_have_text("\N{EN DASH}")
            expect(page.locator("#banner")).to_be_hidden()


@pytest.fixture
def known_site(new_folder: Callable[[str], Path], migrated_file: Path) -> Iterator[System]:
    """An API alone, whose admin's password and key are known."""
    with RedisServer(new_folder("r")) as server:
        system = System(
            new_folder("y"),
            database_url=new_database(new_folder, migrated_file),
            redis_url=server.url,
            processes=("api",),
            settings={"ADMIN_PASSWORD": ADMIN_PASSWORD, "ADMIN_KEY": ADMIN_KEY},
        )
        with system:
            yield system


def test_every_command_of_the_page_does_what_it_says_and_the_numbers_follow(
    open_page: OpenPage, known_site: System, tmp_path: Path
) -> None:
    visit = open_page("/", of=known_site)
    is_live(visit.page)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    now = visit.page.locator(".kinds .now")
    expect(now.nth(1)).to_have_text("0 wait, 0 inside; 0 of 0 open")
    commands = visit.page.locator(".tries pre code").all_inner_texts()
    assert len(commands) == 7

    # In one shell, as a person would: what the log-in gave is used by those behind it.
    script = "\n".join(f"{each} || exit 1\necho" for each in commands)
    done = subprocess.run(
        ["sh", "-c", script.replace("curl ", "curl --fail-with-body -sS ")],
        env={"PATH": "/usr/bin:/bin", "PASSWORD": ADMIN_PASSWORD, "ADMIN_KEY": ADMIN_KEY},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,  # what it said is told below
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"position"' in done.stdout
    expect(now.nth(1)).to_contain_text("1 of 1 open")
    expect(now.nth(2)).to_have_text("Its numbers are for staff.")
    expect(now.nth(3)).to_have_text("0 wait; counters open: 1")
    assert faults_of(visit) == []
    assert asked == []  # all of it was told by the stream


def test_staff_is_told_of_the_mail_as_well(open_page: OpenPage, known_site: System) -> None:
    page = open_page("/login?next=/", of=known_site).page
    log_in(page, "admin", ADMIN_PASSWORD)
    is_live(page)

    expect(page.locator(".kinds .now").nth(2)).to_have_text("0 wait; hosts: 0")
    seen = httpx.get(f"{known_site.url}/api/ops/now", timeout=30).raise_for_status().json()
    assert (seen["mail"], seen["tickets"]) == (None, {"waiting": 0, "open": 0})


def test_each_way_in_leads_to_a_page(open_page: OpenPage, known_site: System) -> None:
    page = open_page("/", of=known_site).page
    ways = page.locator(".ways-in a")

    led = [each.get_attribute("href") or "" for each in ways.all()]

    assert len(led) == 8
    for way in led:
        if way.startswith("#"):
            expect(page.locator(way)).to_have_count(1)
        else:
            answer = httpx.get(f"{known_site.url}{way}", timeout=30)
            assert answer.headers["location"] == f"/login?next={way}"
