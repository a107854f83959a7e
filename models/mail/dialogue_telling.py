"""Tells what is said in attempts while they last: from the host, by the broker.

It is for who looks on. An attempt never waits for it. While the broker is away the last of what was
said is kept; how the attempt ended stands in Exim's own log in any case.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from models.errors import UnavailableError
from models.mail.dialogues import SIGN_EVERY_S, Listening, Piece
from models.mail.rules import Action

_EVERY_S: Final = 0.2
_LOOKS_TO_SIGN: Final = int(SIGN_EVERY_S / _EVERY_S)
# So many attempts are followed at a time; the doer makes far fewer.
_ATTEMPTS_MAX: Final = 256
# So much is kept while the broker is away: a minute or two of eight attempts.
_PIECES_MAX: Final = 1_000
_LINES_MAX: Final = 10_000

_log = structlog.stdlib.get_logger(__name__)


class DialogueTeller:
    """Sends what is said in the attempts of one host; safe for use by several threads."""

    def __init__(self, host: str, *, send: Callable[[Sequence[Piece]], None]) -> None:
        """`send` raises UnavailableError while the broker is away."""
        self._host: Final = host
        self._send: Final = send
        self._lock: Final = threading.Lock()
        self._attempts: Final[dict[tuple[str, str], Listening]] = {}
        self._stopping: Final = threading.Event()
        self._untold: list[Piece] = []  # of the thread that tells alone
        self._is_away = False
        self._looks = 0  # since signs of life were due

    def hear(self, operation_id: str, message_id: str, action: Action, line: str) -> None:
        """Take a line of an attempt."""
        which = operation_id, message_id
        with self._lock:
            attempt = self._attempts.get(which)
            if attempt is None:
                if len(self._attempts) >= _ATTEMPTS_MAX:
                    return
                attempt = Listening(operation_id, message_id, self._host, action)
                self._attempts[which] = attempt
            attempt.hear(line)

    def end(self, operation_id: str, message_id: str) -> None:
        """Take note that an attempt is over."""
        with self._lock:
            attempt = self._attempts.get((operation_id, message_id))
            if attempt is not None:
                attempt.end()

    def run(self) -> None:
        """Send what came, until stopped, and then once more."""
        while not self._stopping.wait(_EVERY_S):
            self._tell()
        self._tell()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    def _tell(self) -> None:
        self._looks = (self._looks + 1) % _LOOKS_TO_SIGN
        with self._lock:
            is_due = self._looks == 0
            taken = [each.take(is_sign_due=is_due) for each in self._attempts.values()]
            for which in [key for key, each in self._attempts.items() if each.is_told]:
                del self._attempts[which]
        pieces = [*self._untold, *(piece for piece in taken if piece is not None)]
        if not pieces:
            return
        self._untold = []
        try:
            self._send(pieces)
        except UnavailableError as error:
            self._untold = _last(pieces)
            if not self._is_away:
                _log.warning("mail_dialogue_not_told", reason=str(error))
            self._is_away = True
        else:
            self._is_away = False


def _last(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the last pieces that may be kept, in their order."""
    kept: list[Piece] = []
    lines = 0
    for each in reversed(pieces[-_PIECES_MAX:]):
        lines += len(each.lines)
        if lines > _LINES_MAX:
            break
        kept.append(each)
    return kept[::-1]
