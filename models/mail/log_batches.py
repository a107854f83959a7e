"""What travels between a host that reads its log and the database that keeps it."""

from dataclasses import dataclass

from models.mail.log_following import Place
from models.mail.log_lines import LogLine
from models.mail.retry_hints import RetryHint


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBatch:
    """Lines of one host's log, between two places; without a `place` it asks where we are.

    It counts only where `after` is the place that is stored.
    """

    host: str
    began_at_ms: int  # with the number it names the batch
    number: int
    path: str = ""
    trouble: str = ""  # why the log cannot be read
    after: Place | None = None
    place: Place | None = None
    lines: tuple[LogLine, ...] = ()
    hints: tuple[RetryHint, ...] | None = None  # all that there are now; None: as before


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeld:
    """Up to which place the database holds a host's log, once it saw a batch."""

    batch: tuple[int, int]
    place: Place | None
