"""What needs a person first: a rule over what the overview shows."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from api.ops.bodies import Component, MailView, MessagesView, Notice, RoomLine, TicketsView

_MINUTE_S: Final = 60
_MESSAGE_WAITS_S_MAX: Final = 15 * _MINUTE_S
_MAIL_WAITS_S_MAX: Final = 24 * 60 * _MINUTE_S
_PERSON_WAITS_S_MAX: Final = 45 * _MINUTE_S
_VISITOR_WAITS_S_MAX: Final = 60 * _MINUTE_S
_FULL: Final = 0.9  # of the longest line that a room may have
_FAULT, _WARNING = "fault", "warning"
_ORDER: Final = {_FAULT: 0, _WARNING: 1}


class Seen(Struct, frozen=True, kw_only=True):
    """What was seen of each domain; None is what could not be seen."""

    components: dict[str, str]
    messages: MessagesView | None
    rooms: list[RoomLine] | None
    rooms_oldest_s: int | None
    mail: MailView | None
    tickets: TicketsView | None


def notices(seen: Seen) -> list[Notice]:
    """Return what is wrong, the worst first and then in the order of the page."""
    found = [
        *_of_components(seen.components),
        *_of_messages(seen.messages),
        *_of_rooms(seen.rooms or [], seen.rooms_oldest_s or 0),
        *_of_mail(seen.mail),
        *_of_tickets(seen.tickets),
    ]
    return sorted(found, key=lambda each: _ORDER[each.level])


def _of_components(components: dict[str, str]) -> Iterator[Notice]:
    for name, state in components.items():
        if state == Component.UNHEALTHY:
            yield Notice(kind="component_down", level=_FAULT, way="overview", about=name)
        elif state == Component.DEGRADED:
            yield Notice(kind="component_degraded", level=_WARNING, way="overview", about=name)


def _of_messages(seen: MessagesView | None) -> Iterator[Notice]:
    if seen is None:
        return
    if seen.dead:
        yield Notice(kind="messages_dead", level=_WARNING, way="messages", count=seen.dead)
    if (seen.oldest_seconds or 0) > _MESSAGE_WAITS_S_MAX:
        yield Notice(
            kind="messages_old",
            level=_WARNING,
            way="messages",
            count=(seen.oldest_seconds or 0) // _MINUTE_S,
            id=seen.oldest_queue or "",
        )


def _of_rooms(seen: list[RoomLine], oldest_s: int) -> Iterator[Notice]:
    for room in seen:
        if room.waiting is None:
            continue
        if room.line_max and room.waiting >= room.line_max * _FULL:
            yield _of_room(room, "room_full", _FAULT)
        elif room.waiting and room.status != "active":
            yield _of_room(room, "room_stands", _WARNING)
        elif room.status != "active":
            yield _of_room(room, "room_paused", _WARNING)
    if oldest_s > _VISITOR_WAITS_S_MAX:
        yield Notice(kind="visitor_waits", level=_WARNING, way="rooms", count=oldest_s // _MINUTE_S)


def _of_room(room: RoomLine, kind: str, level: str) -> Notice:
    return Notice(
        kind=kind,
        level=level,
        way="rooms",
        about=room.name,
        count=room.waiting or 0,
        id=room.queue_id,
    )


def _of_mail(seen: MailView | None) -> Iterator[Notice]:
    if seen is None:
        return
    for host in seen.hosts:
        if not host.is_alive:
            yield Notice(kind="mail_host_silent", level=_FAULT, way="mail", about=host.name)
    for name, count in seen.too_many.items():
        yield Notice(kind="mail_many", level=_WARNING, way="mail", about=name, count=count)
    if seen.frozen:
        yield Notice(kind="mail_frozen", level=_WARNING, way="mail", count=seen.frozen)
    if (seen.oldest_seconds or 0) > _MAIL_WAITS_S_MAX:
        hours = (seen.oldest_seconds or 0) // (60 * _MINUTE_S)
        yield Notice(kind="mail_old", level=_WARNING, way="mail", count=hours)


def _of_tickets(seen: TicketsView | None) -> Iterator[Notice]:
    if seen is None:
        return
    if seen.waiting and not seen.counters_open:
        yield Notice(kind="hall_closed", level=_FAULT, way="tickets", count=seen.waiting)
    if (seen.longest_seconds or 0) > _PERSON_WAITS_S_MAX:
        yield Notice(
            kind="person_waits",
            level=_WARNING,
            way="tickets",
            count=(seen.longest_seconds or 0) // _MINUTE_S,
        )
