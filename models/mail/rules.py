"""Values, states and limits of mail: no I/O, no clock, no randomness."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.errors import ConflictError, InvalidError, NotFoundError, UnavailableError

# 16 characters, and 23 since Exim 4.97; a spool may hold both.
_ID: Final = re.compile(
    r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
)
_PLAIN_WORD: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_HOST: Final = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,62}[0-9A-Za-z])?")
# Exim takes what stands in brackets for a comment, `@a:` for a route and `,` for a list: it would
# act on another address than the one that was asked for and audited.
_ATOM: Final = r"""[^\s\x00-\x1f\x7f<>()\[\],:;@"\\]"""
_QUOTED: Final = r'''"(?:[^\s\x00-\x1f\x7f<>"\\]|\\[^\s\x00-\x1f\x7f<>])*"'''
_ADDRESS: Final = re.compile(rf"(?:{_QUOTED}|(?!-){_ATOM}+)(?:@(?:{_ATOM}+|\[[0-9A-Za-z:.]+\]))?")
_ADDRESS_CHARACTERS_MAX: Final = 320
# The name of a folder, in whose place Exim would take a path as well; the length is its limit.
_QUEUE: Final = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.+=@:%~-]{0,63}")


class Status(StrEnum):
    """How far a message in a spool is."""

    QUEUED = "queued"  # no delivery was tried yet
    DEFERRED = "deferred"  # an attempt ended, and another will follow
    FROZEN = "frozen"  # no attempt will follow until somebody thaws it


class Action(StrEnum):
    """What may be done to a message."""

    DELIVER = "deliver"
    FREEZE = "freeze"
    THAW = "thaw"
    REMOVE = "remove"
    BOUNCE = "bounce"
    ADD_RECIPIENTS = "add_recipients"
    DROP_RECIPIENTS = "drop_recipients"  # marked as delivered; no address: all that are left
    CHANGE_SENDER = "change_sender"  # no address: the null sender


# An attempt is made, whose dialogue can be followed.
ATTEMPTED: Final = frozenset({Action.DELIVER, Action.BOUNCE})
# These change the envelope of one message, and take addresses.
EDITS: Final = frozenset({Action.ADD_RECIPIENTS, Action.DROP_RECIPIENTS, Action.CHANGE_SENDER})
ADDRESSES_MAX: Final = 100


class Result(StrEnum):
    """What came of an action on one message."""

    DONE = "done"
    ALREADY = "already"  # it was in that state before
    GONE = "gone"  # it is not in the spool
    LOCKED = "locked"  # a delivery of it is under way
    BROKEN = "broken"  # its files cannot be read
    DENIED = "denied"  # Exim does not let our user do this
    REFUSED = "refused"  # an address is none, or is not among the recipients
    SILENT = "silent"  # Exim said nothing about it
    CANCELLED = "cancelled"  # it was called off, or its time was over, before it began


GOOD: Final = frozenset({Result.DONE, Result.ALREADY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an action on one message, with the words of Exim where it had some."""

    message_id: str
    result: Result
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message of a spool, as its files tell it.

    `recipients` are all of them in Exim's order and `delivered` those that are done; `size_bytes`
    is what Exim shows; `attempts` counts failed tries of the recipient that was tried most.
    """

    message_id: str
    queue: str = ""  # a named queue; empty: the spool's own
    received_at_ms: int
    sender: str  # empty: the null sender
    recipients: tuple[str, ...]
    delivered: tuple[str, ...] = ()
    size_bytes: int
    status: Status
    frozen_at_ms: int | None = None
    is_delivering: bool = False
    subject: str = ""
    host: str = ""  # what it was received from: name and address
    user: str = ""  # who authenticated, or the login that handed it in
    protocol: str = ""
    attempts: int = 0
    last_attempt_at_ms: int | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a watcher tells at once: the state of some messages of one host.

    Batches of a `generation`, which is when the watcher began, are numbered from 1 without gaps
    and are applied in that order. With the one that `is_whole` everything has been told: what was
    told by an earlier generation only is gone.
    """

    host: str
    generation: int
    number: int
    there: tuple[Mail, ...] = ()
    gone: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the index of a host holds once it saw a batch: up to which number of which generation.

    If it holds the batch, both are the same.
    """

    to_batch: tuple[int, int]
    holds: tuple[int, int]


class MessageNotFoundError(NotFoundError):
    """No host has a message of this id."""

    code = "mail_not_found"

    def __init__(self, message_id: str) -> None:
        super().__init__(message_id)
        self.message_id = message_id

    def __str__(self) -> str:
        return "Message not found"


class HostNotFoundError(NotFoundError):
    """No mail host has this name."""

    code = "mail_host_not_found"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"mail host {self.host} is unknown"


class HostAliveError(ConflictError):
    """A mail host shows life, so it cannot be forgotten: it would be back at once."""

    code = "mail_host_alive"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"mail host {self.host} is alive: stop what watches it first"


class MessageIdTakenError(ConflictError):
    """Several hosts have a message of this id, so the caller must name the host."""

    code = "mail_host_needed"

    def __init__(self, message_id: str, hosts: Sequence[str]) -> None:
        super().__init__(message_id, tuple(hosts))
        self.message_id = message_id
        self.hosts = tuple(hosts)

    def __str__(self) -> str:
        return f"message {self.message_id} is on several hosts: {', '.join(self.hosts)}"


class HostAwayError(UnavailableError):
    """A mail host shows no life: nothing was sent to it."""

    code = "mail_host_away"

    def __init__(self, host: str) -> None:
        super().__init__(f"mail host {host}", "it shows no life", 5)
        self.args = (host,)
        self.host = host


def is_message_id(text: str) -> bool:
    """Say whether a text is an id that Exim makes."""
    return _ID.fullmatch(text) is not None


def is_plain_word(text: str) -> bool:
    """Say whether a text could be some other program's id: it names no message, and is harmless."""
    return _PLAIN_WORD.fullmatch(text) is not None


def check_message_id(text: str, *, field: str = "message_id") -> None:
    """Raise InvalidError for what is no id, and MessageNotFoundError for a plain word."""
    if is_message_id(text):
        return
    if is_plain_word(text):
        raise MessageNotFoundError(text)
    raise InvalidError({field: "invalid message ID format (expected: XXXXXX-YYYYYY-ZZ)"})


def is_host(text: str) -> bool:
    """Say whether a text may name a mail host: letters, digits, dots and hyphens."""
    return _HOST.fullmatch(text) is not None


def is_queue(text: str) -> bool:
    """Say whether a text may name a queue of Exim; empty is its own."""
    return text == "" or _QUEUE.fullmatch(text) is not None


def task_queue_of(host: str) -> str:
    """Return the task queue of a host: what is sent there runs on it."""
    return f"mail.{host}"


def check_address(text: str, *, field: str) -> None:
    """Raise InvalidError unless a text may be handed to Exim between angle brackets."""
    if len(text) > _ADDRESS_CHARACTERS_MAX or not _ADDRESS.fullmatch(text):
        raise InvalidError({field: "expected one address, without spaces, brackets or comments"})
