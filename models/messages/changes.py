"""One message changed from outside its line: edited, deleted; in one transaction, noted in it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from models.audit import Signature, sign
from models.database import Database
from models.messages.acts import Edit, Touched, check_deletable, check_editable
from models.messages.line import DELAYS
from models.messages.rules import MessageNotFoundError, MessageState, Tally, WaitsFor, public_id
from models.messages.statements import changes, counts
from models.messages.statements.place import Placed, leave


class Changes:
    """Changes single messages of one database. What a method changed is on disk when it returns.

    `edited` and `deleted` are told after the commit.
    """

    def __init__(
        self,
        database: Database,
        *,
        shard: int,
        edited: Callable[[Touched], None],
        deleted: Callable[[Touched], None],
    ) -> None:
        self._database: Final = database
        self._shard: Final = shard
        self._edited: Final = edited
        self._deleted: Final = deleted

    async def edit(
        self, message_id: int, edit: Edit, signature: Signature, *, now_ms: int
    ) -> Touched:
        """Set anew what a message says that waits, is delayed or is dead; it keeps its place.

        Raises MessageNotFoundError, or InvalidStateError when it is held or done, or when a due
        time is given to one that is not delayed.
        """
        touched = await self._database.run(
            lambda connection: self._edit(connection, message_id, edit, signature, now_ms)
        )
        self._edited(touched)
        return touched

    async def delete(
        self, message_id: int, signature: Signature, *, force: bool = False, now_ms: int
    ) -> Touched:
        """Delete a message; one that is held only by `force`: its holder then finds none.

        Raises MessageNotFoundError or InvalidStateError.
        """
        touched = await self._database.run(
            lambda connection: self._delete(connection, message_id, signature, force, now_ms)
        )
        self._deleted(touched)
        return touched

    def _edit(
        self,
        connection: Connection,
        message_id: int,
        edit: Edit,
        signature: Signature,
        now_ms: int,
    ) -> Touched:
        held = changes.hold(connection, message_id)
        if held is None:
            raise MessageNotFoundError(public_id(message_id))
        table, state = held
        check_editable(message_id, state, edit)
        tally = Tally()
        old, row = changes.change(connection, table, message_id, edit.columns)
        if row.get("waits_for") == WaitsFor.PAUSE and old["type"] != row["type"]:
            changes.end_pause(connection, row)
        tally.move(old["queue"], old["type"], source=state)
        tally.move(row["queue"], row["type"], target=state)
        counts.bump(connection, self._shard, tally)
        details = {"fields": edit.fields, "queue": row["queue"], "status": state.value}
        sign(connection, signature, target=public_id(message_id), details=details, now_ms=now_ms)
        return _edited(state, row)

    def _delete(
        self,
        connection: Connection,
        message_id: int,
        signature: Signature,
        force: bool,  # noqa: FBT001
        now_ms: int,
    ) -> Touched:
        held = changes.hold(connection, message_id)
        if held is None:
            raise MessageNotFoundError(public_id(message_id))
        table, state = held
        check_deletable(message_id, state, force=force)
        tally = Tally()
        [row] = changes.remove(connection, table, state, [message_id], tally=tally)
        placed = Placed()
        leave(connection, [(table, row)], placed)
        counts.bump(connection, self._shard, tally)
        details = {"queue": row["queue"], "status": state.value}
        sign(connection, signature, target=public_id(message_id), details=details, now_ms=now_ms)
        return Touched(state=state, row=row, arrived=placed.lines, first_ids=placed.first_ids)


def _edited(state: MessageState, row: Mapping[str, Any]) -> Touched:
    """Return an edited message with the line it concerns: somebody may wait for what it is now."""
    if state is MessageState.DELAYED:
        return Touched(state=state, row=row, arrived={DELAYS: 1})
    if state is MessageState.QUEUED:
        line, queue = (row["queue"], row["type"]), row["queue"]
        return Touched(state=state, row=row, arrived={line: 1}, first_ids={queue: row["id"]})
    return Touched(state=state, row=row)
