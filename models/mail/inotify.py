"""The kernel's notes on what changes in folders: a thin binding to inotify (ADR 0011).

Only what the watcher of a spool needs: add folders, read events, know that some were lost.
"""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

MODIFY: Final = 0x2
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
Q_OVERFLOW: Final = 0x4000
IS_DIR: Final = 0x4000_0000
_ONLYDIR: Final = 0x100_0000
_DONT_FOLLOW: Final = 0x200_0000
_HEAD: Final = struct.Struct("iIII")
_BUFFER_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened to `name` in the folder of a watch; -1 stands for the queue of notes."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance; `close` it at the end. For one thread."""

    def __init__(self) -> None:
        """Raises OSError when the kernel has no more instances to give."""
        self._libc: Final = ctypes.CDLL(None, use_errno=True)
        self._fd: Final = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def watch(self, path: str, mask: int) -> int:
        """Watch a folder and return the number of the watch; the same one for the same folder.

        Raises FileNotFoundError, or OSError when `fs.inotify.max_user_watches` is reached.
        """
        mask |= _ONLYDIR | _DONT_FOLLOW
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask))

    def wait(self, timeout_s: float, *, also: int | None = None) -> bool:
        """Wait until there are notes, or `also` can be read; say whether there are notes."""
        files = [self._fd] if also is None else [self._fd, also]
        return self._fd in select.select(files, [], [], timeout_s)[0]

    def read(self) -> Iterator[Note]:
        """Yield what happened since the last time, without waiting."""
        while True:
            try:
                raw = os.read(self._fd, _BUFFER_BYTES)
            except BlockingIOError:
                return
            yield from _parse(raw)

    def close(self) -> None:
        """Forget every watch."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), errno.errorcode.get(number, ""))
        return result


def _parse(raw: bytes) -> Iterator[Note]:
    at = 0
    while at < len(raw):
        watch, mask, _cookie, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield Note(watch, mask, os.fsdecode(raw[at : at + length].rstrip(b"\0")))
        at += length
