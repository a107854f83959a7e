"""How messages are written into files: a JSON object for each line, or CSV for spreadsheets."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from api.messages import bodies as wire
from api.messages.views import ShownMessage, shown
from models.messages.views import MessageView

COLUMNS: Final = (
    *("id", "queue", "type", "payload", "priority", "max_attempts", "ack_timeout_seconds"),
    *("delay_seconds", "group_key", "status", "attempt_count", "created_at", "last_error"),
    *("waits_for", "due_at", "dequeued_at", "locked_until", "consumer_id", "died_at"),
    "acknowledged_at",
)
# A spreadsheet runs what begins so; the apostrophe, which it hides, is how it is told not to.
_DANGEROUS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'")
_DELAY_MAX_S: Final = 31_536_000
# JSON knows no other line ends outside of its texts.
_LINE_ENDS: Final = ("\n", "\r")


class FileMessage(ShownMessage, frozen=True, kw_only=True):
    """A message in a file: as it is shown, and with what an import needs.

    A payload that was sent in more than one line stands as a text in `payload_text`.
    """

    payload: Raw | UnsetType = UNSET  # type: ignore[assignment]  # or it is in payload_text
    payload_text: str | UnsetType = UNSET
    delay_seconds: int | UnsetType = UNSET


class WrittenFormat(Struct, frozen=True):
    """A kind of file."""

    content_type: str
    head: bytes
    write: Callable[[Iterable[MessageView], int], bytes]


def undefused(cell: str) -> str:
    """Return what a cell of a CSV file stands for."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _DANGEROUS else cell


def _write_lines(views: Iterable[MessageView], now_ms: int) -> bytes:
    return b"".join(wire.encode(_file_message(view, now_ms)) + b"\n" for view in views)


def _write_csv(views: Iterable[MessageView], now_ms: int) -> bytes:
    rows = ([_cell(_csv_values(view, now_ms), name) for name in COLUMNS] for view in views)
    return _csv(rows)


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _file_message(view: MessageView, now_ms: int) -> FileMessage:
    fields = msgspec.structs.asdict(shown(view))
    if any(end in view.payload for end in _LINE_ENDS):
        fields |= {"payload": UNSET, "payload_text": view.payload}
    return FileMessage(**fields, delay_seconds=_delay_seconds(view, now_ms))


def _csv_values(view: MessageView, now_ms: int) -> dict[str, Any]:
    fields = msgspec.structs.asdict(shown(view))
    return {**fields, "payload": view.payload, "delay_seconds": _delay_seconds(view, now_ms)}


def _delay_seconds(view: MessageView, now_ms: int) -> int | UnsetType:
    """Return how long nobody gets the message; one of a group cannot be put in with a delay."""
    if view.due_at_ms is None or view.group_key is not None:
        return UNSET
    return min(max(0, -((now_ms - view.due_at_ms) // 1000)), _DELAY_MAX_S)


def _cell(values: Mapping[str, Any], name: str) -> str:
    value = values[name]
    text = "" if value is None or value is UNSET else str(value)
    return f"'{text}" if text.startswith(_DANGEROUS) else text


FORMATS: Final = {
    "ndjson": WrittenFormat("application/x-ndjson", b"", _write_lines),
    "csv": WrittenFormat("text/csv; charset=utf-8", _csv([COLUMNS]), _write_csv),
}
