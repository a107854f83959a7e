"""The HTTP application of one process, put together from plain arguments; opens nothing itself."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import falcon
from falcon.asgi import App
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from api import health
from api.auth.access import make_access
from api.auth.trail import Trail
from api.http import errors
from api.http.caller import remember_receive
from api.http.metrics import MetricsResource, RequestMetrics
from api.http.middleware import Entrance
from api.http.traces import Traces
from api.lifespan import Lifespan
from api.live.broadcaster import Broadcaster
from api.live.callers import LiveCallers
from api.live.gateway import LiveGateway
from api.live.limits import limits_of
from api.live.rooms import ChosenRooms
from api.live.tail import StreamTail
from api.mail.assembly import Mail
from api.messages.assembly import Messages
from api.openapi import document as openapi
from api.openapi import reference
from api.ops import pages as ops
from api.ops.assembly import Ops
from api.ops.metrics import OverviewCollector
from api.ops.overview import Sources
from api.pages import resources as pages
from api.people import routes as people
from api.rooms.assembly import make_rooms
from api.schedules.assembly import Schedules
from api.supervisor.addresses import reachable
from api.tickets.assembly import Tickets
from api.webhooks.assembly import Webhooks
from models import pulse
from models.database import Database
from models.mail import facts as mail_facts
from models.messages import facts
from models.rooms import facts as room_facts
from models.secrets import Secrets
from models.settings import Settings, host_of, is_loopback
from models.tracing import tracing

_LOOK_AROUND_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The connections of a process; whoever opened them closes them."""

    database: Database
    redis: Redis
    redis_for_waiting: Redis  # its answers may take as long as they like


