"""What a request does with the logs: it asks the database, and never a log file."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from models import audit
from models.database import Database
from models.errors import NotFoundError
from models.mail.log_lines import Event
from models.mail.log_views import Kept, LogFilter, LoggedLine, LogPage, LogSortBy, LogSource
from models.mail.rules import MessageNotFoundError, check_message_id
from models.mail.statements import lists, log_lists, logs, retries
from models.mail.traces import Trace, trace_of

MESSAGE_LINES_MAX: Final = 2_000
EXPORTED_MAX: Final = 10_000
_FILLED_MAX: Final = 10_000
_NEAR_MS: Final = 300_000
_DEEDS_MAX: Final = 100


class LineNotFoundError(NotFoundError):
    """No line of a log has this number, or it is forgotten."""

    code = "mail_attempt_not_found"

    def __init__(self, line_id: int) -> None:
        super().__init__(line_id)
        self.line_id = line_id

    def __str__(self) -> str:
        return "Delivery attempt not found"


class RecipientNotFoundError(NotFoundError):
    """The message is not for this recipient, as far as its log tells."""

    code = "mail_recipient_not_found"

    def __init__(self, message_id: str, recipient: str) -> None:
        super().__init__(message_id, recipient)
        self.message_id = message_id
        self.recipient = recipient

    def __str__(self) -> str:
        return "Recipient not found for this message"


class LogService:
    """The main logs of all hosts, as far as they are kept."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def page(
        self,
        wanted: LogFilter,
        *,
        sort_by: LogSortBy = LogSortBy.TIMESTAMP,
        descending: bool = True,
        page: int = 1,
        per_page: int = 50,
    ) -> LogPage:
        """Return a page of the lines that a filter finds, pages counted from 1."""

        def read(connection: Connection) -> LogPage:
            return LogPage(
                lines=log_lists.page(
                    connection,
                    wanted,
                    sort_by=sort_by,
                    descending=descending,
                    offset=(page - 1) * per_page,
                    limit=per_page,
                ),
                total=log_lists.count_found(connection, wanted),
                aggregations=log_lists.aggregations(connection, wanted),
            )

        return await self._database.read(read)

    async def newest(self, wanted: LogFilter, *, count: int) -> list[LoggedLine]:
        """Return the newest lines that a filter finds, in the order of the log."""
        found = await self._database.read(
            lambda connection: log_lists.page(connection, wanted, limit=count)
        )
        return found[::-1]

    async def of_message(self, message_id: str) -> list[LoggedLine]:
        """Return what the logs say of a message, the oldest first.

        Raises InvalidError for what is no id, MessageNotFoundError when neither a log nor a queue
        knows it.
        """
        check_message_id(message_id)

        def read(connection: Connection) -> tuple[list[LoggedLine], bool]:
            wanted = LogFilter(message_id=message_id)
            found = log_lists.page(connection, wanted, descending=False, limit=MESSAGE_LINES_MAX)
            return found, bool(found or lists.find(connection, [message_id]))

        found, is_known = await self._database.read(read)
        if not is_known:
            raise MessageNotFoundError(message_id)
        return found

    async def similar(self, message_id: str, *, count: int) -> list[LoggedLine]:
        """Return arrivals of other messages of the same sender, the newest first."""
        lines = await self.of_message(message_id)
        sender = next((each.line.sender for each in lines if each.line.sender), "")
        if not sender:
            return []
        wanted = LogFilter(sender=sender, events=(Event.ARRIVAL.value,))
        found = await self._database.read(
            lambda connection: log_lists.page(connection, wanted, limit=count + 1)
        )
        same = [each for each in found if each.line.message_id != message_id]
        return [each for each in same if each.line.sender == sender][:count]

    async def attempt(self, line_id: int) -> tuple[LoggedLine, list[LoggedLine]]:
        """Return an attempt, and what the log says of its message within five minutes of it.

        Raises LineNotFoundError.
        """

        def read(connection: Connection) -> tuple[LoggedLine | None, list[LoggedLine]]:
            found = log_lists.find(connection, line_id)
            if found is None or not found.line.recipient:
                return None, []
            near = LogFilter(
                message_id=found.line.message_id,
                host=found.host,
                from_ms=found.line.at_ms - _NEAR_MS,
                to_ms=found.line.at_ms + _NEAR_MS,
            )
            return found, log_lists.page(
                connection, near, descending=False, limit=MESSAGE_LINES_MAX
            )

        found, near = await self._database.read(read)
        if found is None:
            raise LineNotFoundError(line_id)
        return found, near

    async def events(self, *, from_ms: int, to_ms: int) -> dict[str, int]:
        """Return how many lines there are of each kind, between two moments."""
        return await self._database.read(
            lambda connection: logs.count_events(connection, from_ms=from_ms, to_ms=to_ms)
        )

    async def sources(self) -> list[LogSource]:
        """Return how each host's log is read."""
        return await self._database.read(logs.sources)

    async def kept(self) -> Kept:
        """Return what is kept in all."""
        return await self._database.read(logs.kept)

    async def fill_in(self, *, from_ms: int, to_ms: int) -> int:
        """Give attempts the senders of messages whose arrival was read later; return to how many.

        At most ten thousand at a time.
        """
        return await self._database.run(
            lambda connection: logs.fill_in(
                connection, from_ms=from_ms, to_ms=to_ms, count=_FILLED_MAX
            )
        )

    async def trace(
        self, message_id: str, *, host: str | None = None
    ) -> tuple[Trace, Sequence[audit.Entry]]:
        """Return how a message's deliveries went, and what people did to it.

        With a host named, only what that host has and logged counts. Raises InvalidError for what
        is no id, MessageNotFoundError when nothing knows it.
        """
        check_message_id(message_id)

        def read(connection: Connection) -> tuple[Trace | None, Sequence[audit.Entry]]:
            wanted = LogFilter(message_id=message_id, host=host)
            lines = log_lists.page(connection, wanted, descending=False, limit=MESSAGE_LINES_MAX)
            found = lists.find(connection, [message_id])
            mails = [each for each in found if host in {None, each.host}]
            if not lines and not mails:
                return None, ()
            mail = mails[0] if mails else None
            next_at_ms = retries.next_of(connection, mails) if mails else {}
            trace = trace_of(
                message_id,
                lines,
                mail,
                next_at_ms=next_at_ms.get((mail.host, message_id)) if mail else None,
            )
            return trace, audit.page(connection, target=message_id, count=_DEEDS_MAX)

        trace, deeds = await self._database.read(read)
        if trace is None:
            raise MessageNotFoundError(message_id)
        return trace, deeds
