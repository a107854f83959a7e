"""`GET /api/ops/overview`: every queue at a glance, and what needs a person first."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from falcon.asgi import Request, Response

from api.health import HealthMonitor
from api.openapi.operations import Answer, operation
from api.ops import attention
from api.ops.bodies import (
    MailHostView,
    MailView,
    MessagesView,
    OverviewView,
    RoomLine,
    TicketsView,
)
from api.ops.hour import Hour
from models.clock import iso_utc
from models.errors import UnavailableError
from models.mail.alarms import AlarmKind
from models.mail.service import MailService
from models.messages.service import MessageService
from models.rooms.registry import Registry
from models.rooms.reports import Reports
from models.tickets.rules import CounterStatus
from models.tickets.service import TicketService

# A console is most wanted when something hangs: what does not answer by then is told as unknown.
_PATIENCE_S: Final = 2.0
_encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whom the overview asks."""

    monitor: HealthMonitor
    messages: MessageService
    registry: Registry
    reports: Reports
    mail: MailService
    tickets: TicketService
    now_ms: Callable[[], int]


class Overview:
    """Looks at every domain; what one cannot say does not hide what the others can."""

    def __init__(self, sources: Sources, hour: Hour) -> None:
        self._ask: Final = sources
        self._hour: Final = hour

    async def view(self) -> OverviewView:
        """Return all queues as of now; takes some 2 s at most."""
        now_ms = self._ask.now_ms()
        components, messages, rooms, rooms_oldest_s, mail, tickets = await asyncio.gather(
            _known(self._components()),
            _known(self._messages(now_ms)),
            _known(self._rooms()),
            _known(self._hour.oldest_s("rooms")),
            _known(self._mail(now_ms)),
            _known(self._tickets(now_ms)),
        )
        seen = attention.Seen(
            components=components or {},
            messages=messages,
            rooms=rooms,
            rooms_oldest_s=rooms_oldest_s,
            mail=mail,
            tickets=tickets,
        )
        return OverviewView(
            at=iso_utc(now_ms),
            components=seen.components,
            attention=attention.notices(seen),
            messages=messages,
            rooms=rooms,
            rooms_oldest_seconds=rooms_oldest_s,
            mail=mail,
            tickets=tickets,
        )

    async def _components(self) -> dict[str, str]:
        states = await self._ask.monitor.components()
        return {name: state.value for name, state in states.items()}

    async def _messages(self, now_ms: int) -> MessagesView:
        status = await self._ask.messages.status()
        counts = status.counts
        return MessagesView(
            queued=counts.queued,
            delayed=counts.delayed,
            processing=counts.processing,
            acknowledged=counts.acknowledged,
            dead=counts.dead,
            oldest_seconds=_seconds(status.oldest_queued_at_ms, now_ms),
            oldest_queue=status.oldest_queue,
        )

    async def _rooms(self) -> list[RoomLine]:
        rooms = sorted(self._ask.registry.rooms.values(), key=lambda room: room.id)
        try:
            readings = await self._ask.reports.readings([room.id for room in rooms])
            is_known = True
        except UnavailableError:
            readings, is_known = {}, False
        lines = []
        for room in rooms:
            reading = readings.get(room.id)
            nobody = 0 if is_known else None  # the store has no room that nobody joined yet
            lines.append(
                RoomLine(
                    queue_id=room.id,
                    name=room.name,
                    status=room.status.value,
                    waiting=nobody if reading is None else reading.waiting,
                    inside=nobody if reading is None else reading.inside,
                    capacity=room.capacity,
                    line_max=room.line_max,
                    admission_rate=room.rate_per_s,
                )
            )
        return lines

    async def _mail(self, now_ms: int) -> MailView:
        mail = self._ask.mail
        totals, hosts, trend, alarms = await asyncio.gather(
            mail.totals(), mail.hosts(), mail.trend(now_ms=now_ms), mail.alarms()
        )
        held = {host.name: host.messages for host in hosts}
        return MailView(
            messages=totals.messages,
            deferred=totals.by_status.get("deferred", 0),
            frozen=totals.by_status.get("frozen", 0),
            oldest_seconds=_seconds(totals.oldest_at_ms, now_ms),
            trend=trend.value,
            hosts=[
                MailHostView(
                    name=host.name, is_alive=host.is_alive(now_ms=now_ms), messages=host.messages
                )
                for host in hosts
            ],
            too_many={
                each.host: held.get(each.host, each.value)
                for each in alarms
                if each.kind is AlarmKind.MESSAGES
            },
        )

    async def _tickets(self, now_ms: int) -> TicketsView:
        desks = (await self._ask.tickets.hall(now_ms=now_ms)).desks
        waiting = [ticket.created_at_ms for desk in desks for ticket in desk.waiting]
        return TicketsView(
            waiting=len(waiting),
            at_counters=sum(len(desk.present) for desk in desks),
            longest_seconds=_seconds(min(waiting, default=None), now_ms),
            counters_open=sum(desk.counter.status is CounterStatus.ACTIVE for desk in desks),
            counters=len(desks),
        )


class OverviewResource:
    """`/api/ops/overview`."""

    def __init__(self, overview: Overview) -> None:
        self._overview: Final = overview

    @operation(
        "Show every queue at a glance",
        answers={200: Answer(description="All queues now", body=OverviewView)},
        security=("Session", "Bearer"),
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how each queue stands, and what needs a person first.

        A domain is null while it cannot be seen; the answer itself takes 2 s at most.
        """
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(await self._overview.view())


async def _known(asked: Awaitable[T]) -> T | None:
    try:
        return await asyncio.wait_for(asked, _PATIENCE_S)
    except (UnavailableError, TimeoutError):
        return None


def _seconds(since_ms: int | None, now_ms: int) -> int | None:
    return None if since_ms is None else max(now_ms - since_ms, 0) // 1000
