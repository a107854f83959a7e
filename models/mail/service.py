"""What a request does with mail: it asks the index, and never an Exim or a spool."""

import math
from typing import Final

from sqlalchemy import Connection

from models import audit
from models.database import Database
from models.mail.alarms import Alarm
from models.mail.filters import MailFilter, SortBy
from models.mail.operations import Deed
from models.mail.rules import (
    HostAliveError,
    HostAwayError,
    HostNotFoundError,
    MessageIdTakenError,
    MessageNotFoundError,
    check_message_id,
    is_host,
)
from models.mail.statements import alarms, groups, index, lists, operations, retries, samples
from models.mail.views import (
    HOST_SILENT_MS_MAX,
    Group,
    GroupBy,
    Host,
    HostedMail,
    MailPage,
    Sample,
    Totals,
    Trend,
    trend_of,
)

_HOUR_MS: Final = 3_600_000
# Where sizes are told apart, in bytes: below 1 KB, 10 KB, 100 KB, 1 MB, and what is above.
_SIZE_BOUNDS: Final = (1_024, 10_240, 102_400, 1_048_576, 1 << 62)


class MailService:
    """The mail of all hosts, as their watchers told it."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def page(
        self,
        wanted: MailFilter,
        *,
        sort_by: SortBy = SortBy.TIMESTAMP,
        descending: bool = True,
        page: int = 1,
        per_page: int = 50,
    ) -> MailPage:
        """Return a page of the messages that a filter finds, pages counted from 1."""

        def read(connection: Connection) -> MailPage:
            found, total = lists.page(
                connection,
                wanted,
                sort_by=sort_by,
                descending=descending,
                offset=(page - 1) * per_page,
                limit=per_page,
            )
            return MailPage(
                mails=retries.with_next(connection, found),
                total=total,
                totals=lists.totals(connection),
            )

        return await self._database.read(read)

    async def get(self, message_id: str, *, host: str | None = None) -> HostedMail:
        """Return one message.

        Raises InvalidError for what is no id, MessageNotFoundError, and MessageIdTakenError when
        several hosts have one of this id and none is named.
        """
        check_message_id(message_id)
        found = await self._database.read(
            lambda connection: retries.with_next(connection, lists.find(connection, [message_id]))
        )
        matching = [each for each in found if host in {None, each.host}]
        if not matching:
            raise MessageNotFoundError(message_id)
        if len(matching) > 1:
            raise MessageIdTakenError(message_id, sorted(each.host for each in matching))
        return matching[0]

    async def require_life(self, host: str, *, now_ms: int) -> None:
        """Raise HostAwayError when a host shows no life: nothing is worth asking it."""
        for each in await self.hosts():
            if each.name == host and not each.is_alive(now_ms=now_ms):
                raise HostAwayError(host)

    async def forget_host(self, name: str, actor: audit.Actor, *, now_ms: int) -> None:
        """Take a host that is no more out of the index, with its queue, and audit that.

        Raises HostNotFoundError, and HostAliveError while it shows life.
        """

        def write(connection: Connection) -> None:
            seen_at_ms = index.seen_at(connection, name) if is_host(name) else None
            if seen_at_ms is None:
                raise HostNotFoundError(name)
            if now_ms - seen_at_ms <= HOST_SILENT_MS_MAX:
                raise HostAliveError(name)
            index.forget_host(connection, name)
            change = audit.Change(action="mail_host_forgotten", target=name, details={})
            audit.add(connection, actor, change, now_ms=now_ms)

        await self._database.run(write)

    async def totals(self) -> Totals:
        """Return what all queues hold."""
        return await self._database.read(lists.totals)

    async def sizes(self) -> list[int]:
        """Return how many messages are below 1 KB, to 10 KB, 100 KB, 1 MB, and above."""
        return await self._database.read(
            lambda connection: lists.size_groups(connection, _SIZE_BOUNDS)
        )

    async def trend(self, *, now_ms: int) -> Trend:
        """Say how the number of messages went in the last hour."""

        def read(connection: Connection) -> Trend:
            past = samples.since(connection, from_ms=now_ms - _HOUR_MS)
            messages = lists.totals(connection).messages
            return trend_of(past[0].messages if past else messages, messages)

        return await self._database.read(read)

    async def samples(self, *, from_ms: int, count_max: int) -> list[Sample]:
        """Return what all hosts had from a moment on, evenly thinned to at most `count_max`.

        The newest is always among them.
        """
        found = await self._database.read(
            lambda connection: samples.since(connection, from_ms=from_ms)
        )
        step = math.ceil(len(found) / count_max) or 1
        return found[::-step][::-1]

    async def groups(self, wanted: MailFilter, *, by: GroupBy, limit: int) -> list[Group]:
        """Return the largest groups of the messages that a filter finds."""
        return await self._database.read(
            lambda connection: groups.groups(connection, wanted, by=by, limit=limit)
        )

    async def history(self, message_id: str, *, count: int) -> list[Deed]:
        """Return what people did to a message, the newest first; it may be gone since."""
        check_message_id(message_id)

        def read(connection: Connection) -> list[Deed]:
            entries = audit.page(connection, target=message_id, count=count)
            ids = [str(each.change.details.get("operation_id", "")) for each in entries]
            settled = operations.outcomes_of(connection, message_id, ids)
            return [
                Deed(entry=entry, settled=settled.get(operation_id))
                for entry, operation_id in zip(entries, ids, strict=True)
            ]

        return await self._database.read(read)

    async def alarms(self) -> list[Alarm]:
        """Return what somebody should look at, the oldest first."""
        return await self._database.read(alarms.raised)

    async def hosts(self) -> list[Host]:
        """Return all hosts by name."""
        return await self._database.read(lists.hosts)
