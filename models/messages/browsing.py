"""Looking at messages: one by its id, lists by the page, everything in pieces."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.errors import TooLargeError
from models.messages.filters import MessageFilter
from models.messages.policies import QueueNotFoundError
from models.messages.rules import DEFAULT_QUEUE, MessageNotFoundError, public_id
from models.messages.statements import browse, counts
from models.messages.statements.queues import read_settings
from models.messages.views import (
    BrowseLimits,
    Key,
    ListRequest,
    MessageList,
    MessagePage,
    MessageView,
    Order,
    cursor_of,
)


class Browsing:
    """What can be seen of messages. Nothing here changes one, and no answer is unbounded."""

    def __init__(self, database: Database, limits: BrowseLimits) -> None:
        self._database: Final = database
        self._limits: Final = limits

    async def get(self, message_id: int) -> MessageView:
        """Return a message wherever it is, as of one moment; raises MessageNotFoundError."""
        found = await self._database.read(
            lambda connection: browse.find_one(connection, message_id)
        )
        if found is None:
            raise MessageNotFoundError(public_id(message_id))
        return found

    async def list(self, request: ListRequest) -> MessagePage:
        """Return some messages of a list.

        Whoever follows the cursor sees each message at most once, and each that stays in the list
        exactly once, whatever moves meanwhile. Raises InvalidError, QueueNotFoundError, or
        TooLargeError for a numbered page whose payloads are too large.
        """
        request.check(self._limits)
        look = browse.Look(
            of=request.of,
            wanted=request.wanted,
            order=request.order,
            after=request.after,
            offset=request.offset,
            limit=request.limit,
            looked_max=self._limits.looked_max,
            bytes_max=self._limits.bytes_max,
        )
        return await self._database.read(
            lambda connection: self._read_page(connection, request, look)
        )

    async def pieces(
        self, of: MessageList, wanted: MessageFilter
    ) -> AsyncGenerator[Sequence[MessageView], None]:
        """Yield all messages of a list that fit, as they came in, in pieces of bounded size.

        Each piece is as of its own moment. A piece may be empty. Raises QueueNotFoundError first.
        """
        after: Key | None = None
        while True:
            look = browse.Look(
                of=of,
                wanted=wanted,
                order=Order(),
                after=after,
                offset=0,
                limit=self._limits.rows_max,
                looked_max=self._limits.looked_max,
                bytes_max=self._limits.bytes_max,
            )
            piece = await self._database.read(partial(_read, look=look))
            yield piece.views
            after = piece.end
            if after is None:
                return

    def _read_page(
        self, connection: Connection, request: ListRequest, look: browse.Look
    ) -> MessagePage:
        piece = _read(connection, look=look)
        is_cut = piece.end is not None and len(piece.views) < look.limit
        if request.page is not None and is_cut:
            self._check_size(connection, look, len(piece.views))
        return MessagePage(
            messages=piece.views,
            cursor=None if piece.end is None else cursor_of(piece.end, request.order),
            total=_total(connection, request) if request.wanted.is_counted else None,
        )

    def _check_size(self, connection: Connection, look: browse.Look, count: int) -> None:
        """Raise TooLargeError if a page was cut for its size: the next number would skip some."""
        following = browse.read_piece(
            connection, replace(look, offset=look.offset + count, limit=1)
        )
        if following.views:
            raise TooLargeError(
                "payload bytes of a page", self._limits.bytes_max + 1, self._limits.bytes_max
            )


def _read(connection: Connection, *, look: browse.Look) -> browse.Piece:
    queue = look.wanted.queue
    if queue not in {None, DEFAULT_QUEUE} and queue not in read_settings(connection):
        raise QueueNotFoundError(queue or "")
    return browse.read_piece(connection, look)


def _total(connection: Connection, request: ListRequest) -> int:
    """Return how many messages a filter means that the counters know."""
    wanted = request.wanted
    return sum(
        n
        for queue, type_, state, n in counts.read_counters(connection)
        if state == request.of.state
        and wanted.queue in {None, queue}
        and wanted.type in {None, type_}
    )
