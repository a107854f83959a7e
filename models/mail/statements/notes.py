"""Notes and tags of messages."""

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from models.mail.notes import OF_MESSAGE_MAX, Author, Note, Tag, TagTakenError
from models.mail.tables import note, tag


def notes_of(connection: Connection, message_id: str, reader: Author) -> list[Note]:
    """Return the notes of a message that a reader may see, the oldest first."""
    statement = select(note).where(note.c.message_id == message_id)
    if not reader.is_admin:
        statement = statement.where(note.c.is_public.is_(True) | (note.c.user_id == reader.id))
    return [_note(row) for row in connection.execute(statement.order_by(note.c.id))]


def count_notes(connection: Connection, message_id: str) -> int:
    """Return how many notes a message has."""
    statement = select(func.count()).where(note.c.message_id == message_id)
    return int(connection.execute(statement).scalar_one())


def add_note(
    connection: Connection,
    message_id: str,
    author: Author,
    text: str,
    *,
    is_public: bool,
    now_ms: int,
) -> Note:
    """Store a note."""
    row = connection.execute(
        insert(note).returning(note),
        {
            "message_id": message_id,
            "user_id": author.id,
            "user": author.name,
            "note": text,
            "is_public": is_public,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        },
    ).one()
    return _note(row)


def change_note(
    connection: Connection,
    message_id: str,
    note_id: int,
    author: Author,
    text: str,
    *,
    is_public: bool,
    now_ms: int,
) -> Note | None:
    """Change a note of an author; None if there is none."""
    statement = (
        update(note)
        .where(note.c.id == note_id, note.c.message_id == message_id)
        .values(note=text, is_public=is_public, updated_at_ms=now_ms)
        .returning(note)
    )
    if not author.is_admin:
        statement = statement.where(note.c.user_id == author.id)
    row = connection.execute(statement).first()
    return None if row is None else _note(row)


def remove_note(connection: Connection, message_id: str, note_id: int, author: Author) -> bool:
    """Delete a note of an author; False if there is none."""
    statement = delete(note).where(note.c.id == note_id, note.c.message_id == message_id)
    if not author.is_admin:
        statement = statement.where(note.c.user_id == author.id)
    return connection.execute(statement).rowcount > 0


def tags_of(connection: Connection, message_id: str) -> list[Tag]:
    """Return the tags of a message, the oldest first."""
    statement = select(tag).where(tag.c.message_id == message_id).order_by(tag.c.id)
    return [_tag(row) for row in connection.execute(statement.limit(OF_MESSAGE_MAX))]


def add_tag(
    connection: Connection,
    message_id: str,
    author: Author,
    text: str,
    *,
    color: str | None,
    now_ms: int,
) -> Tag:
    """Put a tag on a message; raises TagTakenError, and then the transaction is over."""
    try:
        row = connection.execute(
            insert(tag).returning(tag),
            {
                "message_id": message_id,
                "tag": text,
                "color": color,
                "user_id": author.id,
                "user": author.name,
                "created_at_ms": now_ms,
            },
        ).one()
    except IntegrityError:
        raise TagTakenError(text) from None
    return _tag(row)


def remove_tag(connection: Connection, message_id: str, tag_id: int, author: Author) -> bool:
    """Take a tag of an author off a message; False if there is none."""
    statement = delete(tag).where(tag.c.id == tag_id, tag.c.message_id == message_id)
    if not author.is_admin:
        statement = statement.where(tag.c.user_id == author.id)
    return connection.execute(statement).rowcount > 0


def popular(connection: Connection, *, count: int) -> list[tuple[str, int]]:
    """Return the tags that most messages have, and how many."""
    number = func.count()
    statement = select(tag.c.tag, number).group_by(tag.c.tag).order_by(number.desc(), tag.c.tag)
    return [(name, int(many)) for name, many in connection.execute(statement.limit(count))]


def _note(row: Row[Any]) -> Note:
    return Note(
        id=row.id,
        message_id=row.message_id,
        user_id=row.user_id,
        user=row.user,
        note=row.note,
        is_public=row.is_public,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )


def _tag(row: Row[Any]) -> Tag:
    return Tag(
        id=row.id,
        message_id=row.message_id,
        tag=row.tag,
        color=row.color,
        user_id=row.user_id,
        user=row.user,
        created_at_ms=row.created_at_ms,
    )
