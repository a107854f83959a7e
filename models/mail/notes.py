"""What people note about messages: texts and tags, kept beyond the message."""

import re
from dataclasses import dataclass
from typing import Final

from models.errors import ConflictError, InvalidError, NotFoundError

NOTE_CHARACTERS_MAX: Final = 4_000
TAG_CHARACTERS_MAX: Final = 64
OF_MESSAGE_MAX: Final = 100  # notes, and tags, of one message
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}|#[0-9A-Fa-f]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What somebody wrote about a message; only its writer sees one that is not public."""

    id: int
    message_id: str
    user_id: str
    user: str
    note: str
    is_public: bool
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A word that somebody put on a message."""

    id: int
    message_id: str
    tag: str
    color: str | None
    user_id: str
    user: str
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who notes; `is_admin` may change what others noted."""

    id: str
    name: str
    is_admin: bool = False


class NoteNotFoundError(NotFoundError):
    """The message has no such note or tag, or it is not the caller's."""

    code = "mail_note_not_found"

    def __init__(self, kind: str, number: int) -> None:
        super().__init__(kind, number)
        self.kind = kind
        self.number = number

    def __str__(self) -> str:
        return f"{self.kind} not found or not owned by user"


class TagTakenError(ConflictError):
    """The message has this tag already."""

    code = "mail_tag_taken"

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag

    def __str__(self) -> str:
        return "Tag already exists for this message"


def checked_note(text: str) -> str:
    """Return a note without space around it; raises InvalidError."""
    text = text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if not text:
        raise InvalidError({"note": "Note content is required"})
    if len(text) > NOTE_CHARACTERS_MAX:
        raise InvalidError({"note": f"expected at most {NOTE_CHARACTERS_MAX} characters"})
    return text


def checked_tag(text: str) -> str:
    """Return a tag without space around it; raises InvalidError."""
    text = " ".join(text.replace("\0", " ").split())
    if not text:
        raise InvalidError({"tag": "Tag is required"})
    if len(text) > TAG_CHARACTERS_MAX:
        raise InvalidError({"tag": f"expected at most {TAG_CHARACTERS_MAX} characters"})
    return text


def check_color(text: str | None) -> None:
    """Raise InvalidError for what is no colour such as `#33aa00`."""
    if text is not None and not _COLOR.fullmatch(text):
        raise InvalidError({"color": "expected a colour such as #33aa00"})
