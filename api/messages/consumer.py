"""One consumer on a WebSocket: sent messages as it has room, it settles them on the same way back.

It says how many it can hold (`prefetch`). One claim brings as many as there is room for; what is
settled makes room for more. Who reads too slowly or has hung up gets no more leases, and those
that could not be sent are undone.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from api.http.errors import sentence_of
from api.http.reading import faults_of
from api.live.conversation import Closed, Conversation, close_code_of, tell_refusal
from api.live.member import Entry
from api.live.wire import CloseCode, Wire
from api.messages import frames
from api.messages.bounds import MessageBounds
from api.messages.frames import AtClose, Ping, SetPrefetch
from api.messages.holdings import Holdings
from api.messages.settling import Settler
from models.errors import InvalidError, LimitError, StanchionError, UnavailableError
from models.messages.rules import Held, Lease, LeaseRequest, Rejection, public_id
from models.messages.service import MessageService

# How often a consumer without room is looked at for leases that are over: they end unseen.
_LOOK_S: Final = 1.0
# How long one ask for messages waits: with some in hand, whose leases may end, and with none.
_WAIT_S: Final = 10.0
# Who does not take what was sent in this time gets the rest of its messages another time.
_SLOW_S: Final = 5.0
_CLOSED: Final = "the consumer's connection ended"

log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The queue as it is offered to streaming consumers."""

    service: MessageService
    bounds: MessageBounds
    prefetch_max: int
    buffer_bytes_max: int  # what may wait for a consumer that reads slowly
    now_ms: Callable[[], int]

    def prefetch(self, wanted: int) -> int:
        """Return how many messages a consumer may hold; raises InvalidError."""
        if wanted > self.prefetch_max:
            raise InvalidError({"prefetch": f"Expected `int` <= {self.prefetch_max}"})
        return wanted


class Turn:
    """One wait for messages: the other end of it is there until the turn ends."""

    def __init__(self, wire: Wire) -> None:
        self._wire: Final = wire
        self._ended: Final = asyncio.Event()

    def end(self) -> None:
        """Ask for these messages no more; those that are leased by now go back."""
        self._ended.set()

    def has_hung_up(self) -> bool:
        """Say whether nobody would get a message."""
        return self._ended.is_set() or self._wire.is_over

    async def hung_up(self) -> None:
        """Return when nobody would get a message."""
        await self._ended.wait()


