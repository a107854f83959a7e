"""Tells the index what a watcher sees: one batch at a time, again until it is heard.

A task queue loses messages and turns them round, so the next batch goes out when the index has
answered that it holds the one before. What changes meanwhile gathers, each message once. A batch
without changes goes out every two seconds, as a sign of life.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from models.errors import UnavailableError
from models.mail.rules import Applied, Batch
from models.mail.watcher import Watcher

LIFE_S: Final = 2.0
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
        self._watcher.wait(self._patience_s(), also=self._wake)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._hear()
        now_s = self._monotonic_s()
        if self._unheard is not None:
            if now_s - self._sent_at_s >= _AGAIN_S:
                self._tell(self._unheard, now_s)
        elif self._watcher.has_changes or now_s - self._sent_at_s >= LIFE_S:
            self._unheard = self._watcher.take_batch()
            self._tell(self._unheard, now_s)

    def _patience_s(self) -> float:
        if self._unheard is None and self._watcher.has_changes:
            return 0.0
        due_s = LIFE_S if self._unheard is None else _AGAIN_S
        return min(max(self._sent_at_s + due_s - self._monotonic_s(), 0.0), LIFE_S)

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
