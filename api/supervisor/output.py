"""What the supervisor writes: each line with the name of the program that said it."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from typing import Final, Literal

_COLORS: Final = {
    "up": 37,
    "redis": 31,
    "migrate": 35,
    "api": 32,
    "worker": 34,
    "beat": 33,
    "flower": 36,
}
_NAME_WIDTH: Final = max(map(len, _COLORS))
# A line without end is cut, so that it costs no more memory than this.
_LINE_BYTES_MAX: Final = 16_384


class Output:
    """Standard output, shared by all programs; goes on in silence when its reader is gone."""

    def __init__(self, form: Literal["text", "json"], *, color: bool) -> None:
        self._form = form
        self._color = color

    def say(self, name: str, line: str) -> None:
        """Write one line of a program; JSON passes as it is where the form is JSON."""
        if self._form == "json":
            is_json = line.startswith("{")
            self._write(line if is_json else json.dumps({"program": name, "event": line}))
            return
        prefix = f"{name:<{_NAME_WIDTH}} |"
        if self._color:
            prefix = f"\x1b[{_COLORS.get(name, 37)}m{prefix}\x1b[0m"
        self._write(f"{prefix} {line}")

    def show(self, lines: Iterable[str]) -> None:
        """Write lines of our own that a person may copy, so without prefix."""
        for line in lines:
            if self._form == "json":
                self.say("up", line)
            else:
                self._write(line)

    def _write(self, line: str) -> None:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            # The terminal or the pipe's reader went away; the programs matter more.
            pass


class LinePump(asyncio.Protocol):
    """Hands on whole lines from a pipe, whatever bytes come."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self.finished = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole by now; a line that is too long in pieces."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_on(line)
        while len(self._rest) > _LINE_BYTES_MAX:
            self._hand_on(self._rest[:_LINE_BYTES_MAX])
            self._rest = self._rest[_LINE_BYTES_MAX:]

    def connection_lost(self, _exc: Exception | None) -> None:
        """Hand on the last line, even without its end."""
        if self._rest:
            self._hand_on(self._rest)
            self._rest = b""
        self.finished.set()

    def _hand_on(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), _LINE_BYTES_MAX):
            piece = line[start : start + _LINE_BYTES_MAX].decode("utf-8", "replace").rstrip("\r")
            self._take(piece if piece.isprintable() else _made_printable(piece))


def _made_printable(line: str) -> str:
    """Write out what could move the cursor, rename the window or turn the text around."""
    return "".join(
        letter if letter == "\t" or letter.isprintable() else ascii(letter)[1:-1] for letter in line
    )
