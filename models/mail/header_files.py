"""Reads what a `-H` file of an Exim spool says: envelope, variables, headers.

Everything in it may be hostile: bytes are decoded with replacement.
Source: Exim's specification, chapter 56, and spool files of 4.96 and 4.98.2.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.errors import MessageError
from email.header import decode_header
from typing import Final

from models.mail.rules import is_message_id

_SUBJECT_CHARACTERS_MAX: Final = 500
_EXTRA: Final = re.compile(rb"(.*) (-?\d+),(-?\d+)#(\d+)", re.DOTALL)
_DSN: Final = re.compile(rb"(.*) (\d+),(\d+)", re.DOTALL)
_VARIABLE: Final = re.compile(rb"--?(?:\([^)\n]*\))?([A-Za-z0-9_]+)(?: (.*))?", re.DOTALL)
_HEADER: Final = re.compile(rb"(\d{3,})(.) ", re.DOTALL)


class SpoolFormatError(Exception):
    """A file of the spool is not what Exim writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a `-H` file says."""

    message_id: str
    login: str
    sender: str
    received_at_ms: int
    variables: dict[str, str]
    delivered: tuple[str, ...]
    recipients: tuple[str, ...]
    headers_bytes: int
    subject: str


def parse_header_file(raw: bytes) -> Envelope:
    """Return what a `-H` file says; raises SpoolFormatError."""
    try:
        return _parse(_Lines(raw))
    except (ValueError, IndexError) as error:
        raise SpoolFormatError(str(error) or "it ends too early") from None


def read_headers(raw: bytes) -> list[bytes]:
    """Return the headers of a `-H` file that count, each with the lines it is folded into.

    Raises SpoolFormatError.
    """
    lines = _Lines(raw)
    try:
        _parse_envelope(lines)
        return list(_headers(lines))
    except (ValueError, IndexError) as error:
        raise SpoolFormatError(str(error) or "it ends too early") from None


def _parse(lines: "_Lines") -> Envelope:
    known = _parse_envelope(lines)
    headers_bytes, subject = _parse_headers(lines)
    return replace(known, headers_bytes=headers_bytes, subject=subject)


def _parse_envelope(lines: "_Lines") -> Envelope:
    """Read all that stands before the headers."""
    name = lines.take().decode("ascii")
    message_id = name.removesuffix("-H")
    if not name.endswith("-H") or not is_message_id(message_id):
        raise ValueError("the first line names no message")
    # A login may hold spaces, so it is what is left of the two numbers.
    login = lines.take().rsplit(b" ", 2)[0]
    sender = lines.take()
    if not (sender.startswith(b"<") and sender.endswith(b">")):
        raise ValueError("the third line is no sender")
    received_at_s = int(lines.take().split(b" ")[0])
    variables = _parse_variables(lines)
    delivered = _parse_tree(lines)
    recipients = [text_of(_recipient(lines.take())) for _ in range(int(lines.take()))]
    fraction = variables.get("received_time_usec", "").lstrip(".")[:3]
    return Envelope(
        message_id=message_id,
        login=text_of(login),
        sender=text_of(sender[1:-1]),
        received_at_ms=received_at_s * 1000 + (int(fraction) if fraction.isdecimal() else 0),
        variables=variables,
        delivered=tuple(map(text_of, delivered)),
        recipients=tuple(recipients),
        headers_bytes=0,
        subject="",
    )


def _parse_variables(lines: "_Lines") -> dict[str, str]:
    """Read the lines that begin with a hyphen, up to the tree of who was delivered."""
    variables: dict[str, str] = {}
    while lines.peek() == ord("-"):
        found = _VARIABLE.fullmatch(lines.take())
        if found is None:
            continue  # of a later release; Exim's own rule is to ignore it
        name, value = found[1].decode(), found[2] or b""
        if name in {"aclc", "aclm", "acl"}:
            # Its value comes behind the line and may hold line ends.
            lines.skip(int(value.rsplit(b" ", 1)[-1]) + 1)
        else:
            variables[name] = text_of(value)
    return variables


def _parse_tree(lines: "_Lines") -> list[bytes]:
    """Read the binary tree of addresses that need no delivery any more."""
    first = lines.take()
    if first == b"XX":
        return []
    found, missing, line = [], 1, first
    while True:
        if line[:1] not in {b"Y", b"N"} or line[1:2] not in {b"Y", b"N"} or line[2:3] != b" ":
            raise ValueError("the tree of deliveries is broken")
        found.append(line[3:])
        missing += line[:2].count(b"Y") - 1
        if missing == 0:
            return found
        line = lines.take()


def _recipient(line: bytes) -> bytes:
    """Return the address of a recipient's line, without what Exim may note behind it."""
    found = _EXTRA.fullmatch(line)
    if found is None:
        return line
    address = _without_last(found[1], int(found[2]))
    if int(found[4]) & 2 and (dsn := _DSN.fullmatch(address)):
        address = _without_last(dsn[1], int(dsn[2]))
    return address


def _without_last(line: bytes, length: int) -> bytes:
    """Cut off a text of a known length, which may be empty, and the space before it."""
    return (line[:-length] if length > 0 else line).removesuffix(b" ")


def _parse_headers(lines: "_Lines") -> tuple[int, str]:
    """Return how many bytes the headers have that count, and the subject."""
    total, subject = 0, ""
    for text in _headers(lines):
        total += len(text)
        if not subject and text[:8].lower() == b"subject:":
            subject = decode_words(text[8:])
    return total, subject


def _headers(lines: "_Lines") -> Iterator[bytes]:
    """Read the headers that count; those that were deleted are kept in the file for the record."""
    if lines.take() != b"":
        raise ValueError("no empty line stands before the headers")
    while found := lines.match(_HEADER):
        length, flag = int(found[1]), found[2]
        text = lines.bytes(length)
        if len(text) < length:
            raise ValueError("it ends within a header")
        if flag != b"*":
            yield text


def decode_words(raw: bytes) -> str:
    """Return a header's text on one line, RFC 2047 words decoded, with replacement."""
    text = " ".join(raw.decode("utf-8", "replace").split())
    with contextlib.suppress(MessageError, LookupError, ValueError):
        if "=?" in text:
            parts = [
                part if isinstance(part, str) else part.decode(charset or "ascii", "replace")
                for part, charset in decode_header(text)
            ]
            text = "".join(parts)
    return clean(text)[:_SUBJECT_CHARACTERS_MAX]


class _Lines:
    """A file that is read line by line and, where a length is known, byte by byte."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self) -> bytes:
        """Return the next line without its end; raises IndexError at the end."""
        end = self._raw.find(b"\n", self._at)
        if end < 0:
            raise IndexError
        line = self._raw[self._at : end]
        self._at = end + 1
        return line

    def peek(self) -> int:
        """Return the next byte; raises IndexError at the end."""
        return self._raw[self._at]

    def skip(self, count: int) -> None:
        self._at += count

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Take what fits a pattern here."""
        found = pattern.match(self._raw, self._at)
        if found:
            self._at = found.end()
        return found

    def bytes(self, count: int) -> bytes:
        """Take that many bytes, fewer at the end."""
        taken = self._raw[self._at : self._at + count]
        self._at += count
        return taken


def text_of(raw: bytes) -> str:
    """Return bytes as text, with replacement."""
    return clean(raw.decode("utf-8", "replace"))


def clean(text: str) -> str:
    """Take out what no database stores: NUL, and halves of characters (UTF-7 can make them)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
