"""Reads the files of an Exim spool: what a message is, and how its deliveries went so far.

`-H` has the envelope and the headers, `-D` the body, `-J` who was delivered in an attempt that is
under way, the message log what went wrong. Everything in them may be hostile: bytes are decoded
with replacement, sizes are bounded, and what does not fit is an error of one message only.
Source: Exim's specification, chapter 56, and spool files of 4.96 and 4.98.2.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.errors import MessageError
from email.header import decode_header
from typing import Final

from models.mail.rules import Mail, Status, is_message_id

# Exim limits what it accepts far below; more than that is no header file.
_HEADER_FILE_BYTES_MAX: Final = 32 * 1024 * 1024
_LOG_BYTES_MAX: Final = 64 * 1024
SUBJECT_CHARACTERS_MAX: Final = 500
_ERROR_CHARACTERS_MAX: Final = 500
_EXTRA: Final = re.compile(rb"(.*) (-?\d+),(-?\d+)#(\d+)", re.DOTALL)
_DSN: Final = re.compile(rb"(.*) (\d+),(\d+)", re.DOTALL)
_VARIABLE: Final = re.compile(rb"--?(?:\([^)\n]*\))?([A-Za-z0-9_]+)(?: (.*))?", re.DOTALL)
_HEADER: Final = re.compile(rb"(\d{3,})(.) ", re.DOTALL)
_ATTEMPT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?(?: [+-]\d{4})? (?:\[\d+\] )?(.+?) (?:<\S*> )?"
    r"(?:[RTPD]\S*=\S+ )*defer \(-?\d+\)(.*)"
)
_SPLIT: Final = re.compile(r"[0-9A-Za-z]")
# Folders of a spool that are no queues.
_NO_QUEUES: Final = frozenset({"input", "msglog", "db", "scan", "gnutls-params"})


class SpoolFormatError(Exception):
    """A file of the spool is not what Exim writes."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds messages: of which queue, and its paths."""

    queue: str
    path: str
    log_path: str  # of the message logs beside it


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What a message log says of attempts that did not succeed."""

    count: int = 0
    last_at_ms: int | None = None
    last_error: str = ""


def folders(spool: str) -> Iterator[Folder]:
    """Yield every folder that may hold messages, of all queues, split or not."""
    with contextlib.suppress(FileNotFoundError):
        names = sorted(entry.name for entry in os.scandir(spool) if entry.is_dir())
        for queue in ["", *(name for name in names if name not in _NO_QUEUES)]:
            yield from _folders_of(spool, queue)


def _folders_of(spool: str, queue: str) -> Iterator[Folder]:
    top, logs = os.path.join(spool, queue, "input"), os.path.join(spool, queue, "msglog")
    try:
        with os.scandir(top) as entries:
            parts = sorted(each.name for each in entries if _SPLIT.fullmatch(each.name))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield Folder(queue, top, logs)
    for part in parts:
        yield Folder(queue, os.path.join(top, part), os.path.join(logs, part))


def read_mail(folder: Folder, message_id: str) -> Mail | None:
    """Return a message as its files tell it now, None if it is not in this folder.

    Raises SpoolFormatError when its header file cannot be made sense of, and OSError when it may
    not be read.
    """
    stem = os.path.join(folder.path, message_id)
    try:
        raw = _read(f"{stem}-H", _HEADER_FILE_BYTES_MAX)
        body_bytes = os.stat(f"{stem}-D").st_size
    except FileNotFoundError:
        return None
    envelope = parse_header_file(raw)
    if envelope.message_id != message_id:
        raise SpoolFormatError(f"{message_id}-H is of {envelope.message_id}")
    journal = _read_if_there(f"{stem}-J")
    mail = make_mail(envelope, body_bytes=body_bytes, queue=folder.queue, journal=journal)
    log = _tail_if_there(os.path.join(folder.log_path, message_id))
    if not log:
        return mail
    attempts = parse_message_log(log.decode("utf-8", "replace"))
    return replace(
        mail,
        attempts=attempts.count,
        last_attempt_at_ms=attempts.last_at_ms,
        last_error=attempts.last_error,
    )


def make_mail(
    envelope: Envelope, *, body_bytes: int, queue: str = "", journal: bytes | None = None
) -> Mail:
    """Put together what the files say; `journal` is None when no attempt is under way."""
    done = {*envelope.delivered}
    if journal is not None:
        done.update(_text(line) for line in journal.split(b"\n") if line)
    known = envelope.variables
    frozen_at = known.get("frozen")
    if frozen_at is not None:
        status = Status.FROZEN
    else:
        status = Status.QUEUED if "deliver_firsttime" in known else Status.DEFERRED
    # The body's file begins with its own name and a line's end, which is no part of the message.
    body = body_bytes - len(f"{envelope.message_id}-D\n") + 1
    return Mail(
        message_id=envelope.message_id,
        queue=queue,
        received_at_ms=envelope.received_at_ms,
        sender=envelope.sender,
        recipients=envelope.recipients,
        delivered=tuple(each for each in envelope.recipients if each in done),
        size_bytes=envelope.headers_bytes + max(body, 0),
        status=status,
        frozen_at_ms=int(frozen_at) * 1000 if frozen_at and frozen_at.isdecimal() else None,
        is_delivering=journal is not None,
        subject=envelope.subject,
        host=_host_of(known),
        user=known.get("auth_id") or (envelope.login if "local" in known else ""),
        protocol=known.get("received_protocol", ""),
    )


def _host_of(known: dict[str, str]) -> str:
    """Return what a message came from: `name [address]`, without the port."""
    address = known.get("host_address", "")
    if address.startswith("[") and "]" in address:
        address = address[: address.index("]") + 1]
    elif address:
        address = f"[{address.rpartition('.')[0]}]"
    name = known.get("host_name") or known.get("helo_name", "")
    return " ".join(part for part in (name, address) if part) if address else ""


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
    recipients = [_text(_recipient(lines.take())) for _ in range(int(lines.take()))]
    fraction = variables.get("received_time_usec", "").lstrip(".")[:3]
    return Envelope(
        message_id=message_id,
        login=_text(login),
        sender=_text(sender[1:-1]),
        received_at_ms=received_at_s * 1000 + (int(fraction) if fraction.isdecimal() else 0),
        variables=variables,
        delivered=tuple(map(_text, delivered)),
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
            variables[name] = _text(value)
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
    return _clean(text)[:SUBJECT_CHARACTERS_MAX]


def parse_message_log(text: str) -> Attempts:
    """Return what a message log says of attempts; no recipient counts for another's tries.

    Moments in it are local time of this host.
    """
    counts: dict[str, int] = {}
    last: re.Match[str] | None = None
    for line in text.splitlines():
        found = _ATTEMPT.fullmatch(line)
        if found is None or "retry time not reached" in line:
            continue
        counts[found[2]] = counts.get(found[2], 0) + 1
        last = found
    if last is None:
        return Attempts()
    at_s = time.mktime(time.strptime(last[1], "%Y-%m-%d %H:%M:%S"))
    error = _clean(last[3].strip(" :"))[:_ERROR_CHARACTERS_MAX]
    return Attempts(count=max(counts.values()), last_at_ms=int(at_s) * 1000, last_error=error)


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


def _text(raw: bytes) -> str:
    return _clean(raw.decode("utf-8", "replace"))


def _clean(text: str) -> str:
    """Take out what no database stores: NUL, and halves of characters (UTF-7 can make them)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _read(path: str, size_max: int) -> bytes:
    return _take(path, lambda size: (0, min(size, size_max)))


def _read_if_there(path: str) -> bytes | None:
    try:
        return _read(path, _HEADER_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None


def _tail_if_there(path: str) -> bytes | None:
    """Return the end of a file that may grow without bounds."""
    try:
        return _take(path, lambda size: (max(0, size - _LOG_BYTES_MAX), _LOG_BYTES_MAX))
    except FileNotFoundError:
        return None


def _take(path: str, part: Callable[[int], tuple[int, int]]) -> bytes:
    """Return a part of a file: `part` says from where and how much, by the file's size.

    Without a file object, which asks the kernel three more questions and is most of the time that
    a message takes to read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        at, left = part(os.fstat(descriptor).st_size)
        pieces = []
        while left > 0 and (piece := os.pread(descriptor, left, at)):
            pieces.append(piece)
            at, left = at + len(piece), left - len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)
