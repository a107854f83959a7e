"""Tells the log of a host: one batch of lines at a time, from the place that is stored.

Where to read on is asked of the database at the start and told by it after each batch, which it
takes only if it follows the last one: a batch that is lost, repeated or late changes nothing. Who
has read up to the end looks again half a second later, however soon the batch was taken.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from models.errors import UnavailableError
from models.mail.log_batches import LogBatch, LogHeld
from models.mail.log_following import LogFollower, Place
from models.mail.log_lines import LogLine
from models.mail.retry_hints import RetryHint

# How often Exim's hints are looked at.
_HINTS_S: Final = 5.0
_POLL_S: Final = 0.5
_LIFE_S: Final = 20.0
_AGAIN_S: Final = 10.0

_log = structlog.stdlib.get_logger(__name__)


class LogTeller:
    """Sends what a log says; `step` in a thread, `note_held` from any."""

    def __init__(
        self,
        follower: LogFollower | None,
        host: str,
        *,
        send: Callable[[LogBatch], None],
        now_ms: Callable[[], int],
        hints: Callable[[], tuple[RetryHint, ...]] = tuple,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` raises UnavailableError while the broker is away; no follower: no log file.

        `hints` are asked for now and then; they are told when they changed.
        """
        self._follower: Final = follower
        self._host: Final = host
        self._send: Final = send
        self._began_at_ms: Final = now_ms()
        self._now_ms: Final = now_ms
        self._monotonic_s: Final = monotonic_s
        self._ask_hints: Final = hints
        self._hints: tuple[RetryHint, ...] | None = None
        self._hinted_at_s = -_HINTS_S
        self._event: Final = threading.Event()
        self._answer: LogHeld | None = None
        self._number = 0
        self._is_known = False  # what the database holds
        self._place: Place | None = None
        self._unheard: LogBatch | None = None
        self._sent_at_s = -_AGAIN_S
        self._has_more = True
        self._trouble = "Exim writes no log file" if follower is None else ""

    def note_held(self, answer: LogHeld) -> None:
        """Note what the database holds since it saw a batch."""
        self._answer = answer
        self.wake()

    def wake(self) -> None:
        """Let `step` return at once."""
        self._event.set()

    def step(self) -> None:
        """Tell what there is, or wait at most half a second for it."""
        self._hear()
        now_s = self._monotonic_s()
        if self._unheard is not None:
            if now_s - self._sent_at_s >= _AGAIN_S:
                self._tell(self._unheard, now_s)
        elif self._has_more or now_s - self._sent_at_s >= _POLL_S:
            batch = self._next(now_s)
            if batch is not None:
                self._unheard = batch
                self._tell(batch, now_s)
        is_early = self._unheard is None and now_s - self._sent_at_s < _POLL_S
        self._event.wait(_POLL_S - (now_s - self._sent_at_s) if is_early else _POLL_S)
        self._event.clear()

    def _hear(self) -> None:
        answer, self._answer = self._answer, None
        sent = self._unheard
        if answer is None or sent is None or answer.batch != (sent.began_at_ms, sent.number):
            return
        self._unheard = None
        self._is_known = True
        self._place = answer.place

    def _next(self, now_s: float) -> LogBatch | None:
        """Return what is to be told now: lines, a sign of life, or the question where we are."""
        if not self._is_known:
            return self._batch()
        lines: tuple[LogLine, ...] = ()
        place, was = self._place, self._trouble
        if self._follower is not None:
            try:
                reading = self._follower.read(place, now_s=self._now_ms() / 1000)
            except OSError as error:
                self._trouble = f"{self._follower.path}: {error.strerror}"
            else:
                self._trouble = ""
                lines, place = reading.lines, reading.place
                self._has_more = reading.has_more
                if reading.is_lost:
                    _log.warning("mail_log_lost", host=self._host, path=self._follower.path)
        if self._trouble and self._trouble != was:
            _log.error("mail_log_not_read", host=self._host, reason=self._trouble)
        hints = self._new_hints(now_s)
        is_news = hints is not None or bool(lines) or place != self._place or self._trouble != was
        if not is_news and now_s - self._sent_at_s < _LIFE_S:
            return None
        return self._batch(lines, place, hints)

    def _new_hints(self, now_s: float) -> tuple[RetryHint, ...] | None:
        """Return the hints if they changed since they were told."""
        if now_s - self._hinted_at_s < _HINTS_S:
            return None
        self._hinted_at_s = now_s
        hints = self._ask_hints()
        if hints == self._hints:
            return None
        self._hints = hints
        return hints

    def _batch(
        self,
        lines: tuple[LogLine, ...] = (),
        place: Place | None = None,
        hints: tuple[RetryHint, ...] | None = None,
    ) -> LogBatch:
        self._number += 1
        return LogBatch(
            host=self._host,
            began_at_ms=self._began_at_ms,
            number=self._number,
            path=self._follower.path if self._follower else "",
            trouble=self._trouble,
            after=self._place,
            place=place,
            lines=lines,
            hints=hints,
        )

    def _tell(self, batch: LogBatch, now_s: float) -> None:
        self._sent_at_s = now_s
        try:
            self._send(batch)
        except UnavailableError:
            return  # it is sent again; the spool's teller says so
