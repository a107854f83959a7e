"""What the start page hears beside the messages: the house's health, and how many wait where."""

from collections.abc import Sequence
from typing import Final

import msgspec
from falcon.asgi import Request

from api.health import HealthMonitor
from api.ops.now import Now
from models.errors import UnavailableError
from models.events import Event


class House:
    """Tells each reader of the stream what `/health` and `/api/ops/now` would answer it."""

    def __init__(self, monitor: HealthMonitor, now: Now) -> None:
        self._monitor: Final = monitor
        self._now: Final = now

    async def seen_by(self, req: Request) -> Sequence[Event]:
        """Return `health` and `now` as they are; what cannot be read is left out."""
        components = await self._monitor.components()
        health = Event("health", {name: each.value for name, each in components.items()})
        try:
            now = msgspec.to_builtins(await self._now.view_for(req))
        except UnavailableError:
            return (health,)
        return health, Event("now", now)
