"""A copy of one room's line in memory: where any place stands costs no question.

No I/O and no clock; exact as of the snapshot it was brought up to.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from models.rooms.draw import Draw, drawn_in, is_undrawn, place_of
from models.rooms.rules import (
    LANES,
    SEGMENT_NUMBERS,
    LineState,
    Place,
    Segment,
    Snapshot,
    Standing,
    State,
)

# Within a segment bits are counted ahead for blocks of this many bytes: a count reads one block.
_BLOCK_BYTES: Final = 64


@dataclass(slots=True)
class _Bits:
    """A segment's gone bits with how many lie before each block, made at the first question."""

    gone: bytes
    expired: bytes
    count: int
    before: list[int] | None = None

    def count_below(self, offset: int) -> int:
        """Return how many of the first `offset` are gone."""
        if self.before is None:
            blocks = range(0, len(self.gone), _BLOCK_BYTES)
            counts = (_ones(self.gone[each : each + _BLOCK_BYTES]) for each in blocks)
            self.before = list(accumulate(counts, initial=0))
        size, rest = divmod(offset, 8)
        block = min(size // _BLOCK_BYTES, len(self.before) - 1)
        count = self.before[block] + _ones(self.gone[block * _BLOCK_BYTES : size])
        if rest and size < len(self.gone):
            count += (self.gone[size] >> (8 - rest)).bit_count()
        return count


class LineCopy:
    """A room's line as of one moment, brought up to date by snapshots."""

    def __init__(self, first: Snapshot) -> None:
        self.line: LineState = first.line
        self.version = first.version
        self._segments: dict[tuple[int, int], _Bits] = {}
        # By lane: how many are gone in the segments before each, from that of the head on.
        self._gone_before: list[list[int]] = [[] for _ in LANES]
        self._gone_below_head: list[int] = []
        self._ahead: tuple[int, ...] = ()  # by lane: how many wait in the lanes before
        self._draw: Draw | None = None
        self._take(first.segments)
        self._count(first.line)

    def update(self, snapshots: list[Snapshot]) -> None:
        """Take in what changed: one or more snapshots, of which only the last is all."""
        last = snapshots[-1]
        if last.line.epoch != self.line.epoch:
            self._segments.clear()
        for each in snapshots:
            self._take(each.segments)
        self.version = last.version
        self._count(last.line)

    def locate(self, place: Place) -> Standing:
        """Say where a place stands.

        ADMITTED is whoever the head went by: `claim` has the last word. GONE may be in limbo:
        `present` has the last word. UNKNOWN is beyond the tail as of this copy.
        """
        line = self.line
        lane, number = place.lane, place_of(self._draw, place).number
        if number >= line.tails[lane]:
            return self._standing(State.UNKNOWN)
        segment, offset = divmod(number, SEGMENT_NUMBERS)
        bits = self._segments.get((lane, segment))
        if bits and _is_set(bits.gone, offset):
            is_expired = _is_set(bits.expired, offset)
            return self._standing(State.EXPIRED if is_expired else State.GONE)
        if number < line.heads[lane]:
            return self._standing(State.ADMITTED)
        return self._standing(State.WAITING, self._position(lane, segment, offset))

    def _position(self, lane: int, segment: int, offset: int) -> int:
        if is_undrawn(self.line):
            # Any place may yet come out: the last one promises nobody too much.
            return self._ahead[lane] + self.line.waits[lane]
        head = self.line.heads[lane]
        first = head // SEGMENT_NUMBERS
        gone = self._gone_before[lane][segment - first]
        if bits := self._segments.get((lane, segment)):
            gone += bits.count_below(offset)
        ahead = segment * SEGMENT_NUMBERS + offset - head - gone
        return ahead + self._gone_below_head[lane] + self._ahead[lane] + 1

    def _standing(self, state: State, position: int = 0) -> Standing:
        return Standing(state, position, self.line.length, self.line.at_ms)

    def _take(self, segments: tuple[Segment, ...]) -> None:
        for each in segments:
            bits = _Bits(each.gone, each.expired, _ones(each.gone))
            self._segments[each.lane, each.index] = bits

    def _count(self, line: LineState) -> None:
        """Count what positions need; segments behind the head say nothing any more."""
        self.line = line
        self._draw = drawn_in(line)
        firsts = [head // SEGMENT_NUMBERS for head in line.heads]
        for lane, index in list(self._segments):
            if index < firsts[lane]:
                del self._segments[lane, index]
        self._gone_below_head = []
        for lane in LANES:
            head, tail = line.heads[lane], line.tails[lane]
            segments = range(firsts[lane], tail // SEGMENT_NUMBERS + 1)
            held = (self._segments.get((lane, each)) for each in segments)
            counts = [bits.count if bits else 0 for bits in held]
            self._gone_before[lane] = list(accumulate(counts, initial=0))
            first = self._segments.get((lane, firsts[lane]))
            below = first.count_below(head % SEGMENT_NUMBERS) if first else 0
            self._gone_below_head.append(below)
        self._ahead = tuple(sum(line.waits[lane + 1 :]) for lane in LANES)


def _ones(text: bytes) -> int:
    return int.from_bytes(text, "big").bit_count()


def _is_set(bitmap: bytes, offset: int) -> bool:
    byte = offset // 8
    return byte < len(bitmap) and bool(bitmap[byte] & (128 >> offset % 8))
