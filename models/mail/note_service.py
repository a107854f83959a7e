"""What a request does with notes and tags of messages."""

from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.errors import InvalidError
from models.mail.notes import (
    OF_MESSAGE_MAX,
    Author,
    Note,
    NoteNotFoundError,
    Tag,
    check_color,
    checked_note,
    checked_tag,
)
from models.mail.rules import MessageNotFoundError, check_message_id
from models.mail.statements import lists, logs, notes


class NoteService:
    """Notes and tags of messages that a queue or a log knows.

    Every method raises InvalidError for what is no id. Who notes something must know the message:
    MessageNotFoundError.
    """

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def notes(self, message_id: str, reader: Author) -> list[Note]:
        """Return the notes that a reader may see: the public ones, and its own."""
        check_message_id(message_id)
        return await self._database.read(
            lambda connection: notes.notes_of(connection, message_id, reader)
        )

    async def add_note(
        self, message_id: str, author: Author, text: str, *, is_public: bool, now_ms: int
    ) -> Note:
        """Store a note; raises InvalidError when the message has its fill."""
        check_message_id(message_id)
        text = checked_note(text)

        def write(connection: Connection) -> Note:
            _check_known(connection, message_id)
            if notes.count_notes(connection, message_id) >= OF_MESSAGE_MAX:
                raise InvalidError({"note": f"a message has at most {OF_MESSAGE_MAX} notes"})
            return notes.add_note(
                connection, message_id, author, text, is_public=is_public, now_ms=now_ms
            )

        return await self._database.run(write)

    async def change_note(
        self,
        message_id: str,
        note_id: int,
        author: Author,
        text: str,
        *,
        is_public: bool,
        now_ms: int,
    ) -> Note:
        """Change a note; raises NoteNotFoundError unless it is the author's, or an admin's."""
        check_message_id(message_id)
        text = checked_note(text)
        changed = await self._database.run(
            lambda connection: notes.change_note(
                connection, message_id, note_id, author, text, is_public=is_public, now_ms=now_ms
            )
        )
        if changed is None:
            raise NoteNotFoundError("Note", note_id)
        return changed

    async def remove_note(self, message_id: str, note_id: int, author: Author) -> None:
        """Delete a note; raises NoteNotFoundError unless it is the author's, or an admin's."""
        check_message_id(message_id)
        if not await self._database.run(
            lambda connection: notes.remove_note(connection, message_id, note_id, author)
        ):
            raise NoteNotFoundError("Note", note_id)

    async def tags(self, message_id: str) -> list[Tag]:
        """Return the tags of a message."""
        check_message_id(message_id)
        return await self._database.read(lambda connection: notes.tags_of(connection, message_id))

    async def add_tag(
        self, message_id: str, author: Author, text: str, *, color: str | None, now_ms: int
    ) -> Tag:
        """Put a tag on a message; raises TagTakenError when it has it."""
        check_message_id(message_id)
        text = checked_tag(text)
        check_color(color)

        def write(connection: Connection) -> Tag:
            _check_known(connection, message_id)
            if len(notes.tags_of(connection, message_id)) >= OF_MESSAGE_MAX:
                raise InvalidError({"tag": f"a message has at most {OF_MESSAGE_MAX} tags"})
            return notes.add_tag(connection, message_id, author, text, color=color, now_ms=now_ms)

        return await self._database.run(write)

    async def remove_tag(self, message_id: str, tag_id: int, author: Author) -> None:
        """Take a tag off; raises NoteNotFoundError unless it is the author's, or an admin's."""
        check_message_id(message_id)
        if not await self._database.run(
            lambda connection: notes.remove_tag(connection, message_id, tag_id, author)
        ):
            raise NoteNotFoundError("Tag", tag_id)

    async def popular(self, *, count: int) -> list[tuple[str, int]]:
        """Return the tags that most messages have, and how many."""
        return await self._database.read(lambda connection: notes.popular(connection, count=count))


def _check_known(connection: Connection, message_id: str) -> None:
    """Raise MessageNotFoundError for a message that neither a queue nor a log knows."""
    if not lists.find(connection, [message_id]) and not logs.knows(connection, message_id):
        raise MessageNotFoundError(message_id)
