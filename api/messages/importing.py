"""Messages put in from a file: one JSON object for each line, a JSON array, or CSV."""

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.http.reading import Body, read_bytes, read_json
from api.messages import bodies as wire
from api.messages.answers import (
    INVALID,
    KEY,
    KEY_REUSED,
    NO_QUEUE,
    REFUSALS,
    BatchesResource,
    note_repeat,
)
from api.messages.bounds import MessageBounds
from api.messages.files import COLUMNS, undefused
from api.openapi.operations import Answer, operation
from models.errors import InvalidError, TooLargeError
from models.messages.rules import NewMessage
from models.messages.service import MessageService

_BLANKS: Final = b" \t\r\n"
_NUMBERS: Final = frozenset({"priority", "max_attempts", "ack_timeout_seconds", "delay_seconds"})
_FAULTS_MAX: Final = 20
# More messages than any setting allows are not looked at one by one, and blank lines not for ever.
_GIVEN_MAX: Final = 10_001
_LINES_MAX: Final = 100_000
_CELL_CHARACTERS_MAX: Final = 16_777_216

Ignored = Annotated[Any, Meta(description="of an export; the new message has its own")]
PayloadText = Annotated[str, Meta(description="a JSON object, instead of payload")]


class ImportLine(wire.NewMessageBody, frozen=True, kw_only=True):
    """A message to put in, or a line of an export."""

    payload: wire.Payload | UnsetType = UNSET  # type: ignore[assignment]  # or it is in payload_text
    payload_text: PayloadText | UnsetType = UNSET
    id: Ignored = None
    status: Ignored = None
    attempt_count: Ignored = None
    created_at: Ignored = None
    last_error: Ignored = None
    waits_for: Ignored = None
    due_at: Ignored = None
    dequeued_at: Ignored = None
    locked_until: Ignored = None
    consumer_id: Ignored = None
    died_at: Ignored = None
    acknowledged_at: Ignored = None


class ImportBody(Body, frozen=True):
    """Messages to put in; as JSON they are a bare array."""

    messages: list[ImportLine]


class _Given(Struct, frozen=True):
    """What came: where each message stands, for the error, and its JSON."""

    items: list[tuple[str, bytes]]


_line_decoder: Final = msgspec.json.Decoder(ImportLine)
_array_decoder: Final = msgspec.json.Decoder(list[Raw])


async def _read_given(req: Request, size_max: int) -> _Given:
    """Return the messages of a body unread; raises InvalidError or TooLargeError."""
    raw = await read_bytes(req, size_max)
    if (req.content_type or "").partition(";")[0].strip().lower() == "text/csv":
        return _Given(list(itertools.islice(_rows(raw), _GIVEN_MAX)))
    if raw.lstrip(_BLANKS)[:1] == b"[":
        try:
            parts = _array_decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidError({"body": f"not JSON: {error}"}) from None
        return _Given([(f"messages[{index}].", bytes(part)) for index, part in enumerate(parts)])
    return _Given(list(itertools.islice(_lines(raw), _GIVEN_MAX)))


def _lines(raw: bytes) -> Iterator[tuple[str, bytes]]:
    count = raw.count(b"\n")
    if count > _LINES_MAX:
        raise TooLargeError("lines of a body", count, _LINES_MAX)
    for number, line in enumerate(io.BytesIO(raw), 1):
        if line.strip(_BLANKS):
            yield f"line {number}: ", line


