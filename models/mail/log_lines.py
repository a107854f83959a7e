"""What Exim's main log says, line by line; pure but for the zone of this host's clock.

A line may hold anything that a stranger sent: it is decoded with replacement, cut to a length, and
what does not fit a form is kept as it is. Source: Exim's specification, chapter 53, and the logs of
4.96 and 4.98.2.
"""

import calendar
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

LINE_CHARACTERS_MAX: Final = 4_000
RECIPIENTS_MAX: Final = 100
_TEXT_CHARACTERS_MAX: Final = 1_000
_ADDRESS_CHARACTERS_MAX: Final = 320

_ID: Final = r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
_HEAD: Final = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?: ([+-]\d{4}))? (?:\[\d+\] )?"
    rf"(?:({_ID}) )?(.*)",
    re.DOTALL,
)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
# A local part in quotes may hold spaces.
_WORD: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"[^\s<>]*|[^\s]+)')
_ORIGINAL: Final = re.compile(r" <([^<>\s]*)>")
_REMOTE: Final = re.compile(
    r"\bH=(?:([^\s\[\]()]+))?(?: ?\(([^()\s]*)\))?(?: ?\[([0-9A-Fa-f.:]+)\])?"
)
_SIZE: Final = re.compile(r" S=(\d{1,15})(?= |$)")
_SENDER: Final = re.compile(r" F=<([^<>]*)>")
_RECIPIENTS: Final = re.compile(r" for (.+)$")
_DEFER: Final = re.compile(r" defer \((-?\d+)\)")
_ROUTED: Final = re.compile(
    r"(?: (?:[A-Z]{1,3}=\S+|<[^<>]*>|\([^()]*\)|\[[^\[\]]*\](?::\d+)?))*:? ?"
)
_CODE: Final = re.compile(r"(?:^|[\s:\"])([245]\d\d)[ -]")
_REFUSED: Final = re.compile(r"\brejected (\S+)(?: <([^<>]*)>)?")


_FORMATS: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%z")


class Event(StrEnum):
    """What a line of the log tells."""

    ARRIVAL = "arrival"
    DELIVERY = "delivery"
    DEFER = "defer"
    BOUNCE = "bounce"  # a recipient failed for good
    REJECT = "reject"  # it was not taken in
    COMPLETED = "completed"
    FREEZE = "freeze"
    THAW = "thaw"
    DELETE = "delete"
    CANCEL = "cancel"  # bounced by an operator
    MODIFY = "modify"
    OTHER = "other"


