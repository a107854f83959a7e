"""What a worker does step by step; each client carries the steps out, and waits in its own way."""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from stanchion_client import calls
from stanchion_client.calls import Call, Wish
from stanchion_client.errors import (
    ClientError,
    LockLostError,
    OverloadedError,
    UnreachableError,
)
from stanchion_client.facts import DEFAULT_QUEUE, Message

Result = TypeVar("Result")

log: Final = logging.getLogger("stanchion_client")

# These pass by themselves.
_PASSING: Final = (UnreachableError, OverloadedError)
_PAUSE_FIRST_S: Final = 0.5
_PAUSE_MAX_S: Final = 15.0
_TOUCHES_A_LEASE: Final = 3
_REASON_MAX: Final = 1_000


class RejectMessage(Exception):  # noqa: N818  # a handler says it, and no error happened
    """Raised by a handler: give the message back for this reason, without a traceback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker takes.

    `wait_s` is how long it asks for a message before it looks whether it shall stop.
    """

    type: str | None = None
    consumer_id: str | None = None
    ack_timeout_s: int | None = None
    wait_s: int = 10
    queue: str = DEFAULT_QUEUE

    @property
    def wish(self) -> Wish:
        """Return how it waits."""
        return Wish(
            timeout_s=self.wait_s,
            type=self.type,
            consumer_id=self.consumer_id,
            ack_timeout_s=self.ack_timeout_s,
            queue=self.queue,
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """A step in which nothing is done for so long."""

    seconds: float


# Each call is answered by `send` with its result, or by `throw` with a ClientError.
Steps = Generator[Call[Any] | Pause, Any, Result]


@dataclass(slots=True)
class Patience:
    """How long to wait after one failure more: twice as long each time, as long as asked for."""

    _pause_s: float = field(default=_PAUSE_FIRST_S, init=False)

    def pause_s(self, error: ClientError) -> float:
        """Return how long to wait now."""
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, _PAUSE_MAX_S)
        return max(pause_s, error.retry_after_s) if isinstance(error, OverloadedError) else pause_s

    def renew(self) -> None:
        """Start over, since something went well."""
        self._pause_s = _PAUSE_FIRST_S


class Holding:
    """A message while its handler runs: its lease moves on, or is lost."""

    def __init__(self, message: Message, now_s: float) -> None:
        """`now_s` is of a clock that nobody sets."""
        self.message: Final = message
        # Touched often enough that two that get lost do no harm.
        self.touch_every_s: Final = message.lease_s / _TOUCHES_A_LEASE
        self._over_at_s = now_s + message.lease_s

    def extend(self, now_s: float) -> None:
        """Note that it was touched."""
        self._over_at_s = now_s + self.message.lease_s

    def lose(self) -> None:
        """Note that others have it."""
        self._over_at_s = 0.0

    def is_over(self, now_s: float) -> bool:
        """Say whether others may have the message by now."""
        return now_s >= self._over_at_s


def next_message(wish: Wish, patience: Patience) -> Steps[Message | None]:
    """Ask for a message once; what passes by itself is waited for."""
    try:
        message: Message | None = yield calls.receive(wish)
    except _PASSING as error:
        log.warning("no message can be received: %s", error)
        yield Pause(patience.pause_s(error))
        return None
    patience.renew()
    return message


def keep(holding: Holding) -> Steps[None]:
    """Touch a message again and again, until others have it."""
    while True:
        yield Pause(holding.touch_every_s)
        try:
            yield calls.touch(holding.message, None)
        except LockLostError:
            holding.lose()
            return
        except ClientError as error:
            log.warning("message %s could not be touched: %s", holding.message.id, error)
        else:
            holding.extend(time.monotonic())


def settle(holding: Holding, error: BaseException | None) -> Steps[None]:
    """Say what became of a message; a lost answer is asked for until the lease is over."""
    message, patience = holding.message, Patience()
    call: Call[Any] = calls.ack(message)
    if error is not None:
        log.info("message %s is given back: %r", message.id, error)
        call = calls.nack(message, _reason_of(error))
    while True:
        try:
            yield call
        except _PASSING as refusal:
            if holding.is_over(time.monotonic()):
                log.warning("message %s will come again: %s", message.id, refusal)
                return
            yield Pause(patience.pause_s(refusal))
        except ClientError as refusal:
            log.warning("message %s was not settled: %s", message.id, refusal)
            return
        else:
            return


def _reason_of(error: BaseException) -> str:
    """Return why a message is given back, for whoever looks at dead ones."""
    if isinstance(error, RejectMessage):
        return str(error)[:_REASON_MAX]
    return f"{type(error).__name__}: {error}"[:_REASON_MAX]
