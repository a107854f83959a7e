"""Acting on all messages that a filter finds: seen first, then confirmed, then done in chunks."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from models import audit
from models.audit import Actor, Change
from models.confirmations import ChangedCountError, confirmation_text, read_confirmation
from models.database import Database
from models.errors import InvalidError
from models.mail import acts
from models.mail.acts import Acts
from models.mail.filters import MailFilter, SortBy
from models.mail.operations import Chunk, Operation, Preview, Report
from models.mail.rules import Action
from models.mail.statements import lists, operations

_SAMPLE: Final = 10

# What is meant at a moment: filters by age mean another span of arrivals at each.
FilterAt = Callable[[int], MailFilter]


class MassActs:
    """Acts on what filters find; for one event loop."""

    def __init__(self, database: Database, single: Acts, *, messages_max: int) -> None:
        self._database: Final = database
        self._acts: Final = single
        self._messages_max: Final = messages_max

    async def preview(self, action: Action, wanted: FilterAt, *, now_ms: int) -> Preview:
        """Say what an action would be done to, and how to confirm it; nothing is changed.

        Raises InvalidError for more than may be acted on at once.
        """
        chosen = _as_of(wanted, now_ms)

        def read(connection: Connection) -> Preview:
            sample, count = lists.page(
                connection,
                chosen,
                sort_by=SortBy.TIMESTAMP,
                descending=False,
                offset=0,
                limit=_SAMPLE,
            )
            self._require_few(count)
            text = confirmation_text((now_ms, count), action, msgspec.to_builtins(chosen))
            return Preview(count=count, sample=sample, confirm=text)

        return await self._database.read(read)

    def _require_few(self, count: int) -> None:
        if count > self._messages_max:
            many = f"finds more than {self._messages_max} messages: narrow it"
            raise InvalidError({"criteria": many})

    async def act(
        self,
        action: Action,
        wanted: FilterAt,
        confirm: str,
        actor: Actor,
        *,
        audited: str,
        criteria: Mapping[str, Any],
        expires_ms: int,
        now_ms: int,
    ) -> Report:
        """Begin an action on what was seen; what came in since is not touched.

        The filter, as `criteria`, and each message are audited before anything is sent. Messages
        come and go by themselves: fewer than were seen are as good, more were not seen. Raises
        UnconfirmedError, ChangedCountError, InvalidError for more than may be acted on at once, and
        HostAwayError, before anything is noted.
        """
        as_of_ms = _moment(confirm)
        chosen = _as_of(wanted, as_of_ms)
        _, seen = read_confirmation(confirm, 2, action, msgspec.to_builtins(chosen))

        def write(connection: Connection) -> tuple[Report, Operation, list[Chunk]]:
            found = lists.spots(connection, chosen, limit=self._messages_max + 1)
            self._require_few(len(found))
            if len(found) > seen:
                raise ChangedCountError(seen, len(found))
            made = acts.new_operation(
                action, actor, len(found), expires_ms=expires_ms, now_ms=now_ms
            )
            chunks = acts.begin(connection, made, found)
            if not found:  # it is over before it began
                operations.note_outcomes(connection, made.id, "", [], now_ms=now_ms)
            details = {"operation": action.value, "criteria": criteria, "messages": len(found)}
            audit.add(
                connection,
                actor,
                Change(action=audited, target=made.id, details=details),
                *[
                    change
                    for spot in found
                    for change in acts.changes(
                        made, [spot.message_id], {spot.message_id: spot}, audited
                    )
                ],
                now_ms=now_ms,
            )
            return Report(operation=made, settled=()), made, chunks

        report, made, first = await self._database.run(write)
        await self._acts.send(made, first)
        return report if made.messages else await self._acts.report(made.id)


def _as_of(wanted: FilterAt, moment_ms: int) -> MailFilter:
    """Return a filter that finds nothing that came in after a moment."""
    chosen = wanted(moment_ms)
    newest_ms = min(chosen.received_to_ms or moment_ms, moment_ms)
    return replace(chosen, received_to_ms=newest_ms)


def _moment(confirm: str) -> int:
    """Return when it was seen, as the text claims; what is none of ours is found out later."""
    try:
        return min(int(confirm.partition("-")[0], 16), 1 << 52)
    except ValueError:
        return 0
