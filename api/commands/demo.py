"""`stanchion demo`: something of each kind of queue, so that every page shows something.

It asks the services that requests ask, on the stores themselves, and adds only what is not there:
a second start in a quiet hall changes nothing that somebody made meanwhile.
"""

import argparse
import asyncio
import sys
from typing import Any, Final

from api.live.broadcaster import Broadcaster
from api.preconditions import require_schema
from api.rooms.admin_commands import actor, with_stores
from api.tickets.assembly import local_timezone
from models.clock import now_ms
from models.database import Database
from models.messages.rules import NewMessage, Once
from models.messages.service import MessageLimits, MessageService
from models.rooms.administration import Administration
from models.rooms.mirror import Mirror
from models.rooms.registry import Registry
from models.rooms.room import Room, RoomExistsError
from models.settings import Settings
from models.tickets.acting import Acting
from models.tickets.hall_service import HallService
from models.tickets.herald import Herald
from models.tickets.refusals import BranchClosedError, NameTakenError
from models.tickets.rules import Move, NewTicket, Priority, Staff, Status
from models.tickets.service import TicketService
from models.tickets.turnstile import Turnstile

_TELL_TIMEOUT_S: Final = 2.0
_DAY_MS: Final = 86_400_000
# Of the processes that write messages at the same time, the last.
_PROCESS: Final = 31
# Procedures by the counter that does them, each with its minutes.
_HALL: Final = {
    "Quầy Tư pháp": (("Chứng thực giấy tờ", 8), ("Chứng thực chữ ký", 6)),
    "Quầy Hộ tịch": (("Đăng ký khai sinh", 12), ("Đăng ký kết hôn", 15)),
}
_TICKETS: Final = (Priority.NORMAL, Priority.NORMAL, Priority.ELDERLY, Priority.NORMAL)
_ROOM: Final = Room(id="demo", name="Demo", target_url="https://example.com/")
_MESSAGES: Final = 12


def demo(settings: Settings, _options: argparse.Namespace) -> int:
    """Fill the house with something of each kind of queue."""
    require_schema(settings)
    for line in with_stores(settings, lambda database, client: _fill(settings, database, client)):
        print(line)
    return 0


async def _fill(settings: Settings, database: Database, client: Any) -> list[str]:
    broadcaster = Broadcaster(client, kept_max=settings.events_kept_max)
    lines = [
        await _tickets(settings, database, client),
        await _room(settings, database, client, broadcaster),
        await _messages(database, broadcaster),
    ]
    try:
        await asyncio.wait_for(broadcaster.flush(), _TELL_TIMEOUT_S)
    except TimeoutError:
        print("stanchion: Redis is away, so nobody who watches was told", file=sys.stderr)
    return lines


async def _tickets(settings: Settings, database: Database, client: Any) -> str:
    """Make two counters with procedures, and people at them unless somebody is there."""
    herald = Herald(database, client, kept_max=settings.events_kept_max, clock=now_ms)
    turnstile = Turnstile(database, tell=herald.tell)
    service = TicketService(database, turnstile)
    halls = HallService(database, turnstile, timezone=settings.timezone or local_timezone())
    by = actor()
    acting = Acting(staff=Staff(user_id=None, username=by.name), actor=by)
    counters = await _counters(halls, acting)
    hall = await service.hall(now_ms=now_ms())
    taken = [
        each
        for each in hall.desks
        if each.counter.id in counters and (each.waiting or each.present or each.parked)
    ]
    try:
        count = 0 if taken else await _people(service, counters, acting)
    except BranchClosedError:
        count = 0
    await turnstile.close()
    try:
        await asyncio.wait_for(herald.flush(), _TELL_TIMEOUT_S)
    except TimeoutError:
        print("stanchion: Redis is away; displays are told when it is back", file=sys.stderr)
    return f"tickets   {len(counters)} counters, {count} new tickets: /kiosk /display /officer"


async def _counters(halls: HallService, acting: Acting) -> dict[int, list[int]]:
    """Return the procedures of each counter; what is there by name stays as it is."""
    ids: dict[int, list[int]] = {}
    for name, procedures in _HALL.items():
        known = {each.name: each.id for each in await halls.counters()}
        if name not in known:
            made = await halls.add_counter({"name": name}, acting, branch_id=None, now_ms=now_ms())
            known[name] = made.id
        offered = ids[known[name]] = []
        for procedure, minutes in procedures:
            values = {"name": procedure, "service_min": minutes, "counter_ids": [known[name]]}
            try:
                saved = await halls.save_procedure(None, values, acting, now_ms=now_ms())
            except NameTakenError:
                continue  # somebody has one of this name, done wherever they say
            offered.append(saved.id)
    return ids


async def _people(service: TicketService, counters: dict[int, list[int]], acting: Acting) -> int:
    """Hand out tickets; at the first counter somebody is being served."""
    for counter_id, procedures in counters.items():
        for place, priority in enumerate(_TICKETS):
            procedure_id = procedures[place % len(procedures)] if procedures else None
            new = NewTicket(counter_id=counter_id, procedure_id=procedure_id, priority=priority)
            await service.issue(new, now_ms=now_ms())
    first = await service.call_next(next(iter(counters)), acting, now_ms=now_ms())
    serving = Move(status=Status.SERVING)
    await service.move(first.ticket.id, serving, acting, now_ms=now_ms())
    return len(counters) * len(_TICKETS)


async def _room(settings: Settings, database: Database, client: Any, told: Broadcaster) -> str:
    registry = Registry(database)
    rooms = Administration(
        database,
        registry,
        Mirror(client, lambda: registry.rooms),
        told,
        rooms_max=settings.rooms_max,
    )
    try:
        await rooms.create(_ROOM, actor(), now_ms=now_ms())
    except RoomExistsError:
        return f"rooms     {_ROOM.id} is there: /wait/{_ROOM.id}"
    return f"rooms     {_ROOM.id} is open: /wait/{_ROOM.id}"


async def _messages(database: Database, told: Broadcaster) -> str:
    """Put messages in, once a day."""
    service = MessageService(database, told, clock=now_ms, process=_PROCESS, limits=MessageLimits())
    try:
        stored = await service.enqueue(
            [
                NewMessage(payload=f'{{"hello": "world", "number": {number}}}', type="greeting")
                for number in range(1, _MESSAGES + 1)
            ],
            once=Once("stanchion-demo", _DAY_MS),
            now_ms=now_ms(),
        )
    finally:
        service.drain()
        await service.close()
    count = 0 if stored.is_repeat else len(stored.ids)
    return f"messages  {count} new: /"
