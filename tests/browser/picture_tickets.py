"""Take the pictures of the tickets' pages: `python -m tests.browser.picture_tickets [FOLDER]`.

Four days and a morning go through the product's own services with a clock that is handed to them;
then the server starts and the browser shows what came of it. With FOLDER each page is also taken
there light and dark, on a phone and a desk, in both languages, to be looked at.
"""

import asyncio
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from models import migrate
from models.audit import Actor
from models.database import Database
from models.tickets.acting import Acting
from models.tickets.hall_service import HallService
from models.tickets.refusals import NoWaitingTicketsError
from models.tickets.rules import Move, NewTicket, Priority, Staff, Status
from models.tickets.service import TicketService
from models.tickets.turnstile import Turnstile
from tests.browser.conftest import CHROMIUM, FLAGS, PHONE
from tests.browser.hall import BrowserHall, log_in
from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import ROOT, RedisServer, System, temporary_folder

PICTURES = ROOT / "docs" / "images"
DESK = {"width": 1280, "height": 800}
TALL = {"width": 1280, "height": 1250}
COUNTERS = {
    "Quầy 1: Tư pháp": (("Chứng thực giấy tờ", 7), ("Chứng thực chữ ký", 5)),
    "Quầy 2: Hộ tịch": (("Đăng ký khai sinh", 9), ("Đăng ký kết hôn", 10)),
    "Quầy 3: Đất đai": (("Đăng ký biến động đất đai", 12),),
    "Quầy 4: Trả kết quả": (("Nhận kết quả", 4),),
}
# Arrivals an hour at one counter, from 8 o'clock on, as a share of what it can serve.
PEAKS = (1.05, 1.3, 1.1, 0.5, 0.2, 0.9, 1.2, 0.7)
MORNING_H = 2.6  # how long the hall is open when the pictures are taken
DAYS = 4
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def main() -> None:
    local_h = 8 + MORNING_H
    offset_h = round(local_h - datetime.now(UTC).hour)
    offset_h -= 24 * (offset_h > 12) - 24 * (offset_h < -12)
    timezone = f"Etc/GMT{-offset_h:+d}" if offset_h else "UTC"
    with temporary_folder() as folder:
        database_url = f"sqlite:///{folder / 'stanchion.db'}"
        migrate.upgrade(database_url)
        asyncio.run(Past(database_url, timezone).live())
        (folder / "redis").mkdir()
        (folder / "data").mkdir()
        limits = ("LOGINS", "TICKETS", "TICKET_CHANGES", "WAITING_LISTS")
        with (
            RedisServer(folder / "redis") as server,
            System(
                folder / "data",
                database_url=database_url,
                redis_url=server.url,
                settings={
                    "ADMIN_PASSWORD": ADMIN_PASSWORD,
                    "TIMEZONE": timezone,
                    **{f"{name}_PER_MINUTE_MAX": "100000" for name in limits},
                },
            ) as system,
        ):
            take(system.url, timezone, [Path(each) for each in sys.argv[1:]])


# What was before ------------------------------------------------------------------------------


@dataclass(order=True)
class Moment:
    """Something that happens at a counter: somebody comes, or the counter is free."""

    at_ms: int
    order: int
    counter_id: int
    is_arrival: bool


