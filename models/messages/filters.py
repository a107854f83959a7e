"""Which messages are meant: what may be asked for of a list; no I/O, no clock."""

import json
import string
from dataclasses import dataclass
from typing import Final

# What a database cannot keep in a text, so none holds it.
_NUL: Final = "\0"
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Messages for which all of this is true; what is None does not matter.

    `search` is found in the payload as it was sent or in the last error, a to z in either case.
    Bounds of time include their own moment on the side `created_after_ms` and not on the other, so
    that ranges can be put end to end.
    """

    queue: str | None = None
    type: str | None = None  # "" for messages without a type
    ids: tuple[int, ...] | None = None  # none of them: no message
    search: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    attempts_min: int | None = None
    group_key: str | None = None

    @property
    def is_counted(self) -> bool:
        """Say whether counters know how many messages are meant: by queue and type only."""
        rest = (self.ids, self.search, self.created_after_ms, self.created_before_ms)
        return all(value is None for value in (*rest, self.attempts_min, self.group_key))


def needles_of(search: str) -> tuple[str, ...]:
    """Return the texts to look for, in lower case: a payload is JSON, which may write it escaped.

    They are what was asked for and its two spellings within a JSON string, without repeats.
    """
    escaped = (json.dumps(search, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    needles = (needle.translate(_TO_LOWER) for needle in (search, *escaped))
    return tuple(dict.fromkeys(needle for needle in needles if _NUL not in needle))
