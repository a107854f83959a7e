"""Seen before it is done: what a preview hands out, and who acts on a filter brings back.

A confirmation is numbers (when it was seen, how many there were) with a digest over them and what
was asked for. It is no secret and grants nothing: it keeps a client from doing what it did not see.
"""

import hashlib
from typing import Final

import msgspec

from models.errors import ConflictError

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_DIGEST_CHARACTERS: Final = 16
_NUMBER_END: Final = 1 << 62


class UnconfirmedError(ConflictError):
    """What the client confirms is not what it asks for now: look again, by a preview."""

    code = "UNCONFIRMED"

    def __str__(self) -> str:
        return "confirm does not fit this request, expected that of a preview of the same"


class ChangedCountError(ConflictError):
    """It is not as many messages any more as the client saw: look again, by a preview."""

    code = "COUNT_CHANGED"

    def __init__(self, seen: int, count: int) -> None:
        super().__init__(seen, count)
        self.seen = seen
        self.count = count

    def __str__(self) -> str:
        return f"{self.count} messages fit the filter, expected the {self.seen} of the preview"

    @property
    def details(self) -> dict[str, str]:
        """Return what a program may want to know."""
        return {"seen": str(self.seen), "count": str(self.count)}


def confirmation_text(numbers: tuple[int, ...], *asked: object) -> str:
    """Return what the client is to bring; `asked` must fit JSON."""
    text = "-".join(f"{number:x}" for number in numbers)
    return f"{text}-{_digest(text, *asked)}"


def read_confirmation(text: str, count: int, *asked: object) -> tuple[int, ...]:
    """Return the `count` numbers of a confirmation.

    Raises UnconfirmedError if it is of something else.
    """
    text, _, digest = text.rpartition("-")
    try:
        numbers = tuple(int(part, 16) for part in text.split("-"))
    except ValueError:
        raise UnconfirmedError from None
    if digest != _digest(text, *asked) or len(numbers) != count or max(numbers) >= _NUMBER_END:
        raise UnconfirmedError
    return numbers


def _digest(numbers: str, *asked: object) -> str:
    return hashlib.sha256(_encode([numbers, *asked])).hexdigest()[:_DIGEST_CHARACTERS]
