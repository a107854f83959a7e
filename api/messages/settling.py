"""Acks, nacks and touches of one streaming consumer: pipelined, many to a transaction."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import structlog

from api.messages import bodies as wire
from api.messages import frames
from api.messages.bounds import MessageBounds
from api.messages.frames import Ack, Nack, NackItem, Outcome, Settling, Touch, TouchItem
from api.messages.holdings import Batch, Holdings
from models.messages.rules import Extension, Held, Rejection, Returned
from models.messages.service import MessageService

log: Final = structlog.get_logger(__name__)

# As many as a group commit has under way; what comes meanwhile goes with the next.
_FLIGHTS_MAX: Final = 2
# A client that sends more than this without waiting is not read until some are answered.
_FRAMES_WAITING_MAX: Final = 256


class Settler:
    """Settles what frames name, in groups, and answers each frame with one of its own.

    Frames may be answered in another order than they came in. A message leaves `holdings` when it
    is settled, not before.
    """

    def __init__(
        self,
        service: MessageService,
        bounds: MessageBounds,
        holdings: Holdings,
        *,
        now_ms: Callable[[], int],
        write: Callable[[bytes], None],
    ) -> None:
        self._service: Final = service
        self._bounds: Final = bounds
        self._holdings: Final = holdings
        self._now_ms: Final = now_ms
        self._write: Final = write
        self._waiting: list[Settling] = []
        self._flights: Final[set[asyncio.Task[None]]] = set()
        self._launch_is_due = False
        self._launched: Final = asyncio.Event()

    async def submit(self, asked: Settling) -> None:
        """Settle what a frame names, soon; waits while too many frames do."""
        while len(self._waiting) >= _FRAMES_WAITING_MAX:
            self._launched.clear()
            await self._launched.wait()
        self._waiting.append(asked)
        self._launch_soon()

    async def close(self) -> None:
        """Finish what was submitted."""
        while self._waiting or self._flights:
            await asyncio.sleep(0)
            if self._flights:
                await asyncio.wait(set(self._flights))

    def _launch_soon(self) -> None:
        if len(self._flights) < _FLIGHTS_MAX and not self._launch_is_due:
            # After this turn of the loop, so that frames that came together go together.
            self._launch_is_due = True
            asyncio.get_running_loop().call_soon(self._launch)

    def _launch(self) -> None:
        self._launch_is_due = False
        asked, self._waiting = self._waiting, []
        self._launched.set()
        flight = asyncio.create_task(self._settle(asked))
        self._flights.add(flight)
        flight.add_done_callback(self._land)

    def _land(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            log.error("frames_not_settled", exc_info=error)
        if self._waiting:
            self._launch_soon()

    async def _settle(self, asked: Sequence[Settling]) -> None:
        acks = [one for one in asked if isinstance(one, Ack)]
        if len(acks) == len(asked):  # as nearly always
            await self._acknowledge(acks)
            return
        await asyncio.gather(
            self._acknowledge(acks),
            self._reject([one for one in asked if isinstance(one, Nack)]),
            self._extend([one for one in asked if isinstance(one, Touch)]),
        )

    async def _acknowledge(self, asked: Sequence[Ack]) -> None:
        batch = Batch[Held, int](self._holdings, self._settled)
        for one in asked:
            for item in one.data:
                batch.add(item.id, item.lock_token, _itself)
        outcomes = await batch.run(
            lambda helds: self._service.acknowledge_many(helds, now_ms=self._now_ms()),
            frames.acknowledged,
        )
        self._answer(asked, outcomes)

    async def _reject(self, asked: Sequence[Nack]) -> None:
        batch = Batch[Rejection, Returned](self._holdings, self._settled)
        for one in asked:
            for item in one.data:
                batch.add(item.id, item.lock_token, _rejection(item))
        outcomes = await batch.run(
            lambda rejections: self._service.reject_many(rejections, now_ms=self._now_ms()),
            frames.rejected,
        )
        self._answer(asked, outcomes)

    async def _extend(self, asked: Sequence[Touch]) -> None:
        batch = Batch[Extension, int](self._holdings, self._holdings.extend)
        for one in asked:
            for item in one.data:
                batch.add(item.id, item.lock_token, self._extension(item))
        outcomes = await batch.run(
            lambda extensions: self._service.extend_many(extensions, now_ms=self._now_ms()),
            frames.touched,
        )
        self._answer(asked, outcomes)

    def _settled(self, held: Held, _result: object) -> None:
        self._holdings.let_go(held)

    def _extension(self, item: TouchItem) -> Callable[[Held], Extension]:
        return lambda held: Extension(
            held, self._bounds.lease_ms("extend_seconds", item.extend_seconds)
        )

    def _answer(self, asked: Sequence[Settling], outcomes: Iterator[Outcome]) -> None:
        self._write(
            b"".join(
                frames.outcomes_frame(list(islice(outcomes, len(one.data))), one.ref)
                for one in asked
            )
        )


def _itself(held: Held) -> Held:
    return held


def _rejection(item: NackItem) -> Callable[[Held], Rejection]:
    return lambda held: Rejection(held, item.error, wire.milliseconds(item.delay_seconds))
