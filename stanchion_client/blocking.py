"""The client that blocks. Safe for threads; each call takes a connection of its own from a pool."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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


class Client:
    """A connection to the messages queue.

    Every method raises UnreachableError when no answer comes in `timeout_s` beyond what it asks
    the server to wait, and RefusedError when the answer is no.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = 10.0) -> None:
        self._timeout_s: Final = timeout_s
        self._http: Final = httpx.Client(base_url=url, headers=headers_of(api_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def enqueue(
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
        return self._do(calls.enqueue(message))

    def enqueue_many(self, messages: Sequence[NewMessage]) -> list[str]:
        """Store messages, all or none; return their ids in order."""
        return self._do(calls.enqueue_many(messages))

    def receive(
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
        return self._do(calls.receive(wish))

    def receive_many(
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
        return self._do(calls.receive_many(count, wish))

    def ack(self, message: Message) -> datetime:
        """End a lease with success; return when. A repeat is answered alike."""
        return self._do(calls.ack(message))

    def ack_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """End leases with success, each for itself."""
        return self._do(calls.ack_many(messages))

    def nack(self, message: Message, error: str | None = None) -> Returned:
        """Give a message back."""
        return self._do(calls.nack(message, error))

    def nack_many(self, messages: Sequence[Message], error: str | None = None) -> list[Outcome]:
        """Give messages back for one reason, each for itself."""
        return self._do(calls.nack_many(messages, error))

    def touch(self, message: Message, extend_s: int | None = None) -> datetime:
        """Let a lease end `extend_s` from now, by default after its own length; return when."""
        return self._do(calls.touch(message, extend_s))

    def status(self) -> QueueStatus:
        """Return the queue in detail."""
        return self._do(calls.status())

    def events(self, last_id: str | None = None) -> Iterator[Event]:
        """Yield what happens, from after `last_id` on; comes back by itself and misses nothing.

        Raises UnreachableError or RefusedError only where it never came in.
        """
        reader, came_in = EventReader(last_id), False
        while True:
            try:
                with self._stream(reader) as lines:
                    came_in = True
                    for line in lines:
                        if event := reader.read(line):
                            yield event
            except ClientError:
                if not came_in:
                    raise
            reader.forget()
            threading.Event().wait(RECONNECT_S)

    def work(
        self,
        handler: Callable[[Message], object],
        work: Work | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Handle messages one after the other until `stop` is set.

        A message is acknowledged when its handler returns and given back when it raises; while it
        runs the lease is kept by touching it. What passes by itself is waited for.
        """
        stop, wish, patience = stop or threading.Event(), (work or Work()).wish, Patience()
        while not stop.is_set():
            try:
                message = self._do(calls.receive(wish))
            except PASSING as error:
                log.warning("no message can be received: %s", error)
                stop.wait(patience.pause_s(error))
                continue
            patience.renew()
            if message is not None:
                self._handle(handler, Holding(message, time.monotonic()))

    def _handle(self, handler: Callable[[Message], object], holding: Holding) -> None:
        message = holding.message
        with self._kept(holding):
            try:
                handler(message)
            except Exception as error:  # noqa: BLE001  # it is the handler's
                log.info("message %s is given back: %r", message.id, error)
                self._settle(calls.nack(message, reason_of(error)), holding)
            else:
                self._settle(calls.ack(message), holding)

    @contextmanager
    def _kept(self, holding: Holding) -> Iterator[None]:
        """Touch a message again and again meanwhile."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(holding, done), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _keep(self, holding: Holding, done: threading.Event) -> None:
        while not done.wait(holding.touch_every_s):
            try:
                self._do(calls.touch(holding.message, None))
                holding.extend(time.monotonic())
            except LockLostError:
                if not done.is_set():
                    holding.lose()
                return
            except ClientError as error:
                log.warning("message %s could not be touched: %s", holding.message.id, error)

    def _settle(self, call: Call[Any], holding: Holding) -> None:
        """Say what became of a message; a lost answer is asked for until the lease is over."""
        patience = Patience()
        while True:
            try:
                self._do(call)
            except PASSING as error:
                if holding.is_over(time.monotonic()):
                    log.warning("message %s will come again: %s", holding.message.id, error)
                    return
                threading.Event().wait(patience.pause_s(error))
            except ClientError as error:
                log.warning("message %s was not settled: %s", holding.message.id, error)
                return
            else:
                return

    def _do(self, call: Call[Result]) -> Result:
        try:
            response = self._http.request(
                call.method,
                call.path,
                params=call.query,
                json=call.body,
                timeout=patience_for(call, self._timeout_s),
            )
        except httpx.TransportError as error:
            raise UnreachableError(f"{self._http.base_url}: {error!r}") from error
        return answer_of(call, response)

    @contextmanager
    def _stream(self, reader: EventReader) -> Iterator[Iterator[str]]:
        timeout = httpx.Timeout(self._timeout_s, read=SILENCE_MAX_S)
        try:
            with self._http.stream(
                "GET", calls.EVENTS_PATH, headers=reader.headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    with suppress(httpx.TransportError):
                        response.read()
                    raise refusal_of(response)
                yield response.iter_lines()
        except httpx.TransportError as error:
            raise UnreachableError(f"{self._http.base_url}: {error!r}") from error
