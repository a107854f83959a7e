"""What a reader sees of the logs, and what a list of their lines is narrowed by."""

from dataclasses import dataclass, field
from enum import StrEnum

from models.mail.log_lines import LogLine


class LogSortBy(StrEnum):
    """What a list of lines is ordered by; the order of the log decides between equals."""

    TIMESTAMP = "timestamp"
    MESSAGE_ID = "message_id"
    EVENT = "event"
    SENDER = "sender"
    SIZE = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which lines are meant: those to which all that is set applies.

    Texts are parts of what they are compared with, in either case of letters, but for `message_id`,
    `code`, `host` and `events`, which are meant whole. Moments and sizes include their bounds.
    """

    from_ms: int | None = None
    to_ms: int | None = None
    message_id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    keywords: tuple[str, ...] = ()  # of the whole line
    remote: str | None = None
    host: str | None = None
    code: str | None = None
    events: tuple[str, ...] = ()  # empty: all
    size_min: int | None = None
    size_max: int | None = None
    after_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLine:
    """A line that is kept: its number, and the mail host that wrote it."""

    id: int
    host: str
    line: LogLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregations:
    """What the newest lines of a list are, by kinds."""

    events: dict[str, int] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)  # by the hour's beginning, Unix ms
    senders: list[tuple[str, int]] = field(default_factory=list)
    remotes: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A page of lines, and how many the whole list has."""

    lines: list[LoggedLine]
    total: int
    aggregations: Aggregations


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """How a host's log is read: since when nothing was heard, and what is in the way."""

    host: str
    path: str
    trouble: str
    lines: int
    seen_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept in all."""

    lines: int
    oldest_at_ms: int | None
    newest_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A sender, recipient or domain: how much it had, and what came of it."""

    name: str
    messages: int
    size_bytes: int
    delivered: int
    deferred: int
    bounced: int

    @property
    def attempts(self) -> int:
        """Return how many attempts were made."""
        return self.delivered + self.deferred + self.bounced
