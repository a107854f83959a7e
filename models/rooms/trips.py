"""What many requests ask of Redis at one moment goes there in one trip.

While a trip is under way the next one fills: the first request of an idle process does not wait,
and the more there are the larger the trips.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import redis.asyncio

from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.rooms.rules import RoomLostError
from models.rooms.scripts import Call, run_all_async

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

# A request does not wait longer for Redis; its caller may come again.
_PATIENCE_S: Final = 2.0
# Redis does nothing else while a script runs: a thousand joins are some 5 ms.
_ITEMS_AT_ONCE_MAX: Final = 1_000


class Trips:
    """Runs calls; those that come while others are under way go together."""

    def __init__(
        self, client: redis.asyncio.Redis, repair: Callable[[str], Awaitable[bool]]
    ) -> None:
        """`repair` sets a room up again that Redis has lost, and says whether it did."""
        self._client: Final = client
        self._repair: Final = repair
        self._waiting: list[tuple[Call[Any], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def run(self, call: Call[T]) -> T:
        """Run a call; raises UnavailableError while Redis is away, after which it may be done."""
        try:
            return await self._put(call)
        except RoomLostError:
            if not await self._repair(call.room_id):
                raise
        return await self._put(call)

    async def _put(self, call: Call[T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await future

    async def _send(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            answers = await self._run_all([call for call, _ in some])
            for (_, future), answer in zip(some, answers, strict=True):
                if future.done():
                    continue  # its request was given up
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def _run_all(self, calls: Sequence[Call[Any]]) -> Sequence[Any]:
        """Return what came of each, an error too: whoever waits for one must be told."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await run_all_async(self._client, calls)
        except (*RedisAwayError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            return [UnavailableError("redis", reason) for _ in calls]
        except Exception as error:  # noqa: BLE001 (a bug, which each request shall report)
            return [error for _ in calls]


class Batches(Generic[Item, Result]):
    """Items that one call of a room can hold many of."""

    def __init__(
        self,
        trips: Trips,
        call: Callable[[str, Sequence[Item]], Call[list[Result]]],
        note: Callable[[str, Sequence[Result]], None] = lambda _room_id, _results: None,
    ) -> None:
        """`call` makes the call that answers each item, in order; `note` hears of the answers."""
        self._trips: Final = trips
        self._call: Final = call
        self._note: Final = note
        self._waiting: Final[dict[str, list[tuple[Item, asyncio.Future[Result]]]]] = {}
        self._senders: Final[dict[str, asyncio.Task[None]]] = {}

    async def put(self, room_id: str, item: Item) -> Result:
        """Have an item answered; raises what `Trips.run` raises."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(room_id, []).append((item, future))
        if room_id not in self._senders:
            self._senders[room_id] = asyncio.create_task(self._send(room_id))
        return await future

    async def _send(self, room_id: str) -> None:
        waiting = self._waiting[room_id]
        while waiting:
            some = waiting[:_ITEMS_AT_ONCE_MAX]
            del waiting[:_ITEMS_AT_ONCE_MAX]
            try:
                results = await self._trips.run(self._call(room_id, [item for item, _ in some]))
            except Exception as error:  # noqa: BLE001 (each request reports it)
                for _, future in some:
                    if not future.done():
                        future.set_exception(error)
                continue
            self._note(room_id, results)
            for (_, future), result in zip(some, results, strict=True):
                if not future.done():
                    future.set_result(result)
        # Nothing was put in since the last look: there was no `await` in between.
        del self._waiting[room_id], self._senders[room_id]
