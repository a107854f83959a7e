"""A long file of messages in parts, each of which is imported by a request of its own."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

import msgspec

from api.messages.files import COLUMNS
from models.settings import SettingsError

_BYTES_MAX: Final = 8_388_608
_CELL_CHARACTERS_MAX: Final = 16_777_216
_MARK: Final = b"\xef\xbb\xbf"  # that some editors put before UTF-8
_LINE: Final = re.compile(r"line (\d+): (.*)", re.DOTALL)
_ELEMENT: Final = re.compile(r"messages\[(\d+)\]\.(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some messages of a file in a row, as a request carries them."""

    content: bytes
    content_type: str
    count: int
    numbers: Mapping[int, int]  # lines or places of the part: those of the file

    def place_of(self, place: str) -> str:
        """Return a place within the part, as an error names it, as one of the file."""
        for pattern, form in ((_LINE, "line {}: {}"), (_ELEMENT, "messages[{}].{}")):
            if found := pattern.fullmatch(place):
                number = int(found[1])
                return form.format(self.numbers.get(number, number), found[2])
        return place


@dataclass(frozen=True, slots=True)
class _Message:
    """One message of a file: its text, and its first line or its place in the array."""

    text: bytes
    number: int
    line_count: int = 1


@dataclass(frozen=True, slots=True)
class _Form:
    """How messages stand together: what comes before, between and after them, and counts from."""

    content_type: str
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""
    first_number: int = 1

    def part(self, group: list[_Message]) -> Part:
        numbers: dict[int, int] = {}
        here = self.first_number
        for each in group:
            numbers[here] = each.number
            here += each.line_count
        return Part(
            content=self.head + self.between.join(each.text for each in group) + self.tail,
            content_type=self.content_type,
            count=len(group),
            numbers=numbers,
        )


def parts_of(file: BinaryIO, *, count_max: int, skip: int) -> Iterator[Part]:
    """Yield the messages of a file but the first `skip`, so many together, in order.

    JSON lines and CSV are read as they are needed. Raises SettingsError for what is no such file.
    """
    numbered = enumerate(file, 1)
    number, first = next(((at, line) for at, line in numbered if line.strip()), (1, b""))
    start = first.removeprefix(_MARK).lstrip()[:1]
    if not start:
        raise SettingsError("PATH", "holds no messages")
    if start == b"[":
        form = _Form("application/json", b"[", b",", b"]", first_number=0)
        messages = _elements(first.removeprefix(_MARK) + file.read())
    elif start == b"{":
        form = _Form("application/x-ndjson")
        messages = _lines(itertools.chain([(number, first.removeprefix(_MARK))], numbered))
    else:
        _check_heads(first)
        form = _Form("text/csv", head=first, first_number=2)
        messages = _records(numbered)
    for group in _groups(itertools.islice(messages, skip, None), count_max):
        yield form.part(group)


def _check_heads(line: bytes) -> None:
    """Raise SettingsError for a table whose first line is none of names, also if no other comes."""
    heads = next(csv.reader([line.removeprefix(_MARK).decode("utf-8", "replace")]), [])
    if unknown := [head for head in heads if head not in COLUMNS]:
        raise SettingsError("PATH", f"has unknown fields in its first line: {', '.join(unknown)}")
    if "payload" not in heads:
        raise SettingsError("PATH", "has no payload in its first line")


def _lines(numbered: Iterable[tuple[int, bytes]]) -> Iterator[_Message]:
    for number, line in numbered:
        if line.strip():
            yield _Message(line.rstrip(b"\r\n") + b"\n", number)


def _elements(raw: bytes) -> Iterator[_Message]:
    try:
        elements = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError("PATH", f"is not JSON: {error}") from None
    for index, element in enumerate(elements):
        yield _Message(bytes(element), index)


def _records(numbered: Iterable[tuple[int, bytes]]) -> Iterator[_Message]:
    """Yield the records of a CSV file, whose cells may go over several lines."""
    read: list[tuple[int, bytes]] = []

    def noted() -> Iterator[str]:
        for number, line in numbered:
            read.append((number, line))
            # Only quotes and line ends matter here, and no other sign of UTF-8 has their bytes.
            yield line.decode("latin-1")

    csv.field_size_limit(_CELL_CHARACTERS_MAX)
    try:
        for cells in csv.reader(noted()):
            if cells:
                text = b"".join(line for _, line in read)
                text += b"" if text.endswith(b"\n") else b"\n"
                yield _Message(text, read[0][0], len(read))
            read.clear()
    except csv.Error as error:
        raise SettingsError("PATH", f"is not CSV: {error}") from None


def _groups(messages: Iterable[_Message], count_max: int) -> Iterator[list[_Message]]:
    group: list[_Message] = []
    size = 0
    for each in messages:
        if group and (len(group) == count_max or size + len(each.text) > _BYTES_MAX):
            yield group
            group, size = [], 0
        group.append(each)
        size += len(each.text)
    if group:
        yield group
