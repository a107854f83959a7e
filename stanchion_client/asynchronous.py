"""The client for an event loop: the methods of the blocking one, to be awaited."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import httpx

from stanchion_client import calls
from stanchion_client.calls import WAIT_DEFAULT_S, Call, Wish
from stanchion_client.errors import ClientError, LockLostError, UnreachableError
from stanchion_client.event_lines import RECONNECT_S, SILENCE_MAX_S, EventReader
from stanchion_client.facts import (
    Event,
    Message,
    NewMessage,
    Outcome,
    Queued,
    QueueStatus,
    Returned,
)
from stanchion_client.transport import answer_of, headers_of, patience_for, refusal_of
from stanchion_client.working import PASSING, Holding, Patience, Work, reason_of

Result = TypeVar("Result")

log: Final = logging.getLogger("stanchion_client")
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
            base_url=url,
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
        self,
        payload: Mapping[str, Any],
        *,
        type: str | None = None,  # noqa: A002  # the wire's word
        priority: int = 0,
        max_attempts: int | None = None,
        ack_timeout_s: int | None = None,
    ) -> Queued:
        """Store a message; it is on disk when this returns."""
        message = NewMessage(
            payload=payload,
            type=type,
            priority=priority,
            max_attempts=max_attempts,
            ack_timeout_s=ack_timeout_s,
        )
        return await self._do(calls.enqueue(message))

    async def enqueue_many(self, messages: Sequence[NewMessage]) -> list[str]:
        """Store messages, all or none; return their ids in order."""
        return await self._do(calls.enqueue_many(messages))

    async def receive(
        self,
        *,
        timeout_s: int = WAIT_DEFAULT_S,
        type: str | None = None,  # noqa: A002  # the wire's word
        consumer_id: str | None = None,
        ack_timeout_s: int | None = None,
    ) -> Message | None:
        """Lease the next message, waiting up to `timeout_s`; None if none came."""
        wish = Wish(
            timeout_s=timeout_s, type=type, consumer_id=consumer_id, ack_timeout_s=ack_timeout_s
        )
        return await self._do(calls.receive(wish))

    async def receive_many(
        self,
        count: int,
        *,
        timeout_s: int = WAIT_DEFAULT_S,
        type: str | None = None,  # noqa: A002  # the wire's word
        consumer_id: str | None = None,
        ack_timeout_s: int | None = None,
    ) -> list[Message]:
        """Lease up to `count` messages, waiting up to `timeout_s` for the first."""
        wish = Wish(
            timeout_s=timeout_s, type=type, consumer_id=consumer_id, ack_timeout_s=ack_timeout_s
        )
        return await self._do(calls.receive_many(count, wish))

    async def ack(self, message: Message) -> datetime:
        """End a lease with success; return when. A repeat is answered alike."""
        return await self._do(calls.ack(message))

    async def ack_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """End leases with success, each for itself."""
        return await self._do(calls.ack_many(messages))

    async def nack(self, message: Message, error: str | None = None) -> Returned:
        """Give a message back."""
        return await self._do(calls.nack(message, error))

    async def nack_many(
        self, messages: Sequence[Message], error: str | None = None
    ) -> list[Outcome]:
        """Give messages back for one reason, each for itself."""
        return await self._do(calls.nack_many(messages, error))

    async def touch(self, message: Message, extend_s: int | None = None) -> datetime:
        """Let a lease end `extend_s` from now, by default after its own length; return when."""
        return await self._do(calls.touch(message, extend_s))

    async def status(self) -> QueueStatus:
        """Return the queue in detail."""
        return await self._do(calls.status())

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
            try:
                message = await self._do(calls.receive(wish))
            except PASSING as error:
                log.warning("no message can be received: %s", error)
                await asyncio.sleep(patience.pause_s(error))
                continue
            patience.renew()
            if message is not None:
                await self._handle(handler, Holding(message, time.monotonic()))

    async def _handle(
        self, handler: Callable[[Message], Awaitable[object]], holding: Holding
    ) -> None:
        message = holding.message
        keeper = asyncio.create_task(self._keep(holding))
        try:
            await handler(message)
        except asyncio.CancelledError:
            with suppress(ClientError):
                await self._do(calls.nack(message, _STOPPED))
            raise
        except Exception as error:  # noqa: BLE001  # it is the handler's
            log.info("message %s is given back: %r", message.id, error)
            await self._settle(calls.nack(message, reason_of(error)), holding)
        else:
            await self._settle(calls.ack(message), holding)
        finally:
            keeper.cancel()
            # Not `await keeper`: whoever cancels us meanwhile must be heard, and not the keeper.
            await asyncio.wait([keeper])

    async def _keep(self, holding: Holding) -> None:
        while True:
            await asyncio.sleep(holding.touch_every_s)
            try:
                await self._do(calls.touch(holding.message, None))
                holding.extend(time.monotonic())
            except LockLostError:
                holding.lose()
                return
            except ClientError as error:
                log.warning("message %s could not be touched: %s", holding.message.id, error)

    async def _settle(self, call: Call[Any], holding: Holding) -> None:
        """Say what became of a message; a lost answer is asked for until the lease is over."""
        patience = Patience()
        while True:
            try:
                await self._do(call)
            except PASSING as error:
                if holding.is_over(time.monotonic()):
                    log.warning("message %s will come again: %s", holding.message.id, error)
                    return
                await asyncio.sleep(patience.pause_s(error))
            except ClientError as error:
                log.warning("message %s was not settled: %s", holding.message.id, error)
                return
            else:
                return

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
