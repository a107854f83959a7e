"""What is noted about messages, as it travels."""

from msgspec import Struct

from api.http.reading import Body
from api.mail.envelopes import MailSuccess
from models.clock import iso_utc
from models.mail.notes import Note, Tag


class MailNewNote(Body, frozen=True, kw_only=True):
    """A note; one that is not public is seen by its writer, and by admins."""

    note: str
    is_public: bool = False


class MailNewTag(Body, frozen=True, kw_only=True):
    """A tag, with a colour such as `#33aa00`."""

    tag: str
    color: str | None = None


class MailNoteBody(Struct, frozen=True, kw_only=True):
    """A note."""

    id: int
    message_id: str
    user_id: str
    user: str
    note: str
    is_public: bool
    created_at: str
    updated_at: str


class MailTagBody(Struct, frozen=True, kw_only=True):
    """A tag."""

    id: int
    message_id: str
    tag: str
    color: str | None
    user_id: str
    created_at: str


class MailNoteAnswer(MailSuccess[MailNoteBody], frozen=True):
    """A note."""


class MailNotesData(Struct, frozen=True):
    """The notes of a message."""

    message_id: str
    notes: list[MailNoteBody]


class MailNotesAnswer(MailSuccess[MailNotesData], frozen=True):
    """The notes of a message."""


class MailTagAnswer(MailSuccess[MailTagBody], frozen=True):
    """A tag."""


class MailTagsData(Struct, frozen=True):
    """The tags of a message."""

    message_id: str
    tags: list[MailTagBody]


class MailTagsAnswer(MailSuccess[MailTagsData], frozen=True):
    """The tags of a message."""


class MailTagCount(Struct, frozen=True):
    """A tag, and how many messages have it."""

    tag: str
    count: int


class MailPopularData(Struct, frozen=True):
    """The tags that most messages have."""

    tags: list[MailTagCount]


class MailPopularAnswer(MailSuccess[MailPopularData], frozen=True):
    """The tags that most messages have."""


class MailSaid(Struct, frozen=True):
    """That something was done."""

    message: str


class MailSaidAnswer(MailSuccess[MailSaid], frozen=True):
    """That something was done."""


def note_body(note: Note) -> MailNoteBody:
    """Return a note as it is shown."""
    return MailNoteBody(
        id=note.id,
        message_id=note.message_id,
        user_id=note.user_id,
        user=note.user,
        note=note.note,
        is_public=note.is_public,
        created_at=iso_utc(note.created_at_ms),
        updated_at=iso_utc(note.updated_at_ms),
    )


def tag_body(tag: Tag) -> MailTagBody:
    """Return a tag as it is shown."""
    return MailTagBody(
        id=tag.id,
        message_id=tag.message_id,
        tag=tag.tag,
        color=tag.color,
        user_id=tag.user_id,
        created_at=iso_utc(tag.created_at_ms),
    )
