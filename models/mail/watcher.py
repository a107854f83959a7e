"""Follows one spool: knows which messages changed, and tells them in batches.

The kernel's notes say what changed at once; a look at the folders' modification times finds what
they missed (the queue of notes ran over, a folder is new). A change only marks a message: what it
is now is read when a batch is made, so a message that changes ten times is told once, and a
watcher of a hundred thousand messages holds little more than their ids.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from models.mail import inotify
from models.mail.header_files import SpoolFormatError
from models.mail.inotify import Inotify
from models.mail.rules import Batch, Mail, is_message_id
from models.mail.spool import Folder, folders, read_mail

BATCH_MESSAGES_MAX: Final = 500
# A batch travels through a broker: one of long lists of recipients ends sooner.
_BATCH_CHARACTERS_MAX: Final = 512 * 1024
_RESCAN_S: Final = 10.0
# A folder changed that shortly before it was read may change again within the same tick.
_TICK_NS: Final = 100_000_000
# So many unreadable messages are remembered as reported.
_BROKEN_MAX: Final = 1_000
_MASK: Final = (
    inotify.MOVED_TO
    | inotify.MOVED_FROM
    | inotify.CREATE
    | inotify.DELETE
    | inotify.MODIFY
    | inotify.DELETE_SELF
)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    """A folder, the ids in it, and when it had changed last as of the last look; 0: look again."""

    folder: Folder
    message_ids: set[str] = field(default_factory=set)
    changed_at_ns: int = 0
    watch: int | None = None
    # Notes of it were lost: any message in it may have changed.
    is_doubtful: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How a watcher's ids compare with what Exim lists."""

    listed: int
    missing: tuple[str, ...]  # Exim has them, the watcher did not
    surplus: tuple[str, ...]  # the watcher has them, Exim did not


