"""Who is told what and when, with time as an argument."""

from dataclasses import dataclass, field
from typing import Any

from api.rooms.audience import Listener
from api.rooms.halls import Hall
from models.rooms.line_copy import LineCopy
from models.rooms.passes import Visitor
from models.rooms.rules import Counters, LineState, Place, RoomStatus, Segment, Snapshot


@dataclass
class Client:
    """A client that keeps up or does not."""

    keeps_up: bool = True
    holds: object = None
    heard: list[Any] = field(default_factory=list)

    def send(self, name: str, data: bytes) -> None:
        self.heard.append((name, data))

    async def dismiss(self) -> None:
        self.heard.append(None)


def line(head: int, tail: int, *, gone: bytes = b"") -> LineCopy:
    """Return the copy of a line of one lane."""
    left = int.from_bytes(gone, "big").bit_count()
    state = LineState(
        at_ms=0,
        status=RoomStatus.ACTIVE,
        epoch="1",
        heads=(head, 0, 0, 0),
        tails=(tail, 0, 0, 0),
        waits=(tail - head - left, 0, 0, 0),
        inside=0,
        capacity=1,
        rate_per_s=1,
        opens_at_ms=0,
        ticked_at_ms=0,
        hold_until_ms=0,
        counters=Counters(),
    )
    segments = (Segment(0, 0, gone, b""),) if gone else ()
    return LineCopy(Snapshot(line=state, version=1, is_all=True, segments=segments))


def hall_of(*numbers: int) -> tuple[Hall, list[Listener]]:
    hall, listeners = Hall("sale"), []
    for number in numbers:
        listener = Listener(Visitor("sale", Place(0, number), "position", "token", 0))
        listener.present = Client()
        hall.audience.add(listener)
        listeners.append(listener)
    return hall, listeners


def told(hall: Hall, copy: LineCopy, now_s: float) -> dict[int, int]:
    """Walk, and return who is told which position, by number."""
    news, _ = hall.walk(copy, now_s)
    for listener in news:
        listener.told_s = now_s
    return {listener.own.number: listener.position for listener in news}


def test_only_what_changed_is_told() -> None:
    hall, _ = hall_of(3, 5)

    assert told(hall, line(0, 10), 100.0) == {3: 4, 5: 6}
    assert told(hall, line(0, 10), 103.0) == {}
    assert told(hall, line(0, 10, gone=bytes([0b00001000])), 105.0) == {5: 5}


def test_nobody_is_told_twice_in_a_second_and_everybody_in_the_next() -> None:
    hall, _ = hall_of(5)
    assert told(hall, line(0, 10), 100.0) == {5: 6}

    assert told(hall, line(1, 10), 100.5) == {}
    assert not hall.is_due(hall.walked, 100.9)
    assert hall.is_due(hall.walked, 101.0)
    assert told(hall, line(2, 10), 101.0) == {5: 4}


def test_who_joins_behind_is_told_later() -> None:
    hall, _ = hall_of(5)
    assert told(hall, line(0, 10), 100.0) == {5: 6}

    assert told(hall, line(0, 11), 109.0) == {}
    assert told(hall, line(0, 12), 110.0) == {5: 6}


def test_slow_reader_hears_the_newest_place_when_it_has_read() -> None:
    hall, [listener] = hall_of(5)
    client = listener.present = Client(keeps_up=False)
    assert told(hall, line(0, 10), 100.0) == {}
    assert told(hall, line(1, 10), 102.0) == {}

    client.keeps_up = True

    assert told(hall, line(2, 10), 104.0) == {5: 4}


def test_who_left_is_not_told_a_place() -> None:
    hall, [listener] = hall_of(0)

    assert hall.walk(line(0, 10, gone=bytes([0b10000000])), 100.0) == ([], [listener])


def test_draw_moves_everybody() -> None:
    hall, _ = hall_of(0, 1, 2)

    hall.move(lambda own: Place(0, 2 - own.number))

    assert told(hall, line(0, 3), 100.0) == {0: 3, 1: 2, 2: 1}
