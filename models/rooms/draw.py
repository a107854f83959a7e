"""The draw: who came before a room opened is put in an order that nobody chose.

Arrivals keep the number they got in their lane, and the draw is a permutation of these numbers:
the place of arrival `n` is `first + P(n - first)`. P depends on a secret whose SHA-256 is published
before anybody joins (the commitment) and which is published itself at the opening, and on how many
had come by then. So nobody can change the order afterwards, and everybody can work it out again.

P is a Feistel network over two digits, `left + columns * right`, in turn added to by the SHA-256 of
the other, walked on while the result is no number of the line (Black and Rogaway, Ciphers with
arbitrary finite domains, 2002). Its value for one number costs a constant, so no list of places is
stored or sent. No I/O, no clock, no randomness.
"""

import hashlib
import hmac
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from models.rooms.rules import LANES, SEGMENT_NUMBERS, LineState, Place

ALGORITHM: Final = "stanchion-draw-1"
# Two would do for a large line; a line of a handful needs more until each order is as likely as
# any other, and all rounds together still cost about a microsecond.
ROUNDS: Final = 16
# Bitmaps by segment, the first number of a segment in the highest bit of its first byte.
Marks = Mapping[int, bytes]
_BITS_OF: Final = [[bit for bit in range(8) if byte & 128 >> bit] for byte in range(256)]


class Permutation:
    """A permutation of the numbers below `count`, chosen by a secret.

    Making one hashes 32 times the square root of `count`; its values are looked up from that.
    """

    def __init__(self, secret: bytes, lane: int, count: int) -> None:
        self._count: Final = count
        self._columns: Final = math.isqrt(max(count - 1, 0)) + 1
        self._rows: Final = max(-(-count // self._columns), 1)
        # Even rounds add to the column what the row hashes to, odd ones the other way round.
        sizes = ((self._rows, self._columns), (self._columns, self._rows))
        key = secret + bytes([lane]) + count.to_bytes(8)
        self._additions: Final = [
            [_hash(key, turn, digit) % sizes[turn % 2][1] for digit in range(sizes[turn % 2][0])]
            for turn in range(ROUNDS)
        ]

    def __call__(self, number: int) -> int:
        """Return where a number below `count` goes."""
        assert 0 <= number < self._count, f"{number} is not below {self._count}"
        columns, rows, additions = self._columns, self._rows, self._additions
        while True:
            right, left = divmod(number, columns)
            for turn in range(0, ROUNDS, 2):
                left = (left + additions[turn][right]) % columns
                right = (right + additions[turn + 1][left]) % rows
            number = left + columns * right
            # Numbers beyond the line lead back into it: a permutation has no dead ends.
            if number < self._count:
                return number

    def table(self) -> bytes:
        """Return what it looks up, 4 bytes each, as `lua/drawn_numbers.lua` reads it."""
        values = [value for additions in self._additions for value in additions]
        return struct.pack(f">{len(values)}I", *values)


@dataclass(frozen=True, slots=True)
class LaneDraw:
    """Which numbers of a lane were drawn: `count` of them, from `first` on."""

    first: int = 0
    count: int = 0


@dataclass(frozen=True)
class Draw:
    """A draw that took place."""

    secret: bytes
    lanes: tuple[LaneDraw, ...]  # the lowest first

    @cached_property
    def _permutations(self) -> list[Permutation]:
        return [
            _permutation(self.secret, lane, drawn.count) for lane, drawn in enumerate(self.lanes)
        ]

    def tables(self) -> list[bytes]:
        """Return the table of each lane's permutation."""
        return [permutation.table() for permutation in self._permutations]

    def number_of(self, lane: int, arrival: int) -> int:
        """Return the number in the line of an arrival; who came after the draw keeps his own."""
        drawn = self.lanes[lane]
        if not drawn.first <= arrival < drawn.first + drawn.count:
            return arrival
        return drawn.first + self._permutations[lane](arrival - drawn.first)


def place_of(draw: Draw | None, arrival: Place) -> Place:
    """Return the place in the line that a token's lane and number mean; `draw` None: none yet.

    Before the draw the arrival stands for the place: whoever leaves or keeps silent then is marked
    under it, and the opening moves the marks. Scripts do the same by `lua/drawn_numbers.lua`.
    """
    if draw is None:
        return arrival
    return Place(arrival.lane, draw.number_of(arrival.lane, arrival.number))


def drawn_in(line: LineState) -> Draw | None:
    """Return the draw that a room was opened by, as Redis holds it; None: none, or not yet."""
    fields = line.fields
    if fields.get("drawn") != "1":
        return None
    lanes = tuple(
        LaneDraw(int(fields[f"drawn_first{lane}"]), int(fields[f"drawn_count{lane}"]))
        for lane in LANES
    )
    return _draw(bytes.fromhex(fields["draw_secret"]), lanes)


def is_undrawn(line: LineState) -> bool:
    """Say whether places are yet to be drawn, so that no position is one."""
    return line.fields.get("draw") == "1" and line.fields.get("drawn") != "1"


def secret_of(room_secret: bytes) -> bytes:
    """Return the secret of a room's draw; publishing it tells nothing of the room's own."""
    return hmac.digest(room_secret, b"draw", "sha256")


def commitment_of(secret: bytes) -> str:
    """Return what is published before the draw: the SHA-256 of the secret, in hex."""
    return hashlib.sha256(secret).hexdigest()


def moved(marks: Marks, move: Callable[[int], int]) -> dict[int, bytes]:
    """Move the marks of a lane from arrivals to places; what `move` maps to itself stays.

    A segment that lost all its marks is in the answer, empty.
    """
    to: dict[int, bytearray] = {segment: bytearray() for segment in marks}
    for number in _numbers(marks):
        segment, offset = divmod(move(number), SEGMENT_NUMBERS)
        bits = to.setdefault(segment, bytearray())
        if len(bits) <= offset >> 3:
            bits.extend(bytes((offset >> 3) + 1 - len(bits)))
        bits[offset >> 3] |= 128 >> (offset & 7)
    return {segment: bytes(bits) for segment, bits in to.items()}


def differing(one: Marks, other: Marks) -> dict[int, bytes]:
    """Return the marks that only one of two has; a segment that neither has is not in it."""
    return {
        segment: _exclusive(one.get(segment, b""), other.get(segment, b""))
        for segment in one.keys() | other.keys()
    }


def _exclusive(one: bytes, other: bytes) -> bytes:
    size = max(len(one), len(other))
    bits = int.from_bytes(one.ljust(size, b"\0")) ^ int.from_bytes(other.ljust(size, b"\0"))
    return bits.to_bytes(size)


def _numbers(marks: Marks) -> Iterator[int]:
    for segment, bits in marks.items():
        first = segment * SEGMENT_NUMBERS
        for index, byte in enumerate(bits):
            if byte:
                for bit in _BITS_OF[byte]:
                    yield first + index * 8 + bit


@lru_cache(maxsize=64)
def _draw(secret: bytes, lanes: tuple[LaneDraw, ...]) -> Draw:
    """Return the same object for the same draw, since it knows its permutations."""
    return Draw(secret, lanes)


@lru_cache(maxsize=64)
def _permutation(secret: bytes, lane: int, count: int) -> Permutation:
    return Permutation(secret, lane, count)


def _hash(key: bytes, turn: int, digit: int) -> int:
    said = key + bytes([turn]) + digit.to_bytes(8)
    return int.from_bytes(hashlib.sha256(said).digest()[:8])
