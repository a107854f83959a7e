"""Reads the files of an Exim spool: what a message is, and how its deliveries went so far.

`-H` has the envelope and the headers (`header_files.py`), `-D` the body, `-J` who was delivered in
an attempt that is under way, the message log what went wrong. Sizes are bounded, and what does not
fit is an error of one message only.
Source: Exim's specification, chapter 56, and spool files of 4.96 and 4.98.2.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from models.mail.header_files import Envelope, SpoolFormatError, clean, parse_header_file, text_of
from models.mail.rules import Mail, Status

# Exim limits what it accepts far below; more than that is no header file.
_HEADER_FILE_BYTES_MAX: Final = 32 * 1024 * 1024
_LOG_BYTES_MAX: Final = 64 * 1024
_ERROR_CHARACTERS_MAX: Final = 500
_ATTEMPT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?(?: [+-]\d{4})? (?:\[\d+\] )?(.+?) (?:<\S*> )?"
    r"(?:[RTPD]\S*=\S+ )*defer \(-?\d+\)(.*)"
)
_SPLIT: Final = re.compile(r"[0-9A-Za-z]")
# Folders of a spool that are no queues.
_NO_QUEUES: Final = frozenset({"input", "msglog", "db", "scan", "gnutls-params"})


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds messages: of which queue, and its paths."""

    queue: str
    path: str
    log_path: str  # of the message logs beside it


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
        done.update(text_of(line) for line in journal.split(b"\n") if line)
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


def parse_message_log(text: str) -> Attempts:
    """Return what a message log says of attempts; no recipient counts for another's tries.

    Where none was made, as while a smarthost is down, the error is why Exim made none. Moments in
    it are local time of this host.
    """
    counts: dict[str, int] = {}
    last: re.Match[str] | None = None
    not_made: re.Match[str] | None = None
    for line in text.splitlines():
        found = _ATTEMPT.fullmatch(line)
        if found is None:
            continue
        if "retry time not reached" in line:
            not_made = found
            continue
        counts[found[2]] = counts.get(found[2], 0) + 1
        last = found
    if last is None:
        return Attempts(last_error=_error(not_made[3]) if not_made else "")
    at_s = time.mktime(time.strptime(last[1], "%Y-%m-%d %H:%M:%S"))
    count = max(counts.values())
    return Attempts(count=count, last_at_ms=int(at_s) * 1000, last_error=_error(last[3]))


def _error(text: str) -> str:
    return clean(text.strip(" :"))[:_ERROR_CHARACTERS_MAX]


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
