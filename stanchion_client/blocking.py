"""The client that blocks. Safe for threads; each call takes a connection of its own from a pool."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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


class Client:
    """A connection to the messages queue.

    Every method raises UnreachableError when no answer comes in `timeout_s` beyond what it asks
    the server to wait, and RefusedError when the answer is no.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = 10.0) -> None:
        self._timeout_s: Final = timeout_s
        self._http: Final = httpx.Client(base_url=checked(url), headers=headers_of(api_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def enqueue(self, payload: Mapping[str, Any], **options: Unpack[NewMessageOptions]) -> Queued:
        """Store a message; it is on disk when this returns."""
        return self._do(calls.enqueue(NewMessage(payload=payload, **options)))

    def enqueue_many(self, messages: Sequence[NewMessage]) -> list[str]:
        """Store messages, all or none; return their ids in order."""
        return self._do(calls.enqueue_many(messages))

    def receive(self, **wish: Unpack[WishOptions]) -> Message | None:
        """Lease the next message, waiting up to `timeout_s`; None if none came."""
        return self._do(calls.receive(Wish(**wish)))

    def receive_many(self, count: int, **wish: Unpack[WishOptions]) -> list[Message]:
        """Lease up to `count` messages, waiting up to `timeout_s` for the first."""
        return self._do(calls.receive_many(count, Wish(**wish)))

    def ack(self, message: Message) -> datetime:
        """End a lease with success; return when. A repeat is answered alike."""
        return self._do(calls.ack(message))

    def ack_next(self, message: Message, **wish: Unpack[WishOptions]) -> Message | None:
        """End a lease with success and lease the next message, in one request.

        None means that none came in time; the message is acknowledged all the same.
        """
        return self._do(calls.ack_next(message, Wish(**wish)))

    def ack_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """End leases with success, each for itself."""
        return self._do(calls.ack_many(messages))

    def nack(
        self, message: Message, error: str | None = None, *, delay_s: int | None = None
    ) -> Returned:
        """Give a message back; for `delay_s` nobody gets it."""
        return self._do(calls.nack(message, error, delay_s))

    def nack_many(
        self, messages: Sequence[Message], error: str | None = None, *, delay_s: int | None = None
    ) -> list[Outcome]:
        """Give messages back for one reason, each for itself."""
        return self._do(calls.nack_many(messages, error, delay_s))

    def touch(self, message: Message, extend_s: int | None = None) -> datetime:
        """Let a lease end `extend_s` from now, by default after its own length; return when."""
        return self._do(calls.touch(message, extend_s))

    def status(self, queue: str | None = None) -> QueueStatus:
        """Return one queue in detail, or all together."""
        return self._do(calls.status(queue))

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
            message = self._run(next_message(wish, patience), stop)
            if message is not None:
                self._handle(handler, Holding(message, time.monotonic()))

    def _handle(self, handler: Callable[[Message], object], holding: Holding) -> None:
        failure: Exception | None = None
        with self._kept(holding):
            try:
                handler(holding.message)
            except Exception as error:  # noqa: BLE001  # it is the handler's
                failure = error
            self._run(settle(holding, failure), threading.Event())

    @contextmanager
    def _kept(self, holding: Holding) -> Iterator[None]:
        """Touch a message again and again meanwhile."""
        done = threading.Event()
        keeper = threading.Thread(target=self._run, args=(keep(holding), done), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _run(self, steps: Steps[Result], end: threading.Event) -> Result | None:
        """Carry steps out and return their result; a pause in which `end` is set is the last."""
        go_on: Callable[[], Call[Any] | Pause] = partial(next, steps)
        try:
            while True:
                step = go_on()
                if isinstance(step, Pause):
                    if end.wait(step.seconds):
                        return None
                    go_on = partial(next, steps)
                    continue
                try:
                    go_on = partial(steps.send, self._do(step))
                except ClientError as error:
                    go_on = partial(steps.throw, error)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]  # of these steps

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