class ImportResource(BatchesResource):
    """`/api/queue/import`."""

    @operation(
        "Import messages",
        body=ImportBody,
        body_reader=_read_given,
        answers={
            201: Answer(description="All are on disk", body=wire.QueuedBatch),
            400: INVALID,
            404: NO_QUEUE,
            409: KEY_REUSED,
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_post(self, req: Request, resp: Response, *, body: _Given) -> None:
        """Store the messages of a file, all or none, in their order.

        A JSON object for each line (`application/x-ndjson`), a JSON array, or `text/csv` whose
        first line names the fields; what an export wrote is understood. Every line is checked
        first, and the error names line and field. At most BATCH_MESSAGES_MAX at once.
        A request repeated with the same `Idempotency-Key` header is answered as the first one was.
        """
        count_max = self._bounds.batch_messages_max
        if len(body.items) > count_max:
            raise TooLargeError("messages (BATCH_MESSAGES_MAX)", len(body.items), count_max)
        if not body.items:
            raise InvalidError({"body": "Expected at least one message"})
        bodies, messages = _checked(body.items, self._bounds)
        once = self._bounds.once(req, messages)
        stored = await self._service.enqueue(messages, now_ms=self._now_ms(), once=once)
        note_repeat(resp, stored)
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.queued_batch(stored, bodies))


def _checked(
    items: Iterable[tuple[str, bytes]], bounds: MessageBounds
) -> tuple[list[wire.NewMessageBody], list[NewMessage]]:
    """Return the messages; raises InvalidError that names the wrong ones and what is wrong."""
    bodies: list[wire.NewMessageBody] = []
    messages: list[NewMessage] = []
    faults: dict[str, str] = {}
    for where, raw in items:
        try:
            body = _body_of(read_json(raw, _line_decoder))
            messages.append(bounds.new_message(body))
            bodies.append(body)
        except InvalidError as error:
            faults |= {where + name: reason for name, reason in error.details.items()}
            if len(faults) >= _FAULTS_MAX:
                break
    if faults:
        raise InvalidError(faults)
    return bodies, messages


def _body_of(line: ImportLine) -> wire.NewMessageBody:
    """Return what of a line is a message."""
    names = wire.NewMessageBody.__struct_fields__
    return wire.NewMessageBody(
        **{name: getattr(line, name) for name in names} | {"payload": _payload_of(line)}
    )


def _payload_of(line: ImportLine) -> Raw:
    if line.payload_text is UNSET:
        if line.payload is UNSET:
            raise InvalidError({"payload": "Required"})
        return line.payload
    if line.payload is not UNSET:
        raise InvalidError({"payload_text": "given beside payload, expected one of them"})
    text = line.payload_text.strip(_BLANKS.decode())
    try:
        # As in an enqueue: what the numbers mean is for those who read them.
        msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidError({"payload": f"Expected a JSON object: {error}"}) from None
    return Raw(text.encode())


def _rows(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield where each record of a CSV file begins, and the record as JSON."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidError({"body": "Expected UTF-8"}) from None
    csv.field_size_limit(_CELL_CHARACTERS_MAX)
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(records, [])
        _check_names(names)
        line = records.line_num + 1
        for cells in records:
            if cells:
                yield f"line {line}: ", _json_of(names, cells, line)
            line = records.line_num + 1
    except csv.Error as error:
        raise InvalidError({f"line {records.line_num}: body": f"not CSV: {error}"}) from None


def _check_names(names: list[str]) -> None:
    faults = {f"line 1: {name}": "Unknown field" for name in names if name not in COLUMNS}
    faults |= {f"line 1: {name}": "given more than once" for name in names if names.count(name) > 1}
    if "payload" not in names:
        faults["line 1: payload"] = "Required"
    if faults:
        raise InvalidError(dict(list(faults.items())[:_FAULTS_MAX]))


def _json_of(names: list[str], cells: list[str], line: int) -> bytes:
    if len(cells) != len(names):
        expected = f"Expected {len(names)} cells, got {len(cells)}"
        raise InvalidError({f"line {line}: body": expected})
    given: Mapping[str, str] = {
        name: undefused(cell) for name, cell in zip(names, cells, strict=True) if cell
    }
    members: dict[str, object] = {
        name: int(cell) if name in _NUMBERS and cell.isascii() and cell.isdecimal() else cell
        for name, cell in given.items()
    }
    # As a text, so that no cell can hold more than its own field.
    members["payload_text"] = members.pop("payload", "")
    return wire.encode(members)


def routes_of(
    service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Return what answers for imports, by path."""
    return [("/api/queue/import", ImportResource(service, bounds, now_ms))]
