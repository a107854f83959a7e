"""What the console stands on in one process, put together."""

from collections.abc import Sequence
from typing import Any, Final

from falcon.asgi import App

from api.auth.guard import Guard
from api.live.tail import StreamTail
from api.ops.hour import Hour, HourResource
from api.ops.house import House
from api.ops.live import OpsLive
from api.ops.now import Now, NowResource
from api.ops.overview import Overview, OverviewResource, Sources
from models.database import Database


class Ops:
    """How every queue stands, how it stood in the last hour, and who is told."""

    def __init__(
        self,
        sources: Sources,
        database: Database,
        tail: StreamTail,
        others: Sequence[StreamTail],
        guard: Guard,
    ) -> None:
        """`others` are the streams of all domains, after whose events the overview is told."""
        self._hour: Final = Hour(database, now_ms=sources.now_ms)
        self.overview: Final = Overview(sources, self._hour)
        self.now: Final = Now(self.overview, guard, now_ms=sources.now_ms)
        self.house: Final = House(sources.monitor, self.now)
        self.live: Final = OpsLive(self.overview, self._hour, tail, others)

    def add_routes(self, app: App[Any, Any]) -> list[tuple[str, object]]:
        """Serve what the console asks for; returns the routes for the reference."""
        routes: list[tuple[str, object]] = [
            ("/api/ops/overview", OverviewResource(self.overview)),
            ("/api/ops/hour", HourResource(self._hour)),
            ("/api/ops/now", NowResource(self.now)),
        ]
        for route in routes:
            app.add_route(*route)
        return routes