# What came of one recipient in one attempt.
ATTEMPTS: Final = (Event.DELIVERY, Event.DEFER, Event.BOUNCE)
STATUSES: Final = {
    Event.ARRIVAL: "received",
    Event.DELIVERY: "delivered",
    Event.DEFER: "deferred",
    Event.BOUNCE: "bounced",
    Event.REJECT: "rejected",
    Event.COMPLETED: "completed",
    Event.FREEZE: "frozen",
    Event.THAW: "queued",
    Event.DELETE: "deleted",
    Event.CANCEL: "cancelled",
}
_FLAGS: Final = {
    "<=": Event.ARRIVAL,
    "(=": Event.ARRIVAL,
    "=>": Event.DELIVERY,
    "->": Event.DELIVERY,
    ">>": Event.DELIVERY,
    "*>": Event.DELIVERY,
    "==": Event.DEFER,
    "**": Event.BOUNCE,
}
# How lines of one message begin, or what is in them.
_BEGINNINGS: Final = (
    ("Completed", Event.COMPLETED),
    ("Frozen", Event.FREEZE),
    ("frozen by", Event.FREEZE),
    ("*** Frozen", Event.FREEZE),
    ("Unfrozen", Event.THAW),
    ("unfrozen by", Event.THAW),
    ("removed by", Event.DELETE),
    ("cancelled by", Event.CANCEL),
    ("sender address changed", Event.MODIFY),
)
_MODIFIED: Final = re.compile(r"(?:recipient|address) <[^<>]*> (?:added|marked delivered) by ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line: `recipient` is whom an attempt was for, `recipients` for whom a message came in."""

    at_ms: int
    event: Event = Event.OTHER
    message_id: str = ""  # empty: of no message
    sender: str = ""  # empty: not told; `<>` is the null sender
    recipient: str = ""
    recipients: tuple[str, ...] = ()
    remote: str = ""  # the name of the host at the other end
    address: str = ""  # and its address
    size_bytes: int | None = None
    code: str = ""  # of SMTP
    error: str = ""
    text: str = ""


def parse_lines(raws: Iterable[bytes], *, before_ms: int = 0) -> list[LogLine]:
    """Return what lines say; what has no moment of its own has that of the line before it."""
    found: list[LogLine] = []
    for raw in raws:
        text = _clean(raw)
        if not text.strip():
            continue
        line = parse_line(text)
        if line is None:
            line = LogLine(at_ms=found[-1].at_ms if found else before_ms, text=text)
        found.append(line)
    return found


def parse_line(text: str) -> LogLine | None:
    """Return what a line says, None if it does not begin with a moment."""
    head = _HEAD.fullmatch(text)
    at_ms = None if head is None else _moment_ms(head[1], head[2], head[3])
    if head is None or at_ms is None:
        return None
    message_id, rest = head[4] or "", head[5]
    line = LogLine(at_ms=at_ms, message_id=message_id, text=text)
    event = _FLAGS.get(rest[:2]) if message_id and rest[2:3] == " " else None
    if event is Event.ARRIVAL:
        return _arrival(line, rest[3:])
    if event is not None:
        return _attempt(line, event, rest[3:])
    if refused := _REFUSED.search(_QUOTED.sub('""', rest)):
        return _rejection(line, rest, refused)
    if message_id:
        return replace(line, event=_deed(rest))
    return line


def _arrival(line: LogLine, rest: str) -> LogLine:
    word = _WORD.match(rest)
    sender = word[0] if word else ""
    plain = _QUOTED.sub('""', rest[len(sender) :])
    size, listed = _SIZE.search(plain), _RECIPIENTS.search(plain)
    recipients = listed[1].split()[:RECIPIENTS_MAX] if listed else []
    remote, address = _remote(plain)
    return replace(
        line,
        event=Event.ARRIVAL,
        sender=_address(sender),
        recipients=tuple(map(_address, recipients)),
        size_bytes=int(size[1]) if size else None,
        remote=remote,
        address=address,
    )


def _attempt(line: LogLine, event: Event, rest: str) -> LogLine:
    word = _WORD.match(rest)
    first = word[0] if word else ""
    behind = rest[len(first) :]
    if event is Event.BOUNCE and first.endswith(":"):
        first, behind = first[:-1], f": {behind.strip()}"
    original = _ORIGINAL.match(behind)
    plain = _QUOTED.sub('""', behind)
    sender = _SENDER.search(plain)
    size = _SIZE.search(plain)
    remote, address = _remote(plain)
    error = _error(event, behind)
    code = _CODE.search(behind if event is Event.DELIVERY else error)
    return replace(
        line,
        event=event,
        recipient=_address(original[1] if original and original[1] else first),
        sender=_address(sender[1] or "<>") if sender else "",
        size_bytes=int(size[1]) if size else None,
        remote=remote,
        address=address,
        code=code[1] if code else "",
        error=error,
    )


def _error(event: Event, behind: str) -> str:
    """Return why an attempt did not succeed."""
    if event is Event.DELIVERY:
        return ""
    if event is Event.DEFER and (found := _DEFER.search(behind)):
        rest = behind[found.end() :]
    else:
        fields = _ROUTED.match(behind)
        rest = behind[fields.end() :] if fields else behind
    return rest.strip(" :")[:_TEXT_CHARACTERS_MAX]


def _rejection(line: LogLine, rest: str, refused: re.Match[str]) -> LogLine:
    plain = _QUOTED.sub('""', rest)
    sender = _SENDER.search(" " + plain)
    remote, address = _remote(plain)
    error = plain[refused.start() :].strip()
    code = _CODE.search(error)
    return replace(
        line,
        event=Event.REJECT,
        sender=_address(sender[1] or "<>") if sender else "",
        recipient=_address(refused[2] or "") if refused[1] == "RCPT" else "",
        remote=remote,
        address=address,
        code=code[1] if code else "",
        error=error[:_TEXT_CHARACTERS_MAX],
    )


def _deed(rest: str) -> Event:
    for beginning, event in _BEGINNINGS:
        if rest.startswith(beginning):
            return event
    return Event.MODIFY if _MODIFIED.match(rest) else Event.OTHER


def _remote(plain: str) -> tuple[str, str]:
    """Return the name and the address of the host at the other end."""
    found = _REMOTE.search(plain)
    if found is None:
        return "", ""
    return (found[1] or found[2] or "")[:255], (found[3] or "")[:45]


def _address(text: str) -> str:
    return text[:_ADDRESS_CHARACTERS_MAX]


def _moment_ms(text: str, fraction: str | None, zone: str | None) -> int | None:
    """Return a moment, by the zone of this host unless one is written; None if there is none."""
    try:
        parts = time.strptime(text if zone is None else text + zone, _FORMATS[zone is not None])
        seconds = time.mktime(parts) if zone is None else _utc_s(parts)
    except (ValueError, OverflowError):
        return None
    return int(seconds) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def _utc_s(parts: time.struct_time) -> int:
    return calendar.timegm(parts) - (parts.tm_gmtoff or 0)


def _clean(raw: bytes) -> str:
    """Return a line as text that any database stores."""
    text = raw[: LINE_CHARACTERS_MAX * 4].decode("utf-8", "replace").rstrip("\r\n")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:LINE_CHARACTERS_MAX]
