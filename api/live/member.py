"""One live client as a hub sees it: where it stands, and how much may wait for it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from api.auth.callers import Caller
from api.live.channel import Credentials, Request
from api.live.packets import Form, Packet, single
from api.live.tail import START, Place
from models.errors import StanchionError


@dataclass(frozen=True, slots=True)
class Kind:
    """Clients of the same kind get the same bytes for the same event."""

    form: Form
    audience: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Who a client is, and what it showed to be that."""

    caller: Caller
    shown: Credentials
    holds: object | None = None  # what its channel let it in by, where it did so itself


class Member(ABC):
    """A client that takes packets without making anybody wait.

    Until it has caught up it keeps what comes, up to a bound; beyond it, and when it reads too
    slowly, it has lost its place: it is told to resync, and its connection is closed.
    """

    __slots__ = (
        *("_pending", "_pending_max", "caller", "has_lost", "holds", "kind", "rooms"),
        *("seen", "shown"),
    )

    def __init__(self, kind: Kind, entry: Entry, *, pending_max: int) -> None:
        self.kind = kind
        self.caller = entry.caller
        self.shown: Final = entry.shown
        self.holds: Final = entry.holds
        self.rooms: frozenset[str] = frozenset()
        self.seen: Place = START
        self.has_lost = False
        self._pending: list[Packet] | None = []
        self._pending_max: Final = pending_max

    def take(self, packet: Packet) -> None:
        """Take the packet of some events of the stream."""
        if self._pending is not None:
            if len(self._pending) >= self._pending_max:
                self.lose_place()
            else:
                self._pending.append(packet)
        elif packet.first > self.seen:
            self.write(packet)
        elif (rest := packet.behind(self.seen)) is not None:
            self.write(rest)

    def take_state(self, packet: Packet) -> None:
        """Take a reading of the state; one that is still catching up gets a later one."""
        if self._pending is None:
            self.write(packet)

    def go_live(self, seen: Place) -> None:
        """End catching up: what came meanwhile follows what was seen."""
        pending, self._pending = self._pending or [], None
        self.seen = seen
        for packet in pending:
            self.take(packet)

    def lose_place(self) -> None:
        """Tell the client to resync and close its connection, once."""
        if not self.has_lost:
            self.has_lost = True
            self._pending = None
            self.resync()

    def send(self, name: str, data: bytes) -> None:
        """Send an event of its own, whatever waits already; `data` is JSON."""
        self.put(single(self.kind.form.write(name, data, None)))

    @property
    @abstractmethod
    def keeps_up(self) -> bool:
        """Say whether all that was sent is out of this process."""

    @abstractmethod
    def put(self, packet: Packet) -> None:
        """Send a packet at once, whatever waits already."""

    @abstractmethod
    async def dismiss(self) -> None:
        """Put the client out, since there is nothing more to tell; it stays away."""

    @abstractmethod
    def write(self, packet: Packet) -> None:
        """Send a packet at once; loses its place when too much waits already."""

    @abstractmethod
    def resync(self) -> None:
        """Tell the client that events are missing, then close its connection."""

    @abstractmethod
    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here, and put it out."""


def request_of(member: Member, data: object) -> Request:
    """Return what a client asks, with who it is and where."""
    return Request(member.caller, member.kind.audience, member.rooms, data, member.holds)
