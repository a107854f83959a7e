"""Take the README's picture of the start page: `python -m tests.browser.picture`.

The server, its messages and the browser are real; only the browser's clock runs fast, so that two
minutes take half of one.
"""

import random
import shutil

import httpx
from playwright.sync_api import Page, sync_playwright

from models import migrate
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.servers import ROOT, RedisServer, System, temporary_folder

PICTURE = ROOT / "docs" / "images" / "start.png"
SIZE = {"width": 1280, "height": 900}
SECONDS = 119


def main() -> None:
    with temporary_folder() as folder:
        database_url = f"sqlite:///{folder / 'stanchion.db'}"
        migrate.upgrade(database_url)
        (folder / "redis").mkdir()
        (folder / "data").mkdir()
        with (
            RedisServer(folder / "redis") as server,
            System(
                folder / "data",
                database_url=database_url,
                redis_url=server.url,
                settings={"BIND": "127.0.0.1:8080"},
            ) as system,
        ):
            take(system.url)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")  # noqa: T201


def take(url: str) -> None:
    """Open the page, let a busy morning pass, and keep what it looks like."""
    program = next(path for path in CHROMIUM if shutil.which(path))
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright, httpx.Client(base_url=url, timeout=20) as client:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5, locale="en-GB")
        page.clock.install()
        page.goto(url)
        page.locator("#chart canvas").wait_for()
        work(page, client)
        page.mouse.move(0, 0)
        page.screenshot(path=PICTURE)
        browser.close()


def work(page: Page, client: httpx.Client) -> None:
    """Put messages in and take them out, with ups and downs that are the same each time."""
    chance = random.Random(7)
    waiting = 0
    for second in range(SECONDS):
        busy = 4 + 3 * (second % 47 > 20) + chance.randint(-2, 3)
        client.post("/api/queue/batch", json={"messages": [{"payload": {}}] * max(1, busy)})
        waiting += max(1, busy)
        for _ in range(min(waiting - 6, chance.randint(3, 9))):
            message = client.get("/api/queue/message?timeout=1").json()
            held = {"id": message["id"], "lock_token": message["lock_token"]}
            client.post("/api/queue/ack", json=held)
            waiting -= 1
        page.clock.run_for(1_000)
    for _ in range(3):  # in work
        client.get("/api/queue/message?timeout=1")
    page.locator("[data-text=processing]", has_text="3").wait_for()


if __name__ == "__main__":
    main()
