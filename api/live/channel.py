"""What a domain says to have its events told: one `Channel`, and Socket.IO and WebSockets follow.

A domain names its stream, who may listen, what a client is told first, and which events concern
which room; how that reaches clients is not its business.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

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

    Clients with the same `audience` get the same words for the same event. `holds` is what a client
    that the channel itself let in (`Channel.admit_holder`) is there by.
    """

    rooms: frozenset[str] = frozenset()
    audience: str = ""
    holds: object | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of a channel: who asks, in which rooms, what came with it."""

    caller: Caller
    audience: str
    rooms: frozenset[str]
    data: Any
    holds: object | None = None  # what the channel let it in by


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a client's message; `rooms`, if any, are where the client is from now on."""

    name: str
    data: Mapping[str, object]
    rooms: frozenset[str] | None = None


Handler = Callable[[Request], Awaitable[Reply]]


class Present(Protocol):
    """A client that is in, as its channel sees it."""

    @property
    def holds(self) -> object | None:
        """Return what the channel let it in by, if it did so itself."""

    @property
    def keeps_up(self) -> bool:
        """Say whether all that was sent to it is out of this process."""

    def send(self, name: str, data: bytes) -> None:
        """Send it an event of its own, whatever waits already; `data` is JSON."""

    async def dismiss(self) -> None:
        """Put it out, since there is nothing more to tell; it stays away."""


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


async def _no_holder(_shown: Credentials, _asked: Mapping[str, Any]) -> Admission | None:
    return None


def _unnoticed(_present: Present) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One domain's live side.

    `at` says where clients come in and who may at all; `admit` gets the caller and the parameters
    of the address and of the first message, and raises ForbiddenError, NotFoundError or
    InvalidError to refuse. `admit_holder` comes before it: it lets in who shows something that the
    domain itself gave out, by None nobody; such a client's right to stay is the channel's to watch,
    which hears by `entered` that somebody is in and caught up, by `left` that somebody is gone.
    `rejoin` gets the rooms that the same caller chose on a connection that was lost, maybe long ago
    and by another process, and returns those it may be in now: the first ones, unless a channel
    says more. `initial` is what a client is told that cannot be caught up.
    `rooms_of` says whom an event concerns, `view` how an audience sees it (None: not at all).
    `state` is the state of a room, pushed to it at most ten times a second after the events whose
    `state_rooms` name it, and to EVERYBODY each `state_every_s`. `handlers` answer what clients
    say.
    """

    domain: str
    at: SocketRow
    admit: Callable[[Caller, Mapping[str, Any]], Awaitable[Admission]]
    admit_holder: Callable[[Credentials, Mapping[str, Any]], Awaitable[Admission | None]] = (
        _no_holder
    )
    rejoin: Callable[[Caller, Admission, frozenset[str]], Awaitable[frozenset[str]]] = _as_at_first
    initial: Callable[[Admission], Awaitable[Sequence[Event]]] = _nothing
    rooms_of: Callable[[Event], Sequence[str]] = _to_everybody
    view: Callable[[Event, str], Event | None] = _as_it_is
    state: Callable[[str], Awaitable[Event | None]] | None = None
    state_rooms: Callable[[Event], Sequence[str]] = _to_nobody
    state_every_s: float | None = None
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    entered: Callable[[Present], None] = _unnoticed
    left: Callable[[Present], None] = _unnoticed
