"""What of new messages was stored before, under the name that its sender gave it."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection

from models.errors import StanchionError
from models.messages.rules import Enqueued, KeyReusedError, NewMessage, Once, Submission
from models.messages.statements import once
from models.messages.statements.once import First, Name

_REQUESTS: Final = ""  # the scope of whole requests


class Repeats:
    """Knows repeats within one transaction, which holds their names until its commit."""

    def __init__(
        self, connection: Connection, submissions: Sequence[Submission], *, now_ms: int
    ) -> None:
        """Hold the names of all of `submissions`, also of those that will be refused."""
        self._connection: Final = connection
        self._now_ms: Final = now_ms
        self._firsts: Final[dict[Name, tuple[Once, list[int]]]] = {}
        self._pending: Final[dict[Name, int]] = {}  # of this transaction: the place among the new
        names = [name for each in submissions for name in _names(each)]
        self._known: Final = once.hold(connection, names, now_ms=now_ms) if names else {}

    def needing_room(self, submission: Submission, queues: Collection[str]) -> Submission:
        """Return what of a submission is to be stored, or is for none of the queues there are.

        A repeat is answered like the first also when there is no room for more by now.
        """
        if submission.once is not None and (_REQUESTS, submission.once.key) in self._known:
            return Submission([])
        return Submission(
            [
                new
                for new in submission.messages
                if new.queue not in queues
                or new.once is None
                or (new.queue, new.once.key) not in self._known
            ]
        )

    def of_request(self, submission: Submission) -> Enqueued | StanchionError | None:
        """Return the outcome of a request that came before, or why it is refused; else None."""
        if submission.once is None:
            return None
        first = self._known.get((_REQUESTS, submission.once.key))
        if first is None:
            return None
        if first.fingerprint != submission.once.fingerprint:
            return KeyReusedError(submission.once.key)
        return Enqueued(first.ids, first.created_at_ms, is_repeat=True)

    def of_message(self, new: NewMessage) -> First | None:
        """Return the message that a repeat stands for, set anew if that is wanted; else None."""
        if new.once is None:
            return None
        name = (new.queue, new.once.key)
        first = self._known.get(name)
        if first is None or not new.once.replaces:
            return first
        if not once.replace(self._connection, first.ids[0], new, now_ms=self._now_ms):
            del self._known[name]  # it is on its way or over: the new one is the first
            return None
        once.prolong(self._connection, name, until_ms=self._now_ms + new.once.keep_ms)
        return first

    def remember(self, new: NewMessage, place: int) -> int | None:
        """Note a new message by its place among the new; return the place of an equal one."""
        if new.once is None:
            return None
        return self._earlier((new.queue, new.once.key), place)

    def remember_request(self, submission: Submission, place: int) -> int | None:
        """Note a new request by its place; return the place of an equal one before it."""
        if submission.once is None:
            return None
        return self._earlier((_REQUESTS, submission.once.key), place)

    def of_equal(
        self, submission: Submission, first: Submission, stored: Enqueued
    ) -> Enqueued | StanchionError:
        """Return the outcome of a request whose equal came in the same transaction."""
        assert submission.once
        assert first.once
        if submission.once.fingerprint != first.once.fingerprint:
            return KeyReusedError(submission.once.key)
        return Enqueued(stored.ids, stored.created_at_ms, is_repeat=True)

    def _earlier(self, name: Name, place: int) -> int | None:
        first = self._pending.setdefault(name, place)
        return None if first == place else first

    def note(self, submissions: Sequence[tuple[Submission, Enqueued]]) -> None:
        """Keep what was stored, under its names."""
        for submission, stored in submissions:
            if submission.once is not None:
                self._firsts[_REQUESTS, submission.once.key] = (submission.once, stored.ids)
            for place, new in enumerate(submission.messages):
                if new.once is not None and place not in stored.repeated:
                    self._firsts[new.queue, new.once.key] = (new.once, [stored.ids[place]])
        once.note(self._connection, self._firsts, now_ms=self._now_ms)


def _names(submission: Submission) -> list[Name]:
    names = [(new.queue, new.once.key) for new in submission.messages if new.once is not None]
    if submission.once is not None:
        names.append((_REQUESTS, submission.once.key))
    return names
