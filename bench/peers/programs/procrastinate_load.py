"""procrastinate: jobs are deferred by its connector, and done by its own worker."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence

import load
import procrastinate

_STOCK_PER_S = 3_000


def _app(address: str, clients: int) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(
        conninfo=address, min_size=clients, max_size=clients + 4
    )
    return procrastinate.App(connector=connector)


async def prepare(address: str, _seconds: float) -> dict[str, object]:
    """Make its tables."""
    app = _app(address, 1)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
    return {}


async def enqueue(address: str, seconds: float) -> dict[str, object]:
    """Defer one job after the other."""
    app = _app(address, load.CLIENTS)
    task = app.task(name="nothing")(_nothing)

    async def produce(meter: load.Meter) -> None:
        while True:
            began = time.perf_counter()
            await task.defer_async(**load.payload(1))
            meter.note(time.perf_counter() - began)

    async with app.open_async():
        return await load.measure(_all(produce), seconds)


async def batch(address: str, seconds: float) -> dict[str, object]:
    """Defer many jobs at once."""
    app = _app(address, load.CLIENTS)
    task = app.task(name="nothing")(_nothing)
    jobs = [load.payload(number) for number in range(load.BATCH)]

    async def produce(meter: load.Meter) -> None:
        while True:
            began = time.perf_counter()
            await task.batch_defer_async(*jobs)
            meter.note(time.perf_counter() - began, load.BATCH)

    async with app.open_async():
        return await load.measure(_all(produce), seconds)


async def receive(address: str, seconds: float) -> dict[str, object]:
    """Let its worker do jobs that do nothing, as many at a time as there are clients."""
    app = _app(address, load.CLIENTS)
    meters: list[load.Meter] = []

    async def count(**_: object) -> None:
        if meters:
            meters[0].note(0.0)

    task = app.task(name="nothing")(count)
    jobs = [load.payload(number) for number in range(1_000)]

    async def work(meter: load.Meter) -> None:
        meters[:] = [meter]
        await app.run_worker_async(
            concurrency=load.CLIENTS, wait=False, install_signal_handlers=False
        )
        raise load.DryError

    async with app.open_async():
        for _ in range(0, int(_STOCK_PER_S * (seconds + 1)), len(jobs)):
            await task.batch_defer_async(*jobs)
        return await load.measure(lambda meter: [work(meter)], seconds)


async def passing(address: str, seconds: float) -> dict[str, object]:
    """One producer at a light pace, and a worker that listens."""
    app = _app(address, 4)
    sent_at_s: dict[int, float] = {}
    meters: list[load.Meter] = []

    async def take(at: int, **_: object) -> None:
        if at in sent_at_s:
            meters[0].note(time.perf_counter() - sent_at_s.pop(at))

    task = app.task(name="passing", queue="passing")(take)

    async def produce() -> None:
        for number in itertools.count(10**8):
            sent_at_s[number] = time.perf_counter()
            await task.defer_async(**{**load.payload(0), "at": number})
            await asyncio.sleep(load.PRODUCER_PAUSE_S)

    async def work() -> None:
        await app.run_worker_async(
            queues=["passing"], concurrency=load.WAITING, install_signal_handlers=False
        )

    def workers(meter: load.Meter) -> Sequence[Awaitable[None]]:
        meters[:] = [meter]
        return [work(), produce()]

    async with app.open_async():
        return await load.measure(workers, seconds)


async def _nothing(**_: object) -> None:
    """Do nothing."""


def _all(
    worker: Callable[[load.Meter], Awaitable[None]],
) -> Callable[[load.Meter], Sequence[Awaitable[None]]]:
    return lambda meter: [worker(meter) for _ in range(load.CLIENTS)]


if __name__ == "__main__":
    load.main(
        {
            "prepare": prepare,
            "pass": passing,
            "enqueue": enqueue,
            "batch": batch,
            "receive": receive,
        }
    )
