"""What a message says, read on its host for somebody who asks: headers, body, and its own log.

Whoever wrote it may mean no good: it is text from here on, capped, with replacement for what is no
text, and neither run nor unpacked.
"""

import email.message
import email.policy
import os
from collections.abc import Iterator
from email.errors import MessageError
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from models.mail.header_files import decode_words, read_headers
from models.mail.spool import folders
from models.mail.views import Letter

# However much is asked for.
BODY_BYTES_MAX: Final = 10_485_760
_HEADER_FILE_BYTES_MAX: Final = 1_048_576
_HEADERS_MAX: Final = 500
_LOG_BYTES_MAX: Final = 65_536
_PREVIEW_CHARACTERS_MAX: Final = 2_000
_PARTS_MAX: Final = 100


def read_letter(spool: str, message_id: str, *, body_bytes_max: int) -> Letter | None:
    """Return a message of a spool, None when it is not there.

    Raises SpoolFormatError when its header file cannot be made sense of, and OSError when it may
    not be read.
    """
    for folder in folders(spool):
        place = Path(folder.path)
        header_file, body_file = place / f"{message_id}-H", place / f"{message_id}-D"
        try:
            raw = _beginning(header_file, _HEADER_FILE_BYTES_MAX)
            # The file begins with its own name and a line's end.
            name_bytes = len(f"{message_id}-D\n")
            body = _beginning(body_file, name_bytes + body_bytes_max)[name_bytes:]
            size = body_file.stat().st_size - name_bytes
        except FileNotFoundError:
            continue
        headers = read_headers(raw)[:_HEADERS_MAX]
        return Letter(
            headers=tuple(_named(header) for header in headers),
            preview=_preview(b"".join(headers), body),
            body=_text(body),
            body_bytes=max(size, 0),
            is_cut=size > body_bytes_max,
            log=_text(_end(Path(folder.log_path) / message_id, _LOG_BYTES_MAX)),
        )
    return None


def _named(header: bytes) -> tuple[str, str]:
    name, _, value = header.partition(b":")
    return _text(name).strip(), decode_words(value)


def _preview(headers: bytes, body: bytes) -> str:
    """Return the beginning of the first text of a message, decoded as its part says."""
    try:
        parsed = BytesParser(policy=email.policy.compat32).parsebytes(headers + b"\n" + body)
        for part in _parts(parsed):
            if part.get_content_type() == "text/plain":
                content = part.get_payload(decode=True)
                if isinstance(content, bytes):
                    charset = part.get_content_charset() or "utf-8"
                    return _clean(content.decode(charset, "replace"))[:_PREVIEW_CHARACTERS_MAX]
    except (MessageError, LookupError, ValueError, TypeError, RecursionError):
        pass  # not as mail is written: its body is shown as it is
    return _text(body)[:_PREVIEW_CHARACTERS_MAX]


def _parts(message: email.message.Message) -> Iterator[email.message.Message]:
    for number, part in enumerate(message.walk()):
        if number == _PARTS_MAX:
            return
        yield part


def _beginning(path: Path, size_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size_max)


def _end(path: Path, size_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size_max))
            return file.read(size_max)
    except FileNotFoundError:
        return b""


def _text(raw: bytes) -> str:
    return _clean(raw.decode("utf-8", "replace"))


def _clean(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
