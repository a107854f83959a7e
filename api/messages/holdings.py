"""What one streaming consumer has in its hands, and what its words make of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import structlog

from api.http.errors import InternalError, sentence_of
from api.messages.frames import Outcome
from models.errors import LimitError, StanchionError, UnavailableError
from models.messages.rules import Held, LockLostError, internal_id

log: Final = structlog.get_logger(__name__)

Order = TypeVar("Order")
Done = TypeVar("Done")


class Holdings:
    """The messages that a streaming consumer holds: their tokens and the ends of their leases."""

    def __init__(self) -> None:
        self._held: Final[dict[int, tuple[str, int]]] = {}
        self.changed: Final = asyncio.Event()  # set when there may be room for more

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return (Held(message_id, token) for message_id, (token, _) in self._held.items())

    def take(self, held: Held, until_ms: int) -> None:
        """Note a message that was delivered."""
        self._held[held.id] = (held.lock_token, until_ms)

    def extend(self, held: Held, until_ms: int) -> None:
        """Note the new end of a lease, if the message is here by this token."""
        if self.token_of(held.id) == held.lock_token:
            self.take(held, until_ms)

    def token_of(self, message_id: int) -> str | None:
        """Return the token of a message that is here."""
        held = self._held.get(message_id)
        return None if held is None else held[0]

    def let_go(self, held: Held) -> None:
        """Forget a message, if it is here by this token."""
        if self.token_of(held.id) == held.lock_token:
            del self._held[held.id]
            self.changed.set()

    def lapse(self, now_ms: int) -> list[Held]:
        """Forget and return the messages whose lease is over."""
        over = [
            Held(message_id, token)
            for message_id, (token, until_ms) in self._held.items()
            if until_ms <= now_ms
        ]
        for held in over:
            self.let_go(held)
        return over


class Batch(Generic[Order, Done]):
    """Orders for messages, each with an outcome in the end, in the order in which they were added.

    `done` is told of each that was carried out.
    """

    def __init__(self, holdings: Holdings, done: Callable[[Held, Done], None]) -> None:
        self._holdings: Final = holdings
        self._done: Final = done
        self._outcomes: Final[list[Outcome]] = []
        self._orders: Final[list[tuple[int, Held, Order]]] = []  # with their place

    def add(self, public_id: str, lock_token: str | None, order: Callable[[Held], Order]) -> None:
        """Add an order; without a token it is for the message that is here by this id."""
        place = len(self._outcomes)
        self._outcomes.append(Outcome(public_id, "refused"))
        try:
            message_id = internal_id(public_id)
            token = lock_token or self._holdings.token_of(message_id)
            if token is None:
                raise LockLostError(public_id)
            held = Held(message_id, token)
            self._orders.append((place, held, order(held)))
        except StanchionError as error:
            self._outcomes[place] = refused(public_id, error)

    async def run(
        self,
        carry_out: Callable[[Sequence[Order]], Awaitable[Sequence[Done | Exception]]],
        describe: Callable[[str, Done], Outcome],
    ) -> Iterator[Outcome]:
        """Carry out the orders and return all outcomes."""
        results: Sequence[Done | Exception]
        try:
            results = await carry_out([order for _, _, order in self._orders])
        except StanchionError as error:
            results = [error] * len(self._orders)
        for (place, held, _), result in zip(self._orders, results, strict=True):
            public_id = self._outcomes[place].id
            if isinstance(result, Exception):
                self._outcomes[place] = refused(public_id, result)
                if not isinstance(result, (LimitError, UnavailableError)):
                    self._holdings.let_go(held)
            else:
                self._outcomes[place] = describe(public_id, result)
                self._done(held, result)
        return iter(self._outcomes)


def refused(public_id: str, error: Exception) -> Outcome:
    """Return the outcome of an order that was not carried out."""
    if not isinstance(error, StanchionError):
        log.error("message_not_settled", exc_info=error)
        error = InternalError()
    return Outcome(public_id, "refused", code=error.code, message=sentence_of(error))
