"""Schedules of one process, put together from settings, the database and what puts messages in."""

from collections.abc import Callable
from typing import Any, Final

from falcon.asgi import App

from api.messages.bounds import MessageBounds
from api.schedules import schedules
from models.database import Database
from models.messages.service import MessageService
from models.schedules.service import ScheduleService
from models.settings import Settings


class Schedules:
    """The service of schedules and its resources."""

    def __init__(
        self,
        database: Database,
        messages: MessageService,
        bounds: MessageBounds,
        settings: Settings,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._service: Final = ScheduleService(
            database, messages, schedules_max=settings.schedules_max
        )
        self._bounds: Final = bounds
        self._now_ms: Final = now_ms

    def add_routes(self, app: App[Any, Any]) -> list[tuple[str, object]]:
        """Serve schedules; returns the routes for the reference."""
        return schedules.add_routes(app, self._service, self._bounds, now_ms=self._now_ms)
