"""What a list of messages is narrowed by, and how it is ordered."""

from dataclasses import dataclass
from enum import StrEnum


class SortBy(StrEnum):
    """What a list is ordered by; the id decides between equals."""

    ID = "id"
    SENDER = "sender"
    RECIPIENT = "recipient"
    SIZE = "size"
    STATUS = "status"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFilter:
    """Which messages are meant: those to which all that is set applies.

    Texts are parts of what they are compared with, in either case of letters, but for `status`,
    `host`, `queue` and the domains, which are meant whole. Moments and sizes include their bounds.
    """

    message_id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    subject: str | None = None
    reason: str | None = None  # a part of the last error
    source: str | None = None  # what it was received from
    status: str | None = None
    host: str | None = None
    queue: str | None = None
    sender_domain: str | None = None
    recipient_domain: str | None = None
    received_from_ms: int | None = None
    received_to_ms: int | None = None
    size_min: int | None = None
    size_max: int | None = None
    attempts_min: int | None = None
    attempts_max: int | None = None

    @property
    def has_texts(self) -> bool:
        """Say whether parts of texts are looked for, which no order of the table serves."""
        texts = (self.message_id, self.sender, self.recipient, self.subject, self.reason)
        others = (self.source, self.sender_domain, self.recipient_domain)
        return any(each is not None for each in (*texts, *others))

    @property
    def is_counted(self) -> bool:
        """Say whether the kept counts tell how many messages it finds."""
        return self == MailFilter(host=self.host, status=self.status)
