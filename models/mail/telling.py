"""Tells the index what a watcher sees: one batch at a time, again until it is heard.

A task queue loses messages and turns them round, so the next batch goes out when the index has
answered that it holds the one before. What changes meanwhile gathers, each message once. The first
change after a quiet moment is told at once; after many there is a rest, so that a storm of changes
is told five times a second. A batch without changes goes out every two seconds, as a sign of life.
"""

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from models.errors import UnavailableError
from models.mail.rules import Applied, Batch
from models.mail.watcher import Watcher

LIFE_S: Final = 2.0
# Each batch costs a task, a commit and events: a thousand messages that change within a second
# take half of the work when they are told in a few batches, and Exim needs the processor too. So
# long is the rest after a batch for each of its messages, and at most; a full batch has none.
REST_EACH_S: Final = 0.02
REST_S_MAX: Final = 0.2
# A worker that is busy answers later than that; to send again is harmless.
_AGAIN_S: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


class Teller:
    """Sends what a watcher sees; `run` in a thread, `note_applied` from any."""

    def __init__(
        self,
        watcher: Watcher,
        *,
        generation: int,
        send: Callable[[Batch], None],
        new_generation: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` raises UnavailableError while the broker is away."""
        self.is_superseded = False  # by a watcher of the same host that began later
        self._watcher: Final = watcher
        self._generation = generation
        self._send: Final = send
        self._new_generation: Final = new_generation
        self._monotonic_s: Final = monotonic_s
        self._wake: Final = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._unheard: Batch | None = None
        self._sent_at_s = -LIFE_S
        self._rest_s = 0.0  # after the last batch
        self._answer: Applied | None = None
        self._is_away = False

    def note_applied(self, answer: Applied) -> None:
        """Note what the index answered to a batch."""
        self._answer = answer
        self.wake()

    def wake(self) -> None:
        """Let `step` return at once."""
        os.eventfd_write(self._wake, 1)

    @property
    def generation(self) -> int:
        """Return under which generation it tells."""
        return self._generation

    def close(self) -> None:
        """Let go of what is open, after the last step."""
        os.close(self._wake)

    def step(self) -> None:
        """Wait until there is something to do, at most two seconds, and do it."""
        self._wait()
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._hear()
        now_s = self._monotonic_s()
        if self._unheard is not None:
            if now_s - self._sent_at_s >= _AGAIN_S:
                self._tell(self._unheard, now_s)
        elif now_s - self._sent_at_s >= self._due_s():
            batch = self._unheard = self._watcher.take_batch()
            self._rest_s = min(REST_EACH_S * (len(batch.there) + len(batch.gone)), REST_S_MAX)
            self._tell(batch, now_s)

    def _wait(self) -> None:
        patience_s = max(self._sent_at_s + self._due_s() - self._monotonic_s(), 0.0)
        if self._unheard is None and not self._watcher.has_changes:
            self._watcher.wait(min(patience_s, LIFE_S), also=self._wake)
            return
        # A batch has its time: to wake for each note until then would be for nothing.
        select.select([self._wake], [], [], min(patience_s, REST_S_MAX))
        self._watcher.wait(0.0)

    def _due_s(self) -> float:
        """Return how long after the last batch the next one is due, or that one again."""
        if self._unheard is not None:
            return _AGAIN_S
        if self._watcher.is_behind:
            return 0.0
        return self._rest_s if self._watcher.has_changes else LIFE_S

    def _hear(self) -> None:
        """Compare the index's answer with what was sent; answers to earlier batches are late."""
        answer, self._answer = self._answer, None
        sent = self._unheard
        if answer is None or sent is None or answer.to_batch != (sent.generation, sent.number):
            return
        self._unheard = None
        if answer.holds == answer.to_batch:
            return
        if answer.holds[0] > self._generation:
            self.is_superseded = True
            return
        # The index forgot us, as after a restore: tell everything anew.
        _log.warning("mail_index_forgot", generation=answer.holds[0], number=answer.holds[1])
        self._generation = self._new_generation()
        self._watcher.begin_again(self._generation)

    def _tell(self, batch: Batch, now_s: float) -> None:
        self._sent_at_s = now_s
        try:
            self._send(batch)
        except UnavailableError as error:
            if not self._is_away:
                _log.warning("mail_not_told", reason=str(error))
            self._is_away = True
        else:
            self._is_away = False
