"""Webhooks of one process, put together from settings and the database."""

from collections.abc import Callable
from typing import Any, Final

from falcon.asgi import App

from api.auth.access import Access
from api.webhooks import webhooks
from models.addresses import parse_networks
from models.database import Database
from models.messages.queues import Queues
from models.settings import Settings
from models.webhooks.service import WebhookService


class Webhooks:
    """The service of webhooks and its resources."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        settings: Settings,
        access: Access,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._service: Final = WebhookService(
            database, networks=parse_networks(settings.webhook_networks)
        )
        self._queues: Final = queues
        self._settings: Final = settings
        self._access: Final = access
        self._now_ms: Final = now_ms

    def add_routes(self, app: App[Any, Any]) -> list[tuple[str, object]]:
        """Serve webhooks; returns the routes for the reference."""
        return webhooks.add_routes(
            app,
            self._service,
            self._queues,
            self._access.proxies,
            body_bytes_max=self._settings.body_bytes_max,
            now_ms=self._now_ms,
        )

    def drain(self) -> None:
        """Let go of whoever waits for a trial delivery: the server is about to stop."""
        self._service.drain()
