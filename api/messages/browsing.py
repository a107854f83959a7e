"""Messages looked at over HTTP: one by its id, lists by the page, whole lists as files."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from falcon.asgi import Request, Response

from api.http.caller import HttpCaller
from api.http.errors import RouteNotFoundError
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, NO_QUEUE, REFUSALS, MessagesResource
from api.messages.bounds import MessageBounds
from api.messages.changes import ChangesResource
from api.messages.files import FORMATS, WrittenFormat
from api.messages.views import (
    ExportQuery,
    ListQuery,
    ShownMessage,
    ShownMessages,
    filter_of,
    list_request,
    shown,
    shown_page,
)
from api.openapi.operations import Answer, operation
from models.messages.browsing import Browsing
from models.messages.rules import internal_id
from models.messages.service import MessageService
from models.messages.views import MessageList, MessageView


class MessageResource(ChangesResource):
    """`/api/queue/message/{message_id}`: looked at here, changed there."""

    @operation(
        "Show a message",
        answers={
            200: Answer(description="The message as it is now", body=ShownMessage),
            404: Answer(description="No such message", body=wire.MessagesError),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, _req: Request, resp: Response, message_id: str) -> None:
        """Return a message wherever it is; its lock token is for the consumer that holds it."""
        view = await self._service.browsing.get(internal_id(message_id))
        resp.data = wire.encode(shown(view))


class _BrowsingResource(MessagesResource):
    """A resource of a list."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self._browsing: Final[Browsing] = service.browsing


class ListResource(_BrowsingResource):
    """`/api/queue/{state}/messages`."""

    @operation(
        "List messages",
        query=ListQuery,
        answers={
            200: Answer(description="Some messages of the list", body=ShownMessages),
            400: INVALID,
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, req: Request, resp: Response, state: str, *, query: ListQuery) -> None:
        """Return messages in a state: main, delayed, processing, dead, acknowledged or archived.

        Newest first, unless `sort` and `order` say otherwise: by `created_at`, or by what is the
        list's own: `priority` (with `queue`), `due_at`, `locked_until`, `died_at` or
        `acknowledged_at`. Follow `cursor` until it is null; with a filter a page may be short, or
        empty, before the end. `page` is for the first pages only.
        """
        request = list_request(_list_of(req, state), query)
        page = await self._browsing.list(request)
        resp.data = wire.encode(shown_page(page, query))


class ExportResource(_BrowsingResource):
    """`/api/queue/{state}/messages/export`."""

    @operation(
        "Export messages",
        query=ExportQuery,
        answers={
            200: Answer(description="A line for each", media_type="application/x-ndjson"),
            400: INVALID,
            404: NO_QUEUE,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_get(self, req: Request, resp: Response, state: str, *, query: ExportQuery) -> None:
        """Send all messages of a list that fit, as they came in, as `ndjson` or `csv`.

        What is sent can be imported again. Messages that move meanwhile are in it at most once.
        """
        of = _list_of(req, state)
        pieces = self._browsing.pieces(of, filter_of(query))
        first = await anext(pieces)  # what is refused is refused before the answer begins
        format_ = FORMATS[query.format]
        resp.content_type = format_.content_type
        resp.set_header("Cache-Control", "no-store")
        resp.downloadable_as = f"{of}.{query.format}"
        resp.stream = self._written(HttpCaller(req), format_, first, pieces)

    async def _written(
        self,
        caller: HttpCaller,
        format_: WrittenFormat,
        first: Sequence[MessageView],
        rest: AsyncGenerator[Sequence[MessageView], None],
    ) -> AsyncIterator[bytes]:
        yield format_.head + format_.write(first, self._now_ms())
        async with aclosing(rest) as pieces:
            async for views in pieces:
                if caller.has_hung_up():
                    return
                yield format_.write(views, self._now_ms())


def _list_of(req: Request, state: str) -> MessageList:
    try:
        return MessageList(state)
    except ValueError:
        raise RouteNotFoundError(req.path) from None


def routes_of(
    service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Return what answers for looking at messages, by path."""
    return [
        ("/api/queue/message/{message_id}", MessageResource(service, bounds, now_ms)),
        ("/api/queue/{state}/messages", ListResource(service, bounds, now_ms)),
        ("/api/queue/{state}/messages/export", ExportResource(service, bounds, now_ms)),
    ]
