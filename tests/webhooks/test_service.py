"""What requests do with webhooks, on both databases: bounds, changes, tests."""

import asyncio
import threading
from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from models.errors import InvalidError, LimitError, UnavailableError
from models.webhooks import statements
from models.webhooks.rules import (
    HIDDEN,
    WEBHOOKS_MAX,
    Health,
    TooManyWebhooksError,
    WebhookSettings,
)
from models.webhooks.tables import webhook
from tests.webhooks.conftest import ACTOR, House
from tests.webhooks.receiver import Receiver, Reply

URL = "https://example.com/hook"


async def make_ill(house: House) -> None:
    made = await house.make(URL)
    with house.database.begin() as connection:
        ill = replace(made, health=Health(failures=9, rests_until_ms=house.now_ms + 1_000_000))
        statements.store(connection, ill)


async def test_resuming_begins_with_a_clean_slate(house: House) -> None:
    await make_ill(house)

    await house.service.patch("hook", {"timeout_s": 3}, ACTOR, now_ms=house.now_ms)
    assert (await house.service.get("hook")).health.failures == 9
    await house.service.patch("hook", {}, ACTOR, paused=False, now_ms=house.now_ms)
    assert (await house.service.get("hook")).health == Health()


async def test_another_address_is_not_blamed_for_the_old_one(house: House) -> None:
    await make_ill(house)

    await house.service.patch("hook", {"url": URL + "2"}, ACTOR, now_ms=house.now_ms)

    assert (await house.service.get("hook")).health == Health()


async def test_change_is_checked_and_changes_all_or_nothing(house: House) -> None:
    await house.make(URL)

    for changes in (
        {"url": "http://10.0.0.1/", "timeout_s": 3},
        {"headers": {"Host": "x"}, "timeout_s": 3},
        {"headers": {"X-New": HIDDEN}, "timeout_s": 3},
        {"timeout_s": 31},
        {"url": None},
    ):
        with pytest.raises(InvalidError):
            await house.service.patch("hook", changes, ACTOR, now_ms=house.now_ms)

    assert (await house.service.get("hook")).settings == WebhookSettings(url=URL)


async def test_webhooks_made_at_once_are_one(house: House) -> None:
    settings = WebhookSettings(url=URL)

    made = await asyncio.gather(
        *(house.service.put("hook", settings, ACTOR, now_ms=house.now_ms) for _ in range(8))
    )

    assert sum(is_new for _, is_new in made) == 1
    assert len({each.secrets.secret for each, _ in made}) == 1


async def test_there_are_no_more_webhooks_than_may_be(house: House) -> None:
    await house.make(URL)
    with house.database.begin() as connection:
        row = dict(connection.execute(select(webhook)).mappings().one())
        rows = [row | {"name": f"w{number}"} for number in range(WEBHOOKS_MAX - 1)]
        connection.execute(insert(webhook), rows)

    with pytest.raises(TooManyWebhooksError):
        await house.make(URL, "one-more")

    assert len(await house.service.page(after="", count=2 * WEBHOOKS_MAX)) == WEBHOOKS_MAX
    await house.service.put("hook", WebhookSettings(url=URL), ACTOR, now_ms=house.now_ms)


async def test_tests_are_few_and_none_holds_up_the_end(house: House, receiver: Receiver) -> None:
    over = threading.Event()

    def answer(_got: object) -> Reply:
        over.wait(120)
        return Reply()

    receiver.answer = answer
    await house.make(receiver.url, timeout_s=30)
    tests = [
        asyncio.create_task(
            house.service.test("hook", ACTOR, now_ms=house.now_ms, clock=lambda: house.now_ms)
        )
        for _ in range(4)
    ]
    await asyncio.to_thread(receiver.wait_for, 4)
    with pytest.raises(LimitError):
        await house.service.test("hook", ACTOR, now_ms=house.now_ms, clock=lambda: house.now_ms)

    house.service.drain()

    ends = await asyncio.gather(*tests, return_exceptions=True)
    over.set()
    assert all(isinstance(each, UnavailableError) for each in ends)
