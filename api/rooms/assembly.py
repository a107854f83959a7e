"""All of one process that has to do with rooms, put together from settings and stores."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from falcon.asgi import App
from redis.asyncio import Redis

from api.auth.access import Access
from api.live.tail import StreamTail
from api.rooms import admin, admin_reports, codes, draws, page, sessions, verifying, visitors
from api.rooms.console import Overview
from api.rooms.live import RoomsLive
from api.rooms.metrics import RoomsCollector
from api.rooms.telling import Teller
from models.database import Database
from models.events import Publisher
from models.rooms import facts
from models.rooms.administration import Administration
from models.rooms.draw_records import DrawRecords
from models.rooms.inside import Inside
from models.rooms.invitations import Invitations
from models.rooms.late_draws import LateDraws
from models.rooms.leftovers import Leftovers
from models.rooms.mirror import Mirror
from models.rooms.moves import events_of_reap, events_of_tick
from models.rooms.outlooks import Outlooks
from models.rooms.passes import Passes
from models.rooms.registry import Registry
from models.rooms.replica import Replica
from models.rooms.reports import Reports
from models.rooms.rules import Reaped, Ticked
from models.rooms.service import RoomService
from models.rooms.sight import Sight
from models.rooms.trips import Trips
from models.rooms.visitors import Notes
from models.rooms.visits import Visits
from models.settings import Settings

# A visitor's words are a few hundred bytes; a body beyond this is something else.
_BODY_BYTES_MAX: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms as one process serves them; `routes` are for the reference."""

    registry: Registry
    replica: Replica
    mirror: Mirror
    sight: Sight
    service: RoomService
    visits: Visits
    notes: Notes
    late_draws: LateDraws
    leftovers: Leftovers
    live: RoomsLive
    reports: Reports
    collector: RoomsCollector
    routes: list[tuple[str, object]]

    async def start(self) -> None:
        """Learn which rooms there are, before the first request asks."""
        await self.registry.refresh()

    def runs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what runs beside the requests, until cancelled."""
        return (
            *(self.registry.run(), self.mirror.run(), self.replica.run(), self.notes.run()),
            *(self.live.tail.run(), self.live.teller.run(), self.late_draws.run()),
            self.leftovers.run(),
        )


def make_rooms(
    app: App[Any, Any],
    settings: Settings,
    access: Access,
    *,
    database: Database,
    client: Redis,
    client_for_waiting: Redis,
    publisher: Publisher,
    now_ms: Callable[[], int],
) -> Rooms:
    """Build it and serve its paths; opens nothing."""
    registry = Registry(database)
    mirror = Mirror(client, lambda: registry.rooms)

    async def repair(room_id: str) -> bool:
        room = registry.known(room_id)
        return room is not None and await mirror.write(room)

    def tell(room_id: str, ticked: Ticked | None, reaped: Reaped | None) -> None:
        if ticked is not None:
            publisher.publish(facts.DOMAIN, events_of_tick(room_id, ticked))
        if reaped is not None:
            publisher.publish(facts.DOMAIN, events_of_reap(room_id, reaped))

    replica = Replica(client, on_tick=tell)
    sight = Sight(replica, Outlooks(replica), repair, clock=now_ms)
    trips = Trips(client, repair)
    passes = Passes(access.issuer, clock=now_ms, kept_max=settings.visitor_tokens_kept_max)
    visits = Visits(registry, sight, passes, trips, publisher, clock=now_ms)
    notes = Notes(client, notes_max=settings.room_notes_max)
    service = RoomService(
        registry=registry,
        sight=sight,
        passes=passes,
        trips=trips,
        visits=visits,
        notes=notes,
        publisher=publisher,
        clock=now_ms,
    )
    live = RoomsLive(
        teller=Teller(service, sight, registry),
        overview=Overview(registry, replica),
        tail=StreamTail(
            client_for_waiting,
            facts.DOMAIN,
            readers_max=settings.event_readers_max,
            buffer_max=settings.event_buffer_max,
        ),
    )
    desk = visitors.Desk(
        service=service,
        visits=visits,
        proxies=access.proxies,
        body_bytes_max=min(_BODY_BYTES_MAX, settings.body_bytes_max),
    )
    about = page.WaitFacts(access.proxies, settings.session_parameter, now_ms)
    page.add_routes(app, about, registry, service)
    reports = Reports(database, client)
    office = admin.Office(
        administration=Administration(
            database, registry, mirror, publisher, rooms_max=settings.rooms_max
        ),
        reports=reports,
        inside=Inside(database, client, registry, publisher),
        proxies=access.proxies,
        body_bytes_max=settings.body_bytes_max,
        now_ms=now_ms,
    )
    return Rooms(
        registry=registry,
        replica=replica,
        mirror=mirror,
        sight=sight,
        service=service,
        visits=visits,
        notes=notes,
        late_draws=LateDraws(database, client, registry, clock=now_ms),
        leftovers=Leftovers(database, client, registry, mirror),
        live=live,
        reports=reports,
        collector=RoomsCollector(registry, reports),
        routes=[
            *_serve(app, desk, DrawRecords(database, registry, replica)),
            *verifying.add_routes(app, visits, settings.session_parameter, now_ms=now_ms),
            *admin.add_routes(app, office),
            *admin_reports.add_routes(app, office),
            *codes.add_routes(app, office, Invitations(database, registry)),
        ],
    )


def _serve(
    app: App[Any, Any], desk: visitors.Desk, records: DrawRecords
) -> list[tuple[str, object]]:
    queue, session = "/api/v1/queues/{queue_id}", "/api/v1/sessions/{session_id}"
    routes: list[tuple[str, object]] = [
        (f"{queue}/enqueue", visitors.EnqueueResource(desk)),
        (f"{queue}/status", visitors.StatusResource(desk)),
        (f"{queue}/heartbeat", visitors.HeartbeatResource(desk)),
        (f"{queue}/position", visitors.PositionResource(desk)),
        (f"{queue}/draw", draws.DrawResource(records, body_bytes_max=desk.body_bytes_max)),
        (session, sessions.SessionResource(desk)),
        (f"{session}/activity", sessions.ActivityResource(desk)),
    ]
    for path, resource in routes:
        app.add_route(path, resource)
    return routes
