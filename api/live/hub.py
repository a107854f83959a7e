"""All live clients of one channel in this process: who is where, and what each is told.

A client enters before it looks back, so between what it is caught up with and what comes next
nothing is missing and nothing is told twice.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from api.live.channel import EVERYBODY, Admission, Channel
from api.live.limits import LiveLimits
from api.live.member import Kind, Member
from api.live.packets import Packet, encode_json, single
from api.live.pushes import Pushes
from api.live.rights import Rights
from api.live.tail import LiveEvent, StreamTail, place_of
from models.errors import StanchionError
from models.events import Event
from models.redis import RedisAwayError

log: Final = structlog.get_logger(__name__)

# Others get their turn after so many clients, or so many bytes for each.
_CLIENTS_AT_ONCE: Final = 250
_EVENTS_AT_ONCE: Final = 256


class Hub:
    """Tells the clients of a channel what happens; a `Follower` of its stream."""

    def __init__(
        self, channel: Channel, tail: StreamTail, rights: Rights, limits: LiveLimits
    ) -> None:
        self.channel: Final = channel
        self._tail: Final = tail
        self._rights: Final = rights
        self._replay_max: Final = limits.replay_max
        # Half of what may wait for a client: it is not caught up only to be found too slow.
        self._replay_bytes_max: Final = limits.buffer_bytes_max // 2
        self._rooms: Final[dict[str, set[Member]]] = {EVERYBODY: set()}
        self._pushes: Final = Pushes(self.push_state)

    @property
    def member_count(self) -> int:
        """Return how many clients there are."""
        return len(self._rooms[EVERYBODY])

    async def enter(self, member: Member, rooms: Iterable[str]) -> None:
        """Let a client in, which keeps what comes until `catch_up` or `go_live`."""
        self.move(member, frozenset({EVERYBODY, *rooms}))
        if member.holds is None:
            self._rights.watch(member, self.channel.at.who)
        await self._tail.follow(self)

    def move(self, member: Member, rooms: frozenset[str]) -> None:
        """Put a client into these rooms, and EVERYBODY, and no others."""
        rooms |= {EVERYBODY}
        for room in member.rooms - rooms:
            self._drop(member, room)
        for room in rooms - member.rooms:
            self._rooms.setdefault(room, set()).add(member)
        member.rooms = rooms

    def leave(self, member: Member) -> None:
        """Let a client go; a repeat changes nothing."""
        for room in member.rooms:
            self._drop(member, room)
        member.rooms = frozenset()
        self._rights.forget(member, self.channel.at.who)
        self.channel.left(member)
        if not self.member_count:
            self._tail.leave(self)

    async def missed(self, member: Member, offset: str | None) -> list[LiveEvent] | None:
        """Return what a client missed since an offset; None when it cannot be caught up.

        That is so when the offset is none, is no longer kept, or too much came since.
        """
        if offset is None:
            return None
        try:
            place_of(offset)
            if not await self._tail.is_kept(offset):
                return None
            events: list[LiveEvent] = []
            size_bytes = 0
            async for live in self._tail.replay(offset):
                if not member.rooms.isdisjoint(self.channel.rooms_of(live.event)):
                    events.append(live)
                    size_bytes += len(encode_json(live.event.data))
                if len(events) > self._replay_max or size_bytes > self._replay_bytes_max:
                    return None
        except (ValueError, *RedisAwayError):
            return None
        return events

    async def start(
        self,
        member: Member,
        admission: Admission,
        missed: Sequence[LiveEvent] | None,
        offset: str | None,
    ) -> None:
        """Send a client what it missed since its offset, else the initial state; then go live."""
        if missed is None or offset is None:
            offset, missed = self._tail.offset, ()
            for event in await self.channel.initial(admission):
                self.tell(member, event, offset)
        for i in range(0, len(missed), _EVENTS_AT_ONCE):
            packet = self._packet(member.kind, missed[i : i + _EVENTS_AT_ONCE])
            if packet is not None:
                member.write(packet)
        member.go_live(missed[-1].place if missed else place_of(offset))
        self.channel.entered(member)

    def tell(self, member: Member, event: Event, offset: str | None = None) -> None:
        """Send one client an event that is not of the stream."""
        seen = self.channel.view(event, member.kind.audience)
        if seen is not None:
            member.write(single(_text(member.kind, seen, offset)))

    async def take(self, events: Sequence[LiveEvent]) -> None:
        """Tell events to the clients they concern; runs of the same rooms go out together."""
        runs = itertools.groupby(events, lambda live: tuple(self.channel.rooms_of(live.event)))
        for rooms, run in runs:
            together = list(run)
            for i in range(0, len(together), _EVENTS_AT_ONCE):
                await self._fan_out(rooms, together[i : i + _EVENTS_AT_ONCE])
        if self.channel.state is not None:
            for live in events:
                self._pushes.note(self.channel.state_rooms(live.event))

    def lose_place(self) -> None:
        """Tell every client that events are missing."""
        log.warning("live_events_missing", domain=self.channel.domain)
        for member in list(self._rooms[EVERYBODY]):
            member.lose_place()

    async def run(self) -> None:
        """Push states, until cancelled."""
        await asyncio.gather(self._pushes.run(), self._push_regularly())

    async def push_state(self, room: str) -> None:
        """Send a room its state, if somebody is there to see it."""
        members = self._rooms.get(room)
        if not members or self.channel.state is None:
            return
        try:
            event = await self.channel.state(room)
        except StanchionError as error:  # the store is away; a later push will tell
            log.info("state_not_pushed", domain=self.channel.domain, reason=str(error))
            return
        if event is None:
            return
        packets: dict[Kind, Packet | None] = {}
        for member in list(members):
            kind = member.kind
            if kind not in packets:
                seen = self.channel.view(event, kind.audience)
                packets[kind] = single(_text(kind, seen, None)) if seen else None
            if (packet := packets[kind]) is not None:
                member.take_state(packet)

    async def _push_regularly(self) -> None:
        while self.channel.state_every_s is not None:
            await asyncio.sleep(self.channel.state_every_s)
            self._pushes.note([EVERYBODY])

    async def _fan_out(self, rooms: Sequence[str], events: Sequence[LiveEvent]) -> None:
        packets: dict[Kind, Packet | None] = {}
        for n, member in enumerate(self._members(rooms), start=1):
            kind = member.kind
            if kind not in packets:
                packets[kind] = self._packet(kind, events)
            if (packet := packets[kind]) is not None:
                member.take(packet)
            if n % _CLIENTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _members(self, rooms: Sequence[str]) -> list[Member]:
        found = [members for room in rooms if (members := self._rooms.get(room))]
        return list(found[0]) if len(found) == 1 else list(set[Member]().union(*found))

    def _packet(self, kind: Kind, events: Sequence[LiveEvent]) -> Packet | None:
        texts, places = [], []
        for live in events:
            seen = self.channel.view(live.event, kind.audience)
            if seen is not None:
                texts.append(_text(kind, seen, live.offset))
                places.append(live.place)
        return Packet(texts, places) if texts else None

    def _drop(self, member: Member, room: str) -> None:
        members = self._rooms[room]
        members.discard(member)
        if not members and room != EVERYBODY:
            del self._rooms[room]


def _text(kind: Kind, event: Event, offset: str | None) -> bytes:
    return kind.form.write(event.name, encode_json(event.data), offset)