class Consumer:
    """A streaming consumer, from its admission to its end."""

    def __init__(
        self,
        offer: Offer,
        conversation: Conversation,
        entry: Entry,
        template: LeaseRequest,
        *,
        prefetch: int,
        at_close: AtClose,
    ) -> None:
        self.caller = entry.caller
        self.shown: Final = entry.shown
        self._offer: Final = offer
        self._conversation: Final = conversation
        self._wire: Final = conversation.wire
        self._template: Final = template
        self._prefetch = prefetch
        self._at_close: Final = at_close
        self._holdings: Final = Holdings()
        self._settler: Final = Settler(
            offer.service,
            offer.bounds,
            self._holdings,
            now_ms=offer.now_ms,
            write=self._wire.write,
        )
        self._spare: list[LeaseRequest] = []  # asked before, and not granted
        self._gone: Final = asyncio.Event()
        self._turn = Turn(self._wire)
        self._looked_at_s = 0.0

    async def serve(self) -> None:
        """Send and settle until the connection ends; raises Closed to close it."""
        greeting = {"consumer_id": self._template.consumer_id, "prefetch": self._prefetch}
        self._conversation.tell("connected", greeting)
        sending = asyncio.create_task(self._send_all())
        try:
            while True:
                await self._hear(await self._conversation.next_text())
        finally:
            self._gone.set()
            self._turn.end()
            self._holdings.changed.set()
            # Neither is cancelled: a lease that is on its way must be undone, not forgotten.
            await self._settler.close()
            await sending
            if self._at_close == "return":
                await self._return_all()

    async def refuse(self, error: StanchionError) -> None:
        """Tell the consumer why it may no longer be here, and close."""
        tell_refusal(self._wire, error)
        self._wire.close(close_code_of(error), error.code)

    @property
    def _is_over(self) -> bool:
        """Say whether nobody would get a message."""
        return self._gone.is_set() or self._wire.is_over

    # What it says --------------------------------------------------------------------------------

    async def _hear(self, text: str) -> None:
        try:
            said = frames.read_frame(text)
        except msgspec.ValidationError as error:
            self._tell_faults(text, error)
            return
        except (msgspec.DecodeError, RecursionError):
            raise Closed(CloseCode.MALFORMED, 'expected {"type": …, "data": …}') from None
        if isinstance(said, Ping):
            self._conversation.tell("pong", said.data)
        elif isinstance(said, SetPrefetch):
            self._set_prefetch(said)
        else:
            await self._settler.submit(said)
        if self._wire.buffered_bytes > self._offer.buffer_bytes_max:
            raise Closed(CloseCode.TOO_SLOW, "reads too slowly")

    def _set_prefetch(self, said: SetPrefetch) -> None:
        try:
            self._prefetch = self._offer.prefetch(said.data.prefetch)
        except InvalidError as error:
            tell_refusal(self._wire, error)
            return
        self._turn.end()  # what is asked for now fits the new number
        self._conversation.tell("prefetch", {"prefetch": self._prefetch})
        self._holdings.changed.set()

    def _tell_faults(self, text: str, error: msgspec.ValidationError) -> None:
        """Say what is wrong with a frame, which changed nothing."""
        try:  # what was faulty came before the end, and the end may be no JSON
            said = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise Closed(CloseCode.MALFORMED, 'expected {"type": …, "data": …}') from None
        word = said.pop("type", "")
        shape = frames.SHAPES.get(word) if isinstance(word, str) else None
        faults = {"type": str(error)} if shape is None else faults_of(said, shape)
        data = {"code": InvalidError.code, "message": "Validation failed", "details": faults}
        ref = said.get("ref")
        self._conversation.tell("error", data if ref is None else {**data, "ref": ref})

    # What it is sent -----------------------------------------------------------------------------

    async def _send_all(self) -> None:
        """Send messages until the connection ends."""
        try:
            while not self._is_over:
                self._let_lapse()
                room = self._prefetch - len(self._holdings)
                if room <= 0:
                    await self._wait_for_room()
                elif await self._is_writable(_WAIT_S):
                    await self._send_some(room)
        except StanchionError as error:
            await self.refuse(error)
        except Exception:
            log.exception("stream_failed")
            self._wire.close(CloseCode.FAILED, "the server failed")

    async def _send_some(self, room: int) -> None:
        """Wait for messages, as many as there is room for, and send what comes."""
        requests, turn = self._requests(room), Turn(self._wire)
        self._turn = turn
        try:
            leases = await self._offer.service.lease_many(requests, timeout_s=_WAIT_S, caller=turn)
        except (LimitError, UnavailableError) as error:
            self._conversation.tell("error", {"code": error.code, "message": sentence_of(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(error.retry_after_s):
                    await self._gone.wait()
            return
        if leases:  # the first ones were granted; of a wait that ended some may be on their way
            self._spare = requests[len(leases) :]
        unsent = await self._send(leases)
        if unsent:
            await self._offer.service.give_back(unsent)

    async def _send(self, leases: list[Lease]) -> list[Lease]:
        """Send leased messages; return those that the consumer does not take."""
        room = max(0, self._prefetch - len(self._holdings))  # may be less than was asked for
        unsent = leases[room:]
        takes = True
        for text, carried in frames.message_frames(leases[:room]):
            takes = takes and await self._has_space()
            if not takes:
                unsent += carried
                continue
            for lease in carried:
                self._holdings.take(Held(lease.id, lease.lock_token), lease.lease_until_ms)
            self._wire.write(text)
        return unsent

    async def _has_space(self) -> bool:
        """Wait a moment for a slow reader; say whether more may be sent."""
        if self._wire.buffered_bytes <= self._offer.buffer_bytes_max:
            return not self._is_over
        return await self._is_writable(_SLOW_S) and not self._is_over

    async def _is_writable(self, timeout_s: float) -> bool:
        """Wait until the consumer has taken most of what was sent; say whether it has."""
        if not self._wire.writable.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wire.writable.wait()
        return self._wire.writable.is_set()

    async def _wait_for_room(self) -> None:
        self._holdings.changed.clear()
        if self._prefetch <= len(self._holdings):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._holdings.changed.wait()

    def _requests(self, count: int) -> list[LeaseRequest]:
        requests, self._spare = self._spare[:count], []
        while len(requests) < count:
            token = f"lt_{secrets.token_urlsafe(16)}"
            requests.append(replace(self._template, lock_token=token))
        return requests

    def _let_lapse(self) -> None:
        """Forget messages whose lease is over, and say so: others may have them by now."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_at_s < _LOOK_S:
            return
        self._looked_at_s = now_s
        over = self._holdings.lapse(self._offer.now_ms())
        if over:
            self._conversation.tell("lapsed", [{"id": public_id(held.id)} for held in over])

    async def _return_all(self) -> None:
        """Give back what the consumer still held, as it wished; each had its attempt."""
        rejections = [Rejection(held, _CLOSED) for held in self._holdings]
        with contextlib.suppress(StanchionError):  # else they lapse
            await self._offer.service.reject_many(rejections, now_ms=self._offer.now_ms())
