"""Three health answers, one for each contract that asks, over the same real components.

`/health` is 503 without SQL only, the others also without Redis. A worker or beat that does not
tick degrades a component and leaves the status at 200, so that no proxy takes a serving API away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import redis.asyncio
from falcon import HTTP_OK, HTTP_SERVICE_UNAVAILABLE
from falcon.asgi import App, Request, Response
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from models.clock import iso_utc
from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.vitals import Health, beat_health, read_vitals_async, workers_health

_PATIENCE_S: Final = 3.0
# Many probes ask at once; one reading serves all of them for this long.
_FRESH_S: Final = 1.0
BOTH: Final = ("database", "redis")
_TIMED_OUT: Final = (TimeoutError, asyncio.TimeoutError)

BrokerCheck = Callable[[], bool]


class HealthMonitor:
    """Looks at the components, at most once in _FRESH_S."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        *,
        broker_check: BrokerCheck | None,
        now_ms: Callable[[], int],
        version: str,
    ) -> None:
        """`broker_check` blocks and says whether a broker of its own answers; None: it is Redis."""
        self.version: Final = version
        self.now_ms: Final = now_ms
        self._database: Final = database
        self._client: Final = client
        self._broker_check: Final = broker_check
        self._started_s: Final = time.monotonic()
        self._components: dict[str, Health] = {}
        self._read_at_s = -_FRESH_S
        self._lock: Final = asyncio.Lock()

    @property
    def uptime_s(self) -> int:
        """Return for how long this process has served."""
        return int(time.monotonic() - self._started_s)

    async def components(self) -> dict[str, Health]:
        """Return how each component is."""
        async with self._lock:
            if time.monotonic() - self._read_at_s >= _FRESH_S:
                database, (redis_health, beat, workers) = await asyncio.gather(
                    self._database_health(), self._redis_health()
                )
                self._components = {
                    "database": database,
                    "redis": redis_health,
                    "broker": await self._broker_health(redis_health),
                    "workers": workers,
                    "beat": beat,
                }
                self._read_at_s = time.monotonic()
            return self._components

    async def _database_health(self) -> Health:
        try:
            await asyncio.wait_for(self._database.ping(), _PATIENCE_S)
        except (UnavailableError, *_TIMED_OUT):
            return Health.UNHEALTHY
        return Health.HEALTHY

    async def _redis_health(self) -> tuple[Health, Health, Health]:
        """Return the health of Redis, beat and the workers; the signs of life lie in Redis."""
        try:
            vitals = await asyncio.wait_for(read_vitals_async(self._client), _PATIENCE_S)
        except (*RedisAwayError, *_TIMED_OUT):
            return Health.UNHEALTHY, Health.DEGRADED, Health.DEGRADED
        now_ms = self.now_ms()
        return (
            Health.HEALTHY,
            beat_health(vitals, now_ms=now_ms),
            workers_health(vitals, now_ms=now_ms),
        )

    async def _broker_health(self, redis_health: Health) -> Health:
        if self._broker_check is None:
            return redis_health
        try:
            answers = await asyncio.wait_for(asyncio.to_thread(self._broker_check), _PATIENCE_S)
        except _TIMED_OUT:
            answers = False
        return Health.HEALTHY if answers else Health.UNHEALTHY


def broker_answers(url: str) -> bool:
    """Say whether a broker takes connections, in kombu's spelling of its address; blocks."""
    try:
        with Connection(url, connect_timeout=_PATIENCE_S) as connection:  # type: ignore[no-untyped-call]
            connection.ensure_connection(max_retries=1, timeout=_PATIENCE_S)
    except (OperationalError, OSError):
        return False
    return True


class HealthResource:
    """One of the three answers; each carries the others' fields where they do not clash."""

    def __init__(
        self,
        monitor: HealthMonitor,
        *,
        ok: str,
        needs: tuple[str, ...],
        beside: Callable[[], Awaitable[Mapping[str, object]]] | None = None,
    ) -> None:
        """`ok` is the contract's good word; without one of `needs` the status is 503.

        `beside` returns what a domain has to say beside it.
        """
        self._beside: Final = beside
        self._monitor: Final = monitor
        self._ok: Final = ok
        self._needs: Final = needs

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how the server is."""
        components = await self._monitor.components()
        serves = all(components[name] is not Health.UNHEALTHY for name in self._needs)
        status = self._ok if serves else "unhealthy"
        moment = iso_utc(self._monitor.now_ms())
        media: dict[str, Any] = {
            "status": status,
            "timestamp": moment,
            "version": self._monitor.version,
            "uptime_seconds": self._monitor.uptime_s,
            "components": {name: health.value for name, health in components.items()},
            "success": serves,
            "data": {
                "status": "healthy" if serves else "unhealthy",
                "timestamp": moment,
                "version": self._monitor.version,
            },
        }
        if self._beside is not None:
            media |= await self._beside()
        resp.status = HTTP_OK if serves else HTTP_SERVICE_UNAVAILABLE
        resp.media = media
        resp.set_header("Cache-Control", "no-store")

    on_head = on_get  # what some load balancers ask


def add_routes(app: App[Any, Any], monitor: HealthMonitor) -> None:
    """Serve the paths of messages and of rooms; tickets serve theirs."""
    for path, ok, needs in (("/health", "ok", ("database",)), ("/api/v1/health", "healthy", BOTH)):
        app.add_route(path, HealthResource(monitor, ok=ok, needs=needs))