class Watcher:
    """The messages of one spool; for one thread, `close` it at the end.

    Raises PermissionError at the start when the spool may not be read.
    """

    def __init__(
        self,
        spool: str,
        host: str,
        *,
        generation: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool: Final = spool
        self._host: Final = host
        self._generation = generation
        self._monotonic_s: Final = monotonic_s
        self._inotify: Final = Inotify()
        self._seen: Final[dict[str, _Seen]] = {}
        self._by_watch: Final[dict[int, _Seen]] = {}
        self._known: Final[dict[str, _Seen]] = {}
        self._dirty: Final[dict[str, None]] = {}  # in the order of their changes
        self._number = 0
        self._was_whole = False
        self._scanned_at_s = 0.0
        self._delivering: Final[set[str]] = set()
        self._broken: Final[set[str]] = set()
        os.listdir(os.path.join(spool, "input"))  # who may not read it shall know at once
        with suppress(OSError):
            self._inotify.watch(spool, inotify.CREATE | inotify.MOVED_TO)
        self.rescan()

    @property
    def message_ids(self) -> frozenset[str]:
        """Return the ids of all messages that are there, as far as is known."""
        return frozenset(self._known)

    def count_of(self, queue: str = "") -> int:
        """Return how many messages a queue has, as far as is known."""
        return sum(
            len(seen.message_ids) for seen in self._seen.values() if seen.folder.queue == queue
        )

    @property
    def has_changes(self) -> bool:
        """Say whether there is something to tell."""
        return bool(self._dirty) or not self._was_whole

    @property
    def is_behind(self) -> bool:
        """Say whether a batch would be full, or not everything was told once."""
        return len(self._dirty) >= BATCH_MESSAGES_MAX or not self._was_whole

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def wait(self, timeout_s: float, *, also: int | None = None) -> None:
        """Wait until something changes or `also` can be read, at most `timeout_s`; note it."""
        if self._inotify.wait(timeout_s, also=also):
            self.note()
        if self._monotonic_s() - self._scanned_at_s > _RESCAN_S:
            self.rescan()

    def note(self) -> None:
        """Note what the kernel has told so far, without waiting."""
        has_lost = False
        for note in self._inotify.read():
            seen = self._by_watch.get(note.watch)
            has_lost |= self._note(note, seen)
        if has_lost:
            self.rescan()

    def _note(self, note: inotify.Note, seen: _Seen | None) -> bool:
        """Mark the message of a note; say whether folders must be looked at."""
        if note.mask & inotify.Q_OVERFLOW:
            for each in self._seen.values():
                each.is_doubtful = True
            _log.warning("mail_notes_lost", spool=self._spool)
            return True
        if seen is None or note.mask & (inotify.IS_DIR | inotify.DELETE_SELF):
            return bool(note.mask & (inotify.IS_DIR | inotify.DELETE_SELF))
        message_id, kind = note.name[:-2], note.name[-2:]
        if kind == "-H" and note.mask & inotify.MOVED_TO and is_message_id(message_id):
            self._place(message_id, seen)
        elif kind in {"-H", "-J"} and message_id in self._known:
            self._dirty[message_id] = None
        return False

    def rescan(self) -> None:
        """Look at every folder that changed since it was looked at; an unchanged one costs 2 µs."""
        self._scanned_at_s = self._monotonic_s()
        found = {each.path: each for each in folders(self._spool)}
        for path in self._seen.keys() - found.keys():
            self._forget(self._seen.pop(path))
        for path, folder in found.items():
            seen = self._seen.get(path)
            if seen is None:
                seen = self._seen[path] = _Seen(folder)
            self._watch(seen)
            self._scan(seen)
        self._dirty.update(dict.fromkeys(self._delivering))

    def begin_again(self, generation: int) -> None:
        """Tell everything anew, under a new generation: nobody knows any more what was told."""
        self._generation = generation
        self._number = 0
        self._was_whole = False
        self._dirty.update(dict.fromkeys(self._known))

    def take_batch(self) -> Batch:
        """Return the next batch: what changed is read now; it may be empty, as a sign of life."""
        there: list[Mail] = []
        gone: list[str] = []
        characters = 0
        while self._dirty and len(there) + len(gone) < BATCH_MESSAGES_MAX:
            message_id = next(iter(self._dirty))
            del self._dirty[message_id]
            mail = self._look(message_id)
            if mail is None:
                gone.append(message_id)
                continue
            there.append(mail)
            characters += sum(map(len, mail.recipients)) + sum(map(len, mail.delivered)) + 1_000
            if characters > _BATCH_CHARACTERS_MAX:
                break
        is_whole = not self._was_whole and not self._dirty
        self._was_whole |= is_whole
        self._number += 1
        return Batch(
            host=self._host,
            generation=self._generation,
            number=self._number,
            there=tuple(there),
            gone=tuple(gone),
            is_whole=is_whole,
        )

    def compare(self, listed: Iterable[str]) -> Check:
        """Compare with what Exim lists; whatever differs is looked at anew."""
        self.note()
        ids = frozenset(listed)
        missing, surplus = ids - self._known.keys(), self._known.keys() - ids
        for message_id in missing:
            for seen in self._places_of(message_id):
                if os.path.exists(os.path.join(seen.folder.path, f"{message_id}-H")):
                    self._place(message_id, seen)
        self._dirty.update(dict.fromkeys(surplus))
        return Check(
            listed=len(ids), missing=tuple(sorted(missing)), surplus=tuple(sorted(surplus))
        )

    def queues(self) -> tuple[str, ...]:
        """Return the names of all queues, the spool's own as the empty text."""
        return tuple(sorted({seen.folder.queue for seen in self._seen.values()}))

    def _place(self, message_id: str, seen: _Seen) -> None:
        """Note that a message is in a folder, and changed."""
        was = self._known.get(message_id)
        if was is not None and was is not seen:
            was.message_ids.discard(message_id)
        self._known[message_id] = seen
        seen.message_ids.add(message_id)
        self._dirty[message_id] = None

    def _look(self, message_id: str) -> Mail | None:
        """Read a message where it was last, or where else it may be; None: it is gone."""
        for seen in self._places_of(message_id):
            mail = self._read(seen, message_id)
            if mail is None:
                continue
            self._place(message_id, seen)
            self._dirty.pop(message_id, None)
            note = self._delivering.add if mail.is_delivering else self._delivering.discard
            note(message_id)
            return mail
        was = self._known.pop(message_id, None)
        if was is not None:
            was.message_ids.discard(message_id)
        self._delivering.discard(message_id)
        return None

    def _places_of(self, message_id: str) -> Iterator[_Seen]:
        """Yield the folders that may hold a message, first the one where it was last."""
        last = self._known.get(message_id)
        if last is not None:
            yield last
        # In a split spool a message is in the folder of its sixth character.
        names = {"input", message_id[5]}
        for path, seen in self._seen.items():
            if seen is not last and os.path.basename(path) in names:
                yield seen

    def _read(self, seen: _Seen, message_id: str) -> Mail | None:
        try:
            mail = read_mail(seen.folder, message_id)
        except (SpoolFormatError, PermissionError) as error:
            if message_id not in self._broken and len(self._broken) < _BROKEN_MAX:
                self._broken.add(message_id)
                _log.warning("mail_unreadable", message_id=message_id, reason=str(error))
            return None
        self._broken.discard(message_id)
        return mail

    def _watch(self, seen: _Seen) -> None:
        """Watch a folder, before it is read: what changes meanwhile is told by the kernel."""
        if seen.watch is not None:
            return
        try:
            seen.watch = self._inotify.watch(seen.folder.path, _MASK)
        except FileNotFoundError:
            return
        except OSError as error:
            # Then the looks alone tell: later, and for more work.
            _log.warning("mail_folder_unwatched", folder=seen.folder.path, reason=error.strerror)
            return
        self._by_watch[seen.watch] = seen

    def _forget(self, seen: _Seen) -> None:
        if seen.watch is not None:
            self._by_watch.pop(seen.watch, None)
        self._dirty.update(dict.fromkeys(seen.message_ids))

    def _scan(self, seen: _Seen) -> None:
        path = seen.folder.path
        try:
            changed_at_ns = os.stat(path).st_mtime_ns
            if changed_at_ns == seen.changed_at_ns and not seen.is_doubtful:
                return
            looked_at_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
            names = os.listdir(path)
        except FileNotFoundError:
            return
        seen.changed_at_ns = changed_at_ns if looked_at_ns - changed_at_ns > _TICK_NS else 0
        there = {name[:-2] for name in names if name.endswith("-H") and is_message_id(name[:-2])}
        changed = seen.message_ids - there
        if seen.is_doubtful:
            changed |= there
        self._dirty.update(dict.fromkeys(changed & self._known.keys()))
        for message_id in there - seen.message_ids:
            self._place(message_id, seen)
        # Without notes from the kernel each look must read everything that may have changed.
        seen.is_doubtful = seen.watch is None
