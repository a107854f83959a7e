"""Everything of one process that serves messages, put together from settings and stores."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import redis.asyncio
from falcon.asgi import App

from api.auth.access import Access
from api.live.broadcaster import Broadcaster, WakeListener
from api.live.channel import Channel
from api.live.rights import Rights
from api.live.tail import StreamTail
from api.messages import activity, messages
from api.messages.activity import newest_entry_of
from api.messages.bounds import MessageBounds
from api.messages.consumer import Offer
from api.messages.events import EventsResource, House, Readings, channel
from api.messages.stream import MessageStream
from models.database import Database
from models.messages import facts
from models.messages.activity import Activity
from models.messages.anomalies import thresholds_of
from models.messages.rules import ATTEMPTS_DEFAULT, LEASE_DEFAULT_MS
from models.messages.service import MessageLimits, MessageService
from models.messages.views import BrowseLimits
from models.settings import Settings

_EVENTS: Final = "/api/queue/events"
_RECHECK_S: Final = 5.0
_RECHECK_WITHOUT_REDIS_S: Final = 1.0


class Messages:
    """The messages of one process: services, resources, and what runs beside the requests."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        client_for_waiting: redis.asyncio.Redis,
        broadcaster: Broadcaster,
        *,
        settings: Settings,
        access: Access,
        process: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._access: Final = access
        self._settings: Final = settings
        self._now_ms: Final = now_ms
        self._broadcaster: Final = broadcaster
        self._draining: Final = asyncio.Event()
        self.service: Final = MessageService(
            database, broadcaster, clock=now_ms, process=process, limits=_limits(settings)
        )
        self._activity: Final = Activity(
            database,
            newest_entry_of(client, facts.DOMAIN),
            thresholds_of(settings.anomaly_waiting_s, settings.anomaly_failures_max),
        )
        self.tail: Final = StreamTail(
            client_for_waiting,
            facts.DOMAIN,
            readers_max=settings.event_readers_max,
            buffer_max=settings.event_buffer_max,
        )
        self._listener: Final = WakeListener(
            client_for_waiting, facts.DOMAIN, broadcaster.name, self.service.wake
        )
        self._readings: Final = Readings(self.service)
        self.bounds: Final = _bounds(settings)
        self._offer: Final = Offer(
            service=self.service,
            bounds=self.bounds,
            prefetch_max=settings.stream_prefetch_max,
            buffer_bytes_max=settings.socket_buffer_bytes_max,
            now_ms=now_ms,
        )

    def add_routes(self, app: App[Any, Any], house: House) -> list[tuple[str, object]]:
        """Serve messages, and in their stream what `house` says; returns the routes."""
        now_ms = self._now_ms
        events = EventsResource(
            self._readings,
            self.tail,
            self._access.guard,
            self._draining,
            house=house,
            recheck_s=self._settings.live_recheck_s,
        )
        app.add_route(_EVENTS, events)
        return [
            *messages.add_routes(app, self.service, self.bounds, now_ms=now_ms),
            *activity.add_routes(app, self._activity, now_ms=now_ms),
            (_EVENTS, events),
        ]

    def channel(self) -> Channel:
        """Return what is served on Socket.IO."""
        return channel(self._readings)

    def sockets(self, rights: Rights) -> list[MessageStream]:
        """Return what is spoken on WebSockets of its own."""
        return [MessageStream(self._offer, rights)]

    async def run(self) -> None:
        """Hear what arrives, and tell live clients, until cancelled."""
        await asyncio.gather(self.tail.run(), self._listener.run())

    def look_around(self) -> None:
        """Have the store asked more often while no wake-up can arrive."""
        away = self._broadcaster.is_away or not self._listener.is_listening
        self.service.set_recheck(_RECHECK_WITHOUT_REDIS_S if away else _RECHECK_S)

    def drain(self) -> None:
        """Let go of everybody who waits: the server is about to stop."""
        self._draining.set()
        self.service.drain()
        self.tail.wake_readers()

    async def close(self) -> None:
        """Finish what is being written."""
        await self.service.close()


def _limits(settings: Settings) -> MessageLimits:
    return MessageLimits(
        flush_rows_max=settings.flush_rows_max,
        flush_waiting_max=settings.flush_waiting_max,
        long_polls_max=settings.long_polls_max,
        # A default of the contract above its limit is the limit.
        attempts_default=min(ATTEMPTS_DEFAULT, settings.attempts_max),
        lease_default_ms=min(LEASE_DEFAULT_MS, settings.lease_max_s * 1000),
        browse=BrowseLimits(
            rows_max=settings.list_messages_max,
            depth_max=settings.list_depth_max,
            looked_max=settings.list_looked_max,
            bytes_max=settings.list_bytes_max,
        ),
    )


def _bounds(settings: Settings) -> MessageBounds:
    return MessageBounds(
        body_bytes_max=settings.body_bytes_max,
        batch_body_bytes_max=settings.batch_body_bytes_max,
        batch_messages_max=settings.batch_messages_max,
        attempts_max=settings.attempts_max,
        lease_max_s=settings.lease_max_s,
        long_poll_max_s=settings.long_poll_max_s,
        dedup_s=settings.dedup_s,
        idempotency_s=settings.idempotency_s,
    )
