"""What a reader sees of the index."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from models.mail.rules import Mail

# Who is silent for longer is taken to be down: a watcher tells something every two seconds.
HOST_SILENT_MS_MAX: Final = 10_000


class Spot(NamedTuple):
    """Where a message is: on which host, in which of its queues."""

    host: str
    queue: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedMail:
    """A message and the host that has it."""

    host: str
    mail: Mail
    next_at_ms: int | None = None  # when the first open recipient is tried; None: no hint tells

    @property
    def spot(self) -> Spot:
        """Return where it is."""
        return Spot(self.host, self.mail.queue, self.mail.message_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much all queues hold, or those of one host; the oldest came in at `oldest_at_ms`."""

    by_status: dict[str, int]
    size_bytes: int
    oldest_at_ms: int | None

    @property
    def messages(self) -> int:
        """Return how many messages there are."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPage:
    """A page of a list, how many messages the whole list has, and what all queues hold."""

    mails: Sequence[HostedMail]
    total: int
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A mail host, as the index knows it; `is_whole` once its watcher has told everything."""

    name: str
    seen_at_ms: int
    is_whole: bool
    messages: int

    def is_alive(self, *, now_ms: int) -> bool:
        """Say whether it showed life just now."""
        return now_ms - self.seen_at_ms <= HOST_SILENT_MS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What all hosts had at one moment."""

    at_ms: int
    messages: int
    deferred: int
    frozen: int
    size_bytes: int
    oldest_at_ms: int | None


class GroupBy(StrEnum):
    """What messages are put together by."""

    SENDER = "sender"
    SENDER_DOMAIN = "sender_domain"
    RECIPIENT_DOMAIN = "recipient_domain"
    REASON = "reason"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Messages that have something in common; the oldest came in at `oldest_at_ms`."""

    value: str
    messages: int
    size_bytes: int
    oldest_at_ms: int


class Trend(StrEnum):
    """How the number of messages goes."""

    GROWING = "growing"
    SHRINKING = "shrinking"
    STABLE = "stable"


def trend_of(before: int, now: int) -> Trend:
    """Say how a number goes; less than a twentieth, or than ten, is no change."""
    least = max(before // 20, 9)
    if abs(now - before) <= least:
        return Trend.STABLE
    return Trend.GROWING if now > before else Trend.SHRINKING


# An answer that nobody fetched is gone after that long.
ANSWER_KEPT_S: Final = 60


def answer_key(request_id: str) -> str:
    """Return where a letter lies in Redis until whoever asked for it fetches it."""
    return f"mail:letter:{request_id}"


class Letter(Struct, frozen=True, kw_only=True):
    """A message as its host has it; texts hold no NUL."""

    headers: tuple[tuple[str, str], ...]  # names as they are written, words decoded
    preview: str  # the beginning of its first part that is text
    body: str  # as it travels, from the beginning
    body_bytes: int  # of all of it
    is_cut: bool  # the body is longer than what is here
    log: str  # what Exim noted of it, the end
