"""Where mail's resources answer."""

from collections.abc import Callable
from typing import Any, Final

from falcon.asgi import App

from api.mail import queue
from api.mail.queue import Room
from models.database import Database
from models.mail.service import MailService

_PATH: Final = "/api/v1/queue"


def add_routes(
    app: App[Any, Any],
    database: Database,
    *,
    body_bytes_max: int,
    now_ms: Callable[[], int],
) -> list[tuple[str, object]]:
    """Serve mail; returns the routes for the reference."""
    room = Room(service=MailService(database), body_bytes_max=body_bytes_max, now_ms=now_ms)
    routes: list[tuple[str, object]] = [
        (_PATH, queue.QueueResource(room)),
        (f"{_PATH}/search", queue.SearchResource(room)),
        (f"{_PATH}/health", queue.HealthResource(room)),
        (f"{_PATH}/statistics", queue.StatisticsResource(room)),
        (f"{_PATH}/hosts", queue.HostsResource(room)),
        (f"{_PATH}/{{message_id}}", queue.MessageResource(room)),
        (f"{_PATH}/{{message_id}}/history", queue.HistoryResource(room)),
    ]
    for at, resource in routes:
        app.add_route(at, resource)
    return routes
