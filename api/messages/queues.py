"""Named queues over HTTP: listed, made, changed, emptied, deleted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response
from msgspec import Struct

from api.http.reading import Body
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, NO_QUEUE, REFUSALS, MessagesResource
from api.messages.bounds import MessageBounds
from api.messages.queue_bodies import QueueBody, QueueView, view
from api.openapi.operations import Answer, operation
from models.messages.queues import Queues
from models.messages.service import MessageService


class DeleteQuery(Body, frozen=True):
    """Whether messages that still have something before them go too."""

    force: bool = False


class QueueList(Struct, frozen=True):
    """All queues, by name."""

    queues: list[QueueView]


class Removed(Struct, frozen=True):
    """How many messages went."""

    name: str
    removed: int


_DONE: Final = Answer(description="The queue as it is now", body=QueueView)


class _QueuesResource(MessagesResource):
    """A resource of queues."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self._queues: Final[Queues] = service.queues


class QueueListResource(_QueuesResource):
    """`/api/queue/queues`."""

    @operation(
        "List the queues",
        answers={200: Answer(description="All queues", body=QueueList), **REFUSALS},
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return all queues with their settings and counts, by name."""
        found = await self._queues.list()
        resp.data = wire.encode(QueueList([view(queue) for queue in found]))


class QueueResource(_QueuesResource):
    """`/api/queue/queues/{name}`."""

    @operation(
        "Show a queue",
        answers={
            200: Answer(description="The queue", body=QueueView),
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, name: str) -> None:
        """Return a queue with its settings and counts."""
        resp.data = wire.encode(view(await self._queues.get(name)))

    @operation(
        "Make or set a queue",
        body=QueueBody,
        body_example={"ack_timeout_seconds": 60, "max_attempts": 5, "retry_delay_seconds": 10},
        answers={
            200: _DONE,
            201: Answer(description="The queue was made", body=QueueView),
            400: INVALID,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_put(self, _req: Request, resp: Response, name: str, *, body: QueueBody) -> None:
        """Make a queue, or give the one of this name these settings and no others.

        A repeat changes nothing.
        """
        self._bounds.check_settings(body.ack_timeout_seconds, body.max_attempts)
        is_new = await self._queues.put(name, body.settings(), now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        resp.data = wire.encode(view(await self._queues.get(name)))

    @operation(
        "Change a queue",
        body=QueueBody,
        body_example={"paused": True},
        answers={200: _DONE, 400: INVALID, 404: NO_QUEUE, **REFUSALS},
        security=KEY,
    )
    async def on_patch(self, _req: Request, resp: Response, name: str, *, body: QueueBody) -> None:
        """Change some settings of a queue, such as `paused`; the others stay."""
        self._bounds.check_settings(body.ack_timeout_seconds, body.max_attempts)
        await self._queues.patch(name, body.changes(), now_ms=self._now_ms())
        resp.data = wire.encode(view(await self._queues.get(name)))

    @operation(
        "Delete a queue",
        query=DeleteQuery,
        answers={
            200: Answer(description="It is gone", body=Removed),
            400: INVALID,
            404: NO_QUEUE,
            409: Answer(
                description="Messages wait, are held or are dead; or it is always there",
                body=wire.MessagesError,
            ),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_delete(
        self, _req: Request, resp: Response, name: str, *, query: DeleteQuery
    ) -> None:
        """Delete a queue in which nothing is left to do; with `force` all that is in it too."""
        removed = await self._queues.delete(name, force=query.force)
        resp.data = wire.encode(Removed(name, removed))


class PurgeResource(_QueuesResource):
    """`/api/queue/queues/{name}/purge`."""

    @operation(
        "Empty a queue",
        answers={
            200: Answer(description="What waited is gone", body=Removed),
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, _req: Request, resp: Response, name: str) -> None:
        """Delete the messages that wait in a queue; those that are held or dead stay."""
        resp.data = wire.encode(Removed(name, await self._queues.purge(name)))


def routes_of(
    service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Return what answers for queues, by path."""
    return [
        ("/api/queue/queues", QueueListResource(service, bounds, now_ms)),
        ("/api/queue/queues/{name}", QueueResource(service, bounds, now_ms)),
        ("/api/queue/queues/{name}/purge", PurgeResource(service, bounds, now_ms)),
    ]