class Past:
    """A hall from its first day until now; the same people come each time."""

    def __init__(self, database_url: str, timezone: str) -> None:
        self._database = Database(database_url, connections_max=2, timeout_s=30)
        turnstile = Turnstile(self._database, tell=lambda _entry: None)
        self._turnstile = turnstile
        self._service = TicketService(self._database, turnstile)
        self._halls = HallService(self._database, turnstile, timezone=timezone)
        self._acting = Acting(
            staff=Staff(user_id=None, username="hall"), actor=Actor(kind="local", name="hall")
        )
        self._random = random.Random(11)
        self._procedures: dict[int, list[tuple[int, float]]] = {}

    async def live(self) -> None:
        """Let the days pass; who is there at the end still waits."""
        now_ms = time.time_ns() // 1_000_000
        opened_ms = now_ms - round(MORNING_H * 60 * MINUTE_MS)
        await self._furnish(now_ms=opened_ms - DAYS * DAY_MS)
        for day in range(DAYS, -1, -1):
            begin_ms = opened_ms - day * DAY_MS
            await self._day(begin_ms, until_ms=begin_ms + DAY_MS // 2 if day else now_ms)
        await self._turnstile.close()
        self._database.close()

    async def _furnish(self, *, now_ms: int) -> None:
        for name, procedures in COUNTERS.items():
            counter = await self._halls.add_counter(
                {"name": name}, self._acting, branch_id=None, now_ms=now_ms
            )
            self._procedures[counter.id] = []
            for procedure, minutes in procedures:
                values = {"name": procedure, "service_min": minutes, "counter_ids": [counter.id]}
                made = await self._halls.save_procedure(None, values, self._acting, now_ms=now_ms)
                self._procedures[counter.id].append((made.id, minutes))

    async def _day(self, begin_ms: int, *, until_ms: int) -> None:
        moments: list[Moment] = []
        for counter_id in self._procedures:
            for at_ms in self._arrivals(counter_id, begin_ms):
                heappush(moments, Moment(at_ms, len(moments), counter_id, is_arrival=True))
            opens_ms = begin_ms + 2 * MINUTE_MS
            heappush(moments, Moment(opens_ms, len(moments), counter_id, is_arrival=False))
        order = len(moments)
        while moments and moments[0].at_ms < until_ms:
            moment = heappop(moments)
            if moment.is_arrival:
                await self._come(moment)
                continue
            order += 1
            free_ms = await self._serve(moment)
            heappush(moments, Moment(free_ms, order, moment.counter_id, is_arrival=False))

    def _arrivals(self, counter_id: int, begin_ms: int) -> Iterator[int]:
        minutes = [each for _, each in self._procedures[counter_id]]
        service_min = sum(minutes) / len(minutes)
        for hour, peak in enumerate(PEAKS):
            at_min = 60.0 * hour
            while (at_min := at_min + self._random.expovariate(peak / service_min)) < 60 * (
                hour + 1
            ):
                yield begin_ms + round(at_min * MINUTE_MS)

    async def _come(self, moment: Moment) -> None:
        procedure_id, _ = self._random.choice(self._procedures[moment.counter_id])
        elderly = self._random.random() < 0.12
        new = NewTicket(
            counter_id=moment.counter_id,
            procedure_id=procedure_id,
            priority=Priority.ELDERLY if elderly else Priority.NORMAL,
        )
        await self._service.issue(new, now_ms=moment.at_ms)

    async def _serve(self, moment: Moment) -> int:
        """Call who is next, who ends whoever was there; return when the counter is free again."""
        try:
            moved = await self._service.call_next(
                moment.counter_id, self._acting, now_ms=moment.at_ms
            )
        except NoWaitingTicketsError:
            return moment.at_ms + MINUTE_MS
        served_ms = moment.at_ms + MINUTE_MS // 3
        await self._service.move(
            moved.ticket.id, Move(status=Status.SERVING), self._acting, now_ms=served_ms
        )
        minutes = dict(self._procedures[moment.counter_id])[moved.ticket.procedure_id or 0]
        return served_ms + round(minutes * self._random.lognormvariate(-0.1, 0.4) * MINUTE_MS)


# What is seen ---------------------------------------------------------------------------------


def take(url: str, timezone: str, folders: list[Path]) -> None:
    """Open every page in the state in which people see it, and keep what it looks like."""
    program = next(path for path in CHROMIUM if shutil.which(path))
    hall = BrowserHall(url)
    [first, *_] = hall.admin.get("/app/counters/").json()["counters"]
    hall.officer("officer01", first["id"])
    [procedure, *_] = hall.admin.get("/app/procedures/?search=ket+hon").json()["procedures"]
    paper = hall.take(procedure["counters"][0]["id"], procedure_id=procedure["id"])["public_id"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for scene in scenes(hall, first["id"], paper):
            shown = {"timezone_id": timezone, "locale": "en-GB", "device_scale_factor": 1}
            size = {"viewport": scene.size, "color_scheme": scene.colours}
            picture = PICTURES / f"tickets-{scene.name}.png"
            keep(browser, url, scene, picture, {**shown, **size})
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")  # noqa: T201
            for folder in folders:
                every(browser, url, scene, folder, shown)
        browser.close()
    hall.close()


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A page: what it is called, how large it is in the docs, and what is done before."""

    name: str
    path: str
    size: Any
    colours: str = "light"
    act: Callable[[Page], None]


def scenes(hall: BrowserHall, counter_id: int, paper: str) -> list[Scene]:
    procedures = hall.admin.get("/app/procedures/").json()["procedures"]
    does = {each["counters"][0]["id"]: each["id"] for each in procedures}

    def choose(page: Page) -> None:
        page.locator(".kiosk .choices button").first.wait_for()

    def number(page: Page) -> None:
        page.locator(".kiosk .choices button").first.click()
        page.locator(".paper img").evaluate("img => img.decode()")

    def call(page: Page) -> None:
        page.locator(".now li").nth(3).wait_for()
        for each in (counter_id + 2, counter_id, counter_id + 1):
            hall.take(each, procedure_id=does[each])
            hall.call_next(each)
            hall.serve_who_is_called(each)
        page.locator(".last", has_text="·").wait_for()

    def serve(page: Page) -> None:
        log_in(page, "officer01")
        page.locator(".number[data-status=serving]").wait_for()
        page.locator("#notes").fill("Cần bổ sung bản sao căn cước")
        page.locator("#notes").blur()
        page.evaluate("scrollTo(0, 0)")

    def look(page: Page) -> None:
        page.locator(".mine strong").wait_for()

    def supervise(page: Page) -> None:
        log_in(page, "admin", ADMIN_PASSWORD)
        page.get_by_role("table").first.wait_for()
        page.locator("#board select").nth(0).wait_for()
        page.locator("select:has(option[value='7'])").select_option("7")
        page.wait_for_load_state("networkidle")

    return [
        Scene(name="kiosk", path="/kiosk", size=DESK, act=choose),
        Scene(name="paper", path="/kiosk", size=DESK, act=number),
        Scene(name="officer", path="/officer", size=DESK, act=serve),
        Scene(name="phone", path=f"/ticket/{paper}", size=PHONE, act=look),
        Scene(name="supervisor", path="/ops/tickets", size=TALL, act=supervise),
        Scene(name="display", path="/display", size=DESK, colours="dark", act=call),
    ]


def keep(
    browser: Browser, url: str, scene: Scene, picture: Path, options: Mapping[str, Any]
) -> None:
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(url + scene.path)
    scene.act(page)
    page.mouse.move(0, 0)
    page.screenshot(path=picture, animations="disabled")
    context.close()


def every(browser: Browser, url: str, scene: Scene, folder: Path, shown: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ways = product((("phone", PHONE), ("desk", DESK)), ("light", "dark"), ("vi-VN", "en-GB"))
    for (name, size), colours, locale in ways:
        picture = folder / f"{scene.name}-{name}-{colours}-{locale[:2]}.png"
        options = {**shown, "viewport": size, "color_scheme": colours, "locale": locale}
        keep(browser, url, scene, picture, options)


if __name__ == "__main__":
    main()
