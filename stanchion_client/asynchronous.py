"""The client for an event loop: the methods of the blocking one, to be awaited."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, Self, TypeVar, Unpack

import httpx

from stanchion_client import calls
from stanchion_client.calls import Call, Wish, WishOptions
from stanchion_client.errors import ClientError, UnreachableError
from stanchion_client.event_lines import RECONNECT_S, SILENCE_MAX_S, EventReader
from stanchion_client.facts import (
    Event,
    Message,
    NewMessage,
    NewMessageOptions,
    Outcome,
    Queued,
    QueueStatus,
    Returned,
)
from stanchion_client.transport import answer_of, checked, headers_of, patience_for, refusal_of
from stanchion_client.working import (
    Holding,
    Patience,
    Pause,
    Steps,
    Work,
    keep,
    next_message,
    settle,
)

Result = TypeVar("Result")

_STOPPED: Final = "the consumer stopped"


class AsyncClient:
    """A connection to the messages queue.

    Every method raises UnreachableError when no answer comes in `timeout_s` beyond what it asks
    the server to wait, and RefusedError when the answer is no. One that is cancelled while it
    waits for messages leaves none leased.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        connections_max: int = 100,
    ) -> None:
        self._timeout_s: Final = timeout_s
        self._http: Final = httpx.AsyncClient(
            base_url=checked(url),
            headers=headers_of(api_key),
            limits=httpx.Limits(max_connections=connections_max),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def enqueue(
        self, payload: Mapping[str, Any], **options: Unpack[NewMessageOptions]
    ) -> Queued:
        """Store a message; it is on disk when this returns."""
        return await self._do(calls.enqueue(NewMessage(payload=payload, **options)))

    async def enqueue_many(self, messages: Sequence[NewMessage]) -> list[str]:
        """Store messages, all or none; return their ids in order."""
        return await self._do(calls.enqueue_many(messages))

    async def receive(self, **wish: Unpack[WishOptions]) -> Message | None:
        """Lease the next message, waiting up to `timeout_s`; None if none came."""
        return await self._do(calls.receive(Wish(**wish)))

    async def receive_many(self, count: int, **wish: Unpack[WishOptions]) -> list[Message]:
        """Lease up to `count` messages, waiting up to `timeout_s` for the first."""
        return await self._do(calls.receive_many(count, Wish(**wish)))

    async def ack(self, message: Message) -> datetime:
        """End a lease with success; return when. A repeat is answered alike."""
        return await self._do(calls.ack(message))

    async def ack_next(self, message: Message, **wish: Unpack[WishOptions]) -> Message | None:
        """End a lease with success and lease the next message, in one request.

        None means that none came in time; the message is acknowledged all the same.
        """
        return await self._do(calls.ack_next(message, Wish(**wish)))

    async def ack_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """End leases with success, each for itself."""
        return await self._do(calls.ack_many(messages))

    async def nack(
        self, message: Message, error: str | None = None, *, delay_s: int | None = None
    ) -> Returned:
        """Give a message back; for `delay_s` nobody gets it."""
        return await self._do(calls.nack(message, error, delay_s))

    async def nack_many(
        self, messages: Sequence[Message], error: str | None = None, *, delay_s: int | None = None
    ) -> list[Outcome]:
        """Give messages back for one reason, each for itself."""
        return await self._do(calls.nack_many(messages, error, delay_s))

    async def touch(self, message: Message, extend_s: int | None = None) -> datetime:
        """Let a lease end `extend_s` from now, by default after its own length; return when."""
        return await self._do(calls.touch(message, extend_s))

    async def status(self, queue: str | None = None) -> QueueStatus:
        """Return one queue in detail, or all together."""
        return await self._do(calls.status(queue))

    async def events(self, last_id: str | None = None) -> AsyncGenerator[Event, None]:
        """Yield what happens, from after `last_id` on; comes back by itself and misses nothing.

        Raises UnreachableError or RefusedError only where it never came in.
        """
        reader, came_in = EventReader(last_id), False
        while True:
            try:
                async with self._stream(reader) as lines:
                    came_in = True
                    async for line in lines:
                        if event := reader.read(line):
                            yield event
            except ClientError:
                if not came_in:
                    raise
            reader.forget()
            await asyncio.sleep(RECONNECT_S)

    async def work(
        self,
        handler: Callable[[Message], Awaitable[object]],
        work: Work | None = None,
        *,
        concurrency: int = 1,
    ) -> None:
        """Handle messages, `concurrency` at a time, until cancelled.

        A message is acknowledged when its handler returns and given back when it raises or is
        cancelled; while it runs the lease is kept by touching it. What passes by itself is waited
        for.
        """
        wish = (work or Work()).wish
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work(handler, wish))

    async def _work(self, handler: Callable[[Message], Awaitable[object]], wish: Wish) -> None:
        patience = Patience()
        while True:
            message = await self._run(next_message(wish, patience))
            if message is not None:
                await self._handle(handler, Holding(message, time.monotonic()))

    async def _handle(
        self, handler: Callable[[Message], Awaitable[object]], holding: Holding
    ) -> None:
        failure: Exception | None = None
        keeper = asyncio.create_task(self._run(keep(holding)))
        try:
            try:
                await handler(holding.message)
            except Exception as error:  # noqa: BLE001  # it is the handler's
                failure = error
            except asyncio.CancelledError:
                with suppress(ClientError):
                    await self._do(calls.nack(holding.message, _STOPPED))
                raise
            await self._run(settle(holding, failure))
        finally:
            keeper.cancel()
            # Not `await keeper`: whoever cancels us meanwhile must be heard, and not the keeper.
            await asyncio.wait([keeper])

    async def _run(self, steps: Steps[Result]) -> Result:
        """Carry steps out and return their result."""
        go_on: Callable[[], Call[Any] | Pause] = partial(next, steps)
        try:
            while True:
                step = go_on()
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    go_on = partial(next, steps)
                    continue
                try:
                    go_on = partial(steps.send, await self._do(step))
                except ClientError as error:
                    go_on = partial(steps.throw, error)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]  # of these steps

    async def _do(self, call: Call[Result]) -> Result:
        try:
            response = await self._http.request(
                call.method,
                call.path,
                params=call.query,
                json=call.body,
                timeout=patience_for(call, self._timeout_s),
            )
        except httpx.TransportError as error:
            raise UnreachableError(f"{self._http.base_url}: {error!r}") from error
        return answer_of(call, response)

    @asynccontextmanager
    async def _stream(self, reader: EventReader) -> AsyncIterator[AsyncIterator[str]]:
        timeout = httpx.Timeout(self._timeout_s, read=SILENCE_MAX_S)
        try:
            async with self._http.stream(
                "GET", calls.EVENTS_PATH, headers=reader.headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    with suppress(httpx.TransportError):
                        await response.aread()
                    raise refusal_of(response)
                yield response.aiter_lines()
        except httpx.TransportError as error:
            raise UnreachableError(f"{self._http.base_url}: {error!r}") from error
