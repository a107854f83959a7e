"""Signed codes: a priority for who has one, or the way into a room that is by invitation only.

A code is 20 bytes in Crockford's base 32, 32 characters in four groups: what it gives (1), how
often (2), until when (3), its serial (6) and the first 8 bytes of an HMAC-SHA256 over these with a
key of the room. No code is stored: making one writes nothing, and a room that is deleted and made
again takes none of its old ones. 64 bits of signature cannot be tried through a server that counts
requests. Only how often a code was used is counted, in Redis, until the code is over.

No I/O, no clock, no randomness: moments are arguments, Unix milliseconds.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from models.errors import ForbiddenError, InvalidError
from models.rooms.rules import LANES

USES_MAX: Final = 65_535
UNLIMITED: Final = 0  # as `uses_max`
SERIAL_BYTES: Final = 6
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# What people read or type for another: https://www.crockford.com/base32.html
_MISREAD: Final = str.maketrans("OILU", "011V", "- ")
_CHARACTERS: Final = 32
_BYTES: Final = 20
_GROUP: Final = 8
_SIGNED_BYTES: Final = 12
_MINUTE_MS: Final = 60_000
# Codes count minutes from 2020 on: 24 bits of them last until 2051.
_EPOCH_MS: Final = 1_577_836_800_000
EXPIRES_MS_MAX: Final = _EPOCH_MS + (2**24 - 1) * _MINUTE_MS
_VERSION: Final = 1
_NO_PRIORITY: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a code gives to whom it was given."""

    serial: bytes  # tells codes of a room apart
    priority: int | None  # the lane it opens; None: an invitation alone
    uses_max: int  # how many places it is good for, UNLIMITED: any number
    expires_at_ms: int  # a whole minute

    @property
    def identity(self) -> str | None:
        """Return what its bearer is known by: a code for one place stands for one visitor."""
        return f"code:{self.serial.hex()}" if self.uses_max == 1 else None


class InvalidCodeError(InvalidError):
    """The code is none, or none of this room: mistyped, made up, or of a room that is gone."""

    code = "invalid_code"

    def __init__(self) -> None:
        super().__init__({"code": "Expected a code of this queue"})
        self.args = ()  # so that the error can be pickled


class ExpiredCodeError(InvalidError):
    """The code was one of this room, and its time is over."""

    code = "expired_code"

    def __init__(self, expired_at_ms: int) -> None:
        super().__init__({"code": "The code has expired"})
        self.args = (expired_at_ms,)
        self.expired_at_ms = expired_at_ms


class UsedCodeError(InvalidError):
    """All the places that the code was good for are taken."""

    code = "used_code"

    def __init__(self, uses_max: int) -> None:
        super().__init__({"code": f"The code was good for {uses_max} and is used up"})
        self.args = (uses_max,)
        self.uses_max = uses_max


class CodeNeededError(ForbiddenError):
    """The room is by invitation only, or the priority is more than visitors may claim."""

    code = "code_needed"

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.details = {field: "Needs a code of this queue"}

    def __str__(self) -> str:
        return f"{next(iter(self.details))} needs a code of this queue"


def whole_minute(at_ms: int) -> int:
    """Return the last moment up to `at_ms` that a code can say."""
    return at_ms // _MINUTE_MS * _MINUTE_MS


def issue(room_secret: bytes, code: Code) -> str:
    """Write a code; raises InvalidError if it cannot be one."""
    faults = {
        "priority": code.priority is None or code.priority in LANES,
        "uses": 0 <= code.uses_max <= USES_MAX,
        "expires": _EPOCH_MS < code.expires_at_ms <= EXPIRES_MS_MAX,
    }
    if not all(faults.values()):
        bounds = {
            "priority": f"Expected 0 to {LANES[-1]}",
            "uses": f"Expected 0 to {USES_MAX}",
            "expires": "Expected a moment before 2051",
        }
        raise InvalidError({name: bounds[name] for name, is_good in faults.items() if not is_good})
    gives = _NO_PRIORITY if code.priority is None else code.priority
    minute = (code.expires_at_ms - _EPOCH_MS) // _MINUTE_MS
    signed = bytes([_VERSION << 4 | gives]) + code.uses_max.to_bytes(2) + minute.to_bytes(3)
    signed += code.serial
    return _written(signed + _signature(room_secret, signed))


def check(room_secret: bytes, text: str, *, now_ms: int) -> Code:
    """Return what a code gives in a room.

    Case, spaces and hyphens do not matter. Raises InvalidCodeError or ExpiredCodeError. Whether it
    is used up is known when its place is taken: see `uses.py`.
    """
    read = _read(text)
    signed, signature = read[:_SIGNED_BYTES], read[_SIGNED_BYTES:]
    if not hmac.compare_digest(signature, _signature(room_secret, signed)):
        raise InvalidCodeError
    gives = signed[0] & 15
    code = Code(
        serial=signed[-SERIAL_BYTES:],
        priority=None if gives == _NO_PRIORITY else gives,
        uses_max=int.from_bytes(signed[1:3]),
        expires_at_ms=_EPOCH_MS + int.from_bytes(signed[3:6]) * _MINUTE_MS,
    )
    if now_ms >= code.expires_at_ms:
        raise ExpiredCodeError(code.expires_at_ms)
    return code


def lane_of(asked: int, code: Code | None, *, public_priority_max: int, invite_only: bool) -> int:
    """Return the lane that somebody joins: what was asked for, or what the code gives if higher.

    Raises CodeNeededError naming `code` where only invited people may join, and `priority` where
    more is asked for than visitors may claim or the code gives.
    """
    if invite_only and code is None:
        raise CodeNeededError("code")
    given = (code.priority or 0) if code else 0
    if asked > max(public_priority_max, given):
        raise CodeNeededError("priority")
    return max(asked, given)


def _signature(room_secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(hmac.digest(room_secret, b"code", "sha256"), signed, "sha256")[:8]


def _written(code: bytes) -> str:
    number = int.from_bytes(code)
    shifts = range(5 * (_CHARACTERS - 1), -1, -5)
    text = "".join(_ALPHABET[number >> shift & 31] for shift in shifts)
    return "-".join(text[start : start + _GROUP] for start in range(0, _CHARACTERS, _GROUP))


def _read(text: str) -> bytes:
    # Bounded first: nobody need decode what is no code.
    characters = text.upper().translate(_MISREAD) if len(text) <= 2 * _CHARACTERS else ""
    if len(characters) != _CHARACTERS or any(each not in _ALPHABET for each in characters):
        raise InvalidCodeError
    number = 0
    for character in characters:
        number = number << 5 | _ALPHABET.index(character)
    code = number.to_bytes(_BYTES)
    if code[0] >> 4 != _VERSION:
        raise InvalidCodeError
    return code
