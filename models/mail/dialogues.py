"""What Exim and a receiver say to each other while a message is tried; no I/O, no clock."""

from typing import Final

from msgspec import Struct

from models.mail.rules import Action

# Of one attempt; a receiver that talks on is cut off, and the dialogue says so.
LINES_MAX: Final = 1_000
_LINE_CHARACTERS_MAX: Final = 1_000
_CUT: Final = "… what follows is not kept"
# Of an attempt that goes on something is told at least so often, though nobody speaks,
SIGN_EVERY_S: Final = 10
# and one of which nothing came for so long was lost, with its host or the way to it.
LOST_AFTER_S: Final = 45
# Stands for a line that is on its way, or was lost.
MISSING: Final = "…"


class Piece(Struct, frozen=True, kw_only=True):
    """A part of the dialogue of one attempt: its lines from number `first` on, counted from 0."""

    operation_id: str
    message_id: str
    host: str
    action: Action
    first: int
    lines: tuple[str, ...]
    is_over: bool = False


class Dialogue(Struct, frozen=True, kw_only=True):
    """The last attempt of a message that somebody asked for, as far as it is.

    One that `is_lost` is over for who listens: nobody tells of it any more. How the attempt ended
    is in the log of its host.
    """

    operation_id: str
    message_id: str
    host: str
    action: Action
    lines: tuple[str, ...]
    is_over: bool
    is_lost: bool = False


class Listening:
    """The dialogue of one attempt, as it grows; for one thread at a time."""

    def __init__(self, operation_id: str, message_id: str, host: str, action: Action) -> None:
        self._operation_id: Final = operation_id
        self._message_id: Final = message_id
        self._host: Final = host
        self._action: Final = action
        self._lines: list[str] = []
        self._taken = 0
        self._is_over = False
        self._was_told_over = False

    def hear(self, line: str) -> None:
        """Note a line."""
        kept = self._taken + len(self._lines)
        if kept < LINES_MAX:
            self._lines.append(
                line.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LINE_CHARACTERS_MAX]
            )
        elif kept == LINES_MAX:
            self._lines.append(_CUT)

    def end(self) -> None:
        """Note that the attempt is over."""
        self._is_over = True

    @property
    def is_told(self) -> bool:
        """Say whether there will be nothing more to take."""
        return self._was_told_over

    def take(self, *, is_sign_due: bool = False) -> Piece | None:
        """Return what came since the last time; None when nothing did and no sign is due."""
        is_quiet = not self._lines and not self._is_over
        if self._was_told_over or (is_quiet and not is_sign_due):
            return None
        piece = Piece(
            operation_id=self._operation_id,
            message_id=self._message_id,
            host=self._host,
            action=self._action,
            first=self._taken,
            lines=tuple(self._lines),
            is_over=self._is_over,
        )
        self._taken += len(self._lines)
        self._lines = []
        self._was_told_over = self._is_over
        return piece


def joined(pieces: list[Piece], *, is_alive: bool = True) -> Dialogue | None:
    """Put the pieces of one attempt together; each line stands at its number.

    One that was not told to its end and is not `is_alive` either is lost.
    """
    lines: list[str] = []
    for each in sorted(pieces, key=lambda piece: piece.first):
        lines += [MISSING] * (each.first - len(lines))
        lines += each.lines
    if not pieces:
        return None
    some, is_told = pieces[0], any(each.is_over for each in pieces)
    return Dialogue(
        operation_id=some.operation_id,
        message_id=some.message_id,
        host=some.host,
        action=some.action,
        lines=tuple(lines),
        is_over=is_told or not is_alive,
        is_lost=not is_told and not is_alive,
    )
