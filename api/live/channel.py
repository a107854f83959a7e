"""What a domain says to have its events told: one `Channel`, and Socket.IO and WebSockets follow.

A domain names its stream, who may listen, what a client is told first, and which events concern
which room; how that reaches clients is not its business.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from api.auth.callers import Caller
from api.auth.table import SocketRow
from models.events import Event

# The room that every client of a channel is in.
EVERYBODY: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a client shows: in headers, in its address, or in its first message."""

    api_key: str | None = None
    token: str | None = None
    session: str | None = None  # the browser's cookie

    @property
    def are_empty(self) -> bool:
        """Say whether nothing is shown that could be right or wrong."""
        return not (self.api_key or self.token or self.session)


# Returns NOBODY for no credentials; raises UnauthenticatedError for wrong ones.
Authenticate = Callable[[Credentials], Awaitable[Caller]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a client is let into: the rooms it starts in, and whose words it gets.

    Clients with the same `audience` get the same words for the same event.
    """

    rooms: frozenset[str] = frozenset()
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of a channel: who asks, in which rooms, what came with it."""

    caller: Caller
    audience: str
    rooms: frozenset[str]
    data: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a client's message; `rooms`, if any, are where the client is from now on."""

    name: str
    data: Mapping[str, object]
    rooms: frozenset[str] | None = None


Handler = Callable[[Request], Awaitable[Reply]]


def _to_everybody(_event: Event) -> Sequence[str]:
    return (EVERYBODY,)


def _to_nobody(_event: Event) -> Sequence[str]:
    return ()


def _as_it_is(event: Event, _audience: str) -> Event | None:
    return event


async def _as_at_first(
    _caller: Caller, admission: Admission, _chosen: frozenset[str]
) -> frozenset[str]:
    return admission.rooms


async def _nothing(_admission: Admission) -> Sequence[Event]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One domain's live side.

    `at` says where clients come in and who may at all; `admit` gets the caller and the parameters
    of the address and of the first message, and raises ForbiddenError, NotFoundError or
    InvalidError to refuse. `rejoin` gets the rooms that the same caller chose on a connection that
    was lost, maybe long ago and by another process, and returns those it may be in now: the first
    ones, unless a channel says more. `initial` is what a client is told that cannot be caught up.
    `rooms_of` says whom an event concerns, `view` how an audience sees it (None: not at all).
    `state` is the state of a room, pushed to it at most ten times a second after the events whose
    `state_rooms` name it, and to EVERYBODY each `state_every_s`. `handlers` answer what clients
    say.
    """

    domain: str
    at: SocketRow
    admit: Callable[[Caller, Mapping[str, Any]], Awaitable[Admission]]
    rejoin: Callable[[Caller, Admission, frozenset[str]], Awaitable[frozenset[str]]] = _as_at_first
    initial: Callable[[Admission], Awaitable[Sequence[Event]]] = _nothing
    rooms_of: Callable[[Event], Sequence[str]] = _to_everybody
    view: Callable[[Event, str], Event | None] = _as_it_is
    state: Callable[[str], Awaitable[Event | None]] | None = None
    state_rooms: Callable[[Event], Sequence[str]] = _to_nobody
    state_every_s: float | None = None
    handlers: Mapping[str, Handler] = field(default_factory=dict)