class Application:
    """An ASGI application that can drain: the HTTP resources and what runs beside them."""

    def __init__(
        self,
        settings: Settings,
        secrets: Secrets,
        stores: Stores,
        *,
        process: int,
        now_ms: Callable[[], int],
        version: str,
        broker_check: health.BrokerCheck | None,
        is_multiprocess: bool,
    ) -> None:
        self._stores: Final = stores
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._broadcaster: Final = Broadcaster(stores.redis, kept_max=settings.events_kept_max)
        registry = CollectorRegistry()
        access = self._access = make_access(
            settings, secrets, stores.database, stores.redis, now_ms=now_ms
        )
        self._messages: Final = Messages(
            stores.database,
            stores.redis,
            stores.redis_for_waiting,
            self._broadcaster,
            settings=settings,
            access=access,
            process=process,
            now_ms=now_ms,
        )
        self._schedules: Final = Schedules(
            stores.database, self._messages.service, self._messages.bounds, settings, now_ms=now_ms
        )
        self._webhooks: Final = Webhooks(
            stores.database, self._messages.service.queues, settings, access, now_ms=now_ms
        )
        middleware: list[Any] = [
            *([Traces()] if tracing.is_on else []),
            Entrance(metrics := RequestMetrics(registry)),
            *_cors(settings),
            access.limits,
            access.guard,
            Trail(access.people, access.proxies, now_ms=now_ms),
            Lifespan(self._start, self._stop),
        ]
        self._app: Final = _falcon(middleware)
        monitor = health.HealthMonitor(
            stores.database,
            stores.redis,
            broker_check=broker_check,
            now_ms=now_ms,
            version=version,
        )
        health.add_routes(self._app, monitor)
        self._tickets: Final = Tickets(
            stores.database,
            stores.redis,
            stores.redis_for_waiting,
            settings,
            access,
            now_ms=now_ms,
        )
        self._rooms: Final = make_rooms(
            self._app,
            settings,
            access,
            database=stores.database,
            client=stores.redis,
            client_for_waiting=stores.redis_for_waiting,
            publisher=self._broadcaster,
            now_ms=now_ms,
        )
        self._mail: Final = Mail(
            stores.database,
            stores.redis_for_waiting,
            settings,
            access,
            self._broadcaster,
            now_ms=now_ms,
        )
        self._ops: Final = Ops(
            Sources(
                monitor=monitor,
                messages=self._messages.service,
                registry=self._rooms.registry,
                reports=self._rooms.reports,
                mail=self._mail.service,
                tickets=self._tickets.service,
                now_ms=now_ms,
            ),
            stores.database,
            _tail(stores, pulse.DOMAIN, settings),
            [self._messages.tail, self._tickets.tail, self._rooms.live.tail, self._mail.tail],
            access.guard,
        )
        self._live: Final = LiveGateway(
            [
                self._messages.channel(),
                self._tickets.channel,
                self._rooms.live.channel(),
                self._mail.channel(),
                self._ops.live.channel(),
            ],
            {
                facts.DOMAIN: self._messages.tail,
                self._tickets.channel.domain: self._tickets.tail,
                room_facts.DOMAIN: self._rooms.live.tail,
                mail_facts.DOMAIN: self._mail.tail,
                pulse.DOMAIN: self._ops.live.tail,
            },
            callers=LiveCallers(access, is_public=_is_public(settings)),
            origins=access.origins,
            rooms=ChosenRooms(stores.redis),
            limits=limits_of(settings),
            sockets=lambda rights: [
                *self._messages.sockets(rights),
                *self._rooms.live.sockets(limits_of(settings)),
                *self._mail.sockets(rights, limits_of(settings)),
            ],
        )
        routes = [
            *self._ops.add_routes(self._app),
            *self._messages.add_routes(self._app, self._ops.house.seen_by),
            *self._schedules.add_routes(self._app),
            *self._webhooks.add_routes(self._app),
            *self._mail.add_routes(self._app),
            *people.add_routes(
                self._app,
                access,
                token_s=settings.token_s,
                body_bytes_max=settings.body_bytes_max,
                now_ms=now_ms,
            ),
            *self._tickets.add_routes(
                self._app, monitor, metrics, lambda: self._live.connection_count
            ),
        ]
        self._metrics: Final = MetricsResource(
            registry,
            self._messages.service,
            lambda: self._live.connection_count,
            collectors=[self._rooms.collector, OverviewCollector(self._ops.overview)],
            is_multiprocess=is_multiprocess,
        )
        self._app.add_route("/metrics", self._metrics)
        _describe(self._app, [*routes, *self._rooms.routes], version=version)
        pages.add_routes(
            self._app,
            _facts(settings, version, needs_key=lambda: bool(access.keys.exist)),
            monitor=monitor,
            messages=self._messages.service,
            now=self._ops.now.sentences,
            user_name=access.name_of,
            proxies=access.proxies,
            more=[
                self._tickets.add_pages,
                ops.pages(access, self._ops.overview, mail_ids_max=settings.mail_ids_max),
            ],
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's request."""
        if self._live.serves(scope):
            await self._live(scope, receive, send)
            return
        if scope["type"] == "http":
            remember_receive(scope, receive)
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Let go of everybody who waits: the server is about to stop."""
        self._messages.drain()
        self._webhooks.drain()
        self._live.drain()

    async def _start(self) -> None:
        await self._access.keys.refresh()
        await self._rooms.start()
        for run in (
            self._broadcaster.run(),
            self._messages.run(),
            self._live.run(),
            self._ops.live.run(),
            self._look_around(),
            self._access.keys.run(),
            *self._rooms.runs(),
            self._tickets.run(),
            self._mail.run(),
        ):
            self._tasks.add(asyncio.create_task(run))

    async def _stop(self) -> None:
        self.drain()
        await self._messages.close()
        await self._tickets.close()
        self._mail.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._broadcaster.flush(), 1.0)
        self._access.people.close()
        await self._stores.redis.aclose()
        await self._stores.redis_for_waiting.aclose()
        await asyncio.to_thread(self._stores.database.close)
        await asyncio.to_thread(tracing.close)

    async def _look_around(self) -> None:
        """Tell who waits, and have the store asked more often while no wake-up can arrive."""
        while True:
            self._metrics.note_waiting()
            self._messages.look_around()
            await asyncio.sleep(_LOOK_AROUND_S)


def _describe(app: App[Any, Any], routes: list[tuple[str, object]], *, version: str) -> None:
    openapi.add_routes(app, routes, version=version)
    reference.add_routes(app)


def _falcon(middleware: list[Any]) -> App[Any, Any]:
    app: App[Any, Any] = App(middleware=middleware)
    # The contract of tickets writes some of its paths with a slash at the end.
    app.req_options.strip_url_path_trailing_slash = True
    errors.add_handlers(app)
    return app


def _facts(settings: Settings, version: str, *, needs_key: Callable[[], bool]) -> pages.Facts:
    return pages.Facts(
        version=version,
        address=reachable(settings.bind[0]),
        flower_url=f"http://{reachable(settings.flower_bind)}",
        needs_key=needs_key,
    )


def _tail(stores: Stores, domain: str, settings: Settings) -> StreamTail:
    return StreamTail(
        stores.redis_for_waiting,
        domain,
        readers_max=settings.event_readers_max,
        buffer_max=settings.event_buffer_max,
    )


def _is_public(settings: Settings) -> bool:
    addresses = (*settings.bind, settings.relay_bind)
    return not all(is_loopback(host_of(address)) for address in addresses)


def _cors(settings: Settings) -> list[Any]:
    if not settings.cors_origins:
        return []
    return [falcon.CORSMiddleware(allow_origins=list(settings.cors_origins))]
