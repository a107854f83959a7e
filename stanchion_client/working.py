"""What the loops of a worker have in common: what they wait for, and when they try again."""

from dataclasses import dataclass, field
from typing import Final

from stanchion_client.calls import Wish
from stanchion_client.errors import ClientError, OverloadedError, UnreachableError
from stanchion_client.facts import Message

# These pass by themselves.
PASSING: Final = (UnreachableError, OverloadedError)
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

    @property
    def wish(self) -> Wish:
        """Return how it waits."""
        return Wish(
            timeout_s=self.wait_s,
            type=self.type,
            consumer_id=self.consumer_id,
            ack_timeout_s=self.ack_timeout_s,
        )


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


def reason_of(error: BaseException) -> str:
    """Return why a message is given back, for whoever looks at dead ones."""
    if isinstance(error, RejectMessage):
        return str(error)[:_REASON_MAX]
    return f"{type(error).__name__}: {error}"[:_REASON_MAX]
