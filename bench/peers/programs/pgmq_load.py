"""PGMQ's SQL through psycopg: a connection for each client, a transaction for each call."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import load
import psycopg
from pgmq import __file__ as package

_SEND = "SELECT pgmq.send('q', %s::jsonb)"
_SEND_MANY = "SELECT pgmq.send_batch('q', %s::jsonb[])"
_READ = "SELECT msg_id FROM pgmq.read('q', 60, %s)"
_POLL = "SELECT msg_id, message FROM pgmq.read_with_poll('q', 60, 1, 30, 10)"
_DELETE = "SELECT pgmq.delete('q', %s::bigint[])"
_STOCK_PER_S = {1: 12_000, load.BATCH: 150_000}

Client = psycopg.AsyncConnection[tuple[object, ...]]


async def prepare(address: str, _seconds: float) -> dict[str, object]:
    """Install the SQL and make the queue."""
    source = Path(package).parent / "sql" / "pgmq.sql"
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as client:
        await client.execute(source.read_text().encode())
        await client.execute("SELECT pgmq.create('q')")
    return {}


def row(
    worker: Callable[[Client, load.Meter], Awaitable[None]], *, stock: int = 0
) -> Callable[[str, float], Awaitable[dict[str, object]]]:
    """Return what measures workers, each with a connection; `stock` messages a taker are put in."""

    async def run(address: str, seconds: float) -> dict[str, object]:
        async with AsyncExitStack() as stack:
            clients = await _connect(stack, address, load.CLIENTS)
            await _fill(clients, int(_STOCK_PER_S[stock] * (seconds + 1)) if stock else 0)
            return await load.measure(
                lambda meter: [worker(client, meter) for client in clients], seconds
            )

    return run


async def passing(address: str, seconds: float) -> dict[str, object]:
    """One producer at a light pace, and consumers that poll within the database."""
    async with AsyncExitStack() as stack:
        producer, *consumers = await _connect(stack, address, 1 + load.WAITING)
        await producer.execute("SELECT pgmq.purge_queue('q')")
        sent_at_s: dict[int, float] = {}

        def workers(meter: load.Meter) -> Sequence[Awaitable[None]]:
            waiting = [_wait(consumer, sent_at_s, meter) for consumer in consumers]
            return [_produce_slowly(producer, sent_at_s), *waiting]

        return await load.measure(workers, seconds)


async def _connect(stack: AsyncExitStack, address: str, count: int) -> list[Client]:
    return [
        await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(address, autocommit=True, prepare_threshold=1)
        )
        for _ in range(count)
    ]


async def _fill(clients: Sequence[Client], count: int) -> None:
    batch = [json.dumps(load.payload(number)) for number in range(1_000)]
    for _ in range(0, count, 1_000 * 4):
        await asyncio.gather(*(client.execute(_SEND_MANY, [batch]) for client in clients[:4]))


async def _produce(client: Client, meter: load.Meter) -> None:
    said = json.dumps(load.payload(1))
    while True:
        began = time.perf_counter()
        await client.execute(_SEND, [said])
        meter.note(time.perf_counter() - began)


async def _produce_many(client: Client, meter: load.Meter) -> None:
    said = [json.dumps(load.payload(number)) for number in range(load.BATCH)]
    while True:
        began = time.perf_counter()
        await client.execute(_SEND_MANY, [said])
        meter.note(time.perf_counter() - began, load.BATCH)


async def _consume(client: Client, meter: load.Meter, count: int = 1) -> None:
    while True:
        began = time.perf_counter()
        told = await client.execute(_READ, [count])
        ids = [found[0] for found in await told.fetchall()]
        if not ids:
            raise load.DryError
        await client.execute(_DELETE, [ids])
        meter.note(time.perf_counter() - began, len(ids))


async def _consume_many(client: Client, meter: load.Meter) -> None:
    await _consume(client, meter, load.BATCH)


async def _produce_slowly(client: Client, sent_at_s: dict[int, float]) -> None:
    for number in itertools.count(10**8):
        sent_at_s[number] = time.perf_counter()
        await client.execute(_SEND, [json.dumps({**load.payload(0), "at": number})])
        await asyncio.sleep(load.PRODUCER_PAUSE_S)


async def _wait(client: Client, sent_at_s: dict[int, float], meter: load.Meter) -> None:
    while True:
        told = await (await client.execute(_POLL)).fetchone()
        if told is None:
            continue
        meter.note(time.perf_counter() - sent_at_s.pop(told[1]["at"]))  # type: ignore[index]
        await client.execute(_DELETE, [[told[0]]])


if __name__ == "__main__":
    load.main(
        {
            "prepare": prepare,
            "pass": passing,
            "enqueue": row(_produce),
            "batch": row(_produce_many),
            "receive": row(_consume, stock=1),
            "batch_receive": row(_consume_many, stock=load.BATCH),
        }
    )
