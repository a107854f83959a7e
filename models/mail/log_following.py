"""Follows Exim's main log from a place on, through rotation, truncation and half-written lines.

A file is known by its first line, which no other file begins with: so it is found again under the
name that rotation gives it, and a copy of it is the same file. Nothing is kept here: where to read
on is told by whoever stores what was read.
"""

import glob
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.mail.log_lines import LogLine, parse_lines

LINES_MAX: Final = 500
_CHUNK_BYTES_MAX: Final = 256 * 1024
_FIRST_LINE_BYTES_MAX: Final = 4_096
# Of a log that was never read, what is older than that much of its end is left out.
_BEGIN_BYTES_MAX: Final = 16 * 1024 * 1024
# What has a rotated file open may write into it a little longer.
_QUIET_S: Final = 5.0
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lzma")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a log was read: which file, by its first line, and up to which byte."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read, and where to read on."""

    lines: tuple[LogLine, ...]
    place: Place | None
    is_lost: bool = False  # the file of the last place is gone: what followed in it is not known
    has_more: bool = False  # there is something behind that place already


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    name: str  # what it is known by
    size: int
    changed_at_s: float


class LogFollower:
    """The main log at a path as Exim names it: `%s` is `main`, other letters vary."""

    def __init__(self, path: str) -> None:
        self.path: Final = path.replace("%s", "main")
        self._is_dated: Final = "%" in self.path
        self._pattern: Final = _pattern(self.path)

    def read(self, place: Place | None, *, now_s: float) -> Reading:
        """Return the next lines behind a place, at most LINES_MAX; none: there are none yet.

        Raises OSError when the log may not be read; a log that is not there yet is empty.
        """
        current = self._current()
        if current is None:
            return Reading(lines=(), place=place)
        if place is None:
            begin = max(0, current.size - _BEGIN_BYTES_MAX)
            return self._read(current, begin, skips=begin > 0)
        if place.file == current.name:
            return self._read(current, min(place.offset, current.size))
        return self._read_rotated(place, current, now_s)

    def _read_rotated(self, place: Place, current: _File, now_s: float) -> Reading:
        """Read on in a file that was followed by others; then go to the next one."""
        files = [each for each in self._files() if each.name != current.name]
        files = [*files, current]
        found = next((at for at, each in enumerate(files) if each.name == place.file), None)
        if found is None:
            begin = Place(file=current.name, offset=0)
            return Reading(lines=(), place=begin, is_lost=True, has_more=True)
        file = files[found]
        if place.offset < file.size:
            is_quiet = now_s - file.changed_at_s > _QUIET_S
            reading = self._read(file, place.offset, ends=is_quiet)
            if reading.lines or reading.place != place:
                return reading
        if now_s - file.changed_at_s <= _QUIET_S:
            return Reading(lines=(), place=place)
        after = files[found + 1]
        return Reading(lines=(), place=Place(file=after.name, offset=0), has_more=True)

    def _read(
        self, file: _File, offset: int, *, ends: bool = False, skips: bool = False
    ) -> Reading:
        """Read whole lines: `ends` counts what the file ends with, `skips` begins at a line."""
        with Path(file.path).open("rb") as opened:
            opened.seek(offset)
            if skips:
                offset += len(opened.readline(_CHUNK_BYTES_MAX))
            chunk = opened.read(_CHUNK_BYTES_MAX)
        is_long = len(chunk) == _CHUNK_BYTES_MAX
        end = chunk.rfind(b"\n") + 1
        if end == 0 and (is_long or ends):
            end = len(chunk)
        raws = chunk[:end].split(b"\n", LINES_MAX)
        taken = end
        if len(raws) > LINES_MAX:
            taken = end - len(raws.pop())
        lines = parse_lines(raws, before_ms=int(file.changed_at_s * 1000))
        return Reading(
            lines=tuple(lines),
            place=Place(file=file.name, offset=offset + taken),
            has_more=is_long or taken < end,
        )

    def _current(self) -> _File | None:
        if self._is_dated:
            files = self._files()
            return files[-1] if files else None
        return _file(self.path)

    def _files(self) -> list[_File]:
        """Return all files of the log that can be read on, the oldest change first."""
        found = [
            file
            for path in glob.glob(self._pattern)
            if not path.endswith(_COMPRESSED) and (file := _file(path)) is not None
        ]
        return sorted(found, key=lambda file: file.changed_at_s)


def _pattern(path: str) -> str:
    """Return what the names of a log and of its rotated files fit."""
    parts = path.split("%")
    fixed = [glob.escape(parts[0]), *(f"*{glob.escape(part[1:])}" for part in parts[1:])]
    return "".join(fixed) + "*"


def _file(path: str) -> _File | None:
    """Look at a file; None if it is not there, or has no whole line yet."""
    try:
        with Path(path).open("rb") as opened:
            facts = os.fstat(opened.fileno())
            first = opened.read(_FIRST_LINE_BYTES_MAX)
    except (FileNotFoundError, IsADirectoryError):
        return None
    end = first.find(b"\n")
    if end < 0 and len(first) < _FIRST_LINE_BYTES_MAX:
        return None
    name = hashlib.sha256(first[:end] if end >= 0 else first).hexdigest()[:32]
    return _File(path, name, facts.st_size, facts.st_mtime)
