"""Looks that are shared: fewer than who asks, and none older than the question."""

import asyncio

import pytest

from models.tickets.looks import SharedLook


class Store:
    """Something that changes, and is looked at slowly."""

    def __init__(self) -> None:
        self.value = 0
        self.looks: list[int] = []
        self.go_on = asyncio.Event()
        self.fails = False

    async def look(self, now_ms: int) -> int:
        self.looks.append(now_ms)
        seen, fails = self.value, self.fails
        await self.go_on.wait()
        if fails:
            raise LookupError
        return seen


async def started(*asks: "asyncio.Task[int]") -> None:
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in asks)


async def test_who_asks_meanwhile_shares_a_look_that_begins_after() -> None:
    store = Store()
    shared = SharedLook(store.look)
    first = asyncio.create_task(shared.ask(now_ms=1))
    await started(first)
    store.value = 7
    others = [asyncio.create_task(shared.ask(now_ms=2 + n)) for n in range(50)]
    await started(*others)

    store.go_on.set()

    assert await first == 0
    assert set(await asyncio.gather(*others)) == {7}
    assert store.looks == [1, 51]


async def test_who_hangs_up_takes_nothing_from_the_others() -> None:
    store = Store()
    shared = SharedLook(store.look)
    gone, stays = (asyncio.create_task(shared.ask(now_ms=1)) for _ in range(2))
    await started(gone, stays)

    gone.cancel()
    store.go_on.set()

    assert await stays == 0


async def test_a_look_that_fails_is_told_to_its_own_askers_only() -> None:
    store = Store()
    shared = SharedLook(store.look)
    store.fails = True
    first = asyncio.create_task(shared.ask(now_ms=1))
    await started(first)
    store.fails = False
    second = asyncio.create_task(shared.ask(now_ms=2))
    await started(second)

    store.go_on.set()

    with pytest.raises(LookupError):
        await first
    assert await second == 0
