"""Who listens, in the order of the line: against counting by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from api.rooms.audience import Audience, Listener
from models.rooms.line_copy import LineCopy
from models.rooms.passes import Visitor
from models.rooms.rules import (
    LANES,
    Counters,
    LineState,
    Place,
    RoomStatus,
    Segment,
    Snapshot,
)

NUMBERS_MAX = 40


@st.composite
def lines(draw: st.DrawFn) -> tuple[Snapshot, list[Place]]:
    """Draw a line of four lanes, and who waits in it, in order."""
    tails = tuple(draw(st.integers(0, NUMBERS_MAX)) for _ in LANES)
    heads = tuple(draw(st.integers(0, tail)) for tail in tails)
    gone = {lane: draw(st.sets(st.integers(0, NUMBERS_MAX))) for lane in LANES}
    waiting = [
        Place(lane, number)
        for lane in sorted(LANES, reverse=True)
        for number in range(heads[lane], tails[lane])
        if number not in gone[lane]
    ]
    line = LineState(
        at_ms=0,
        status=RoomStatus.ACTIVE,
        epoch="1",
        heads=heads,
        tails=tails,
        waits=tuple(sum(place.lane == lane for place in waiting) for lane in LANES),
        inside=0,
        capacity=1,
        rate_per_s=1,
        opens_at_ms=0,
        ticked_at_ms=0,
        hold_until_ms=0,
        counters=Counters(),
    )
    segments = tuple(Segment(lane, 0, bitmap(gone[lane]), b"") for lane in LANES)
    return Snapshot(line=line, version=1, is_all=True, segments=segments), waiting


def bitmap(numbers: set[int]) -> bytes:
    size = NUMBERS_MAX // 8 + 1
    return sum(1 << size * 8 - 1 - number for number in numbers).to_bytes(size, "big")


places = st.builds(Place, st.sampled_from(sorted(LANES)), st.integers(0, NUMBERS_MAX))


def listener(place: Place) -> Listener:
    return Listener(Visitor("sale", place, "position", "token", 0))


@settings(deadline=None)
@given(lines(), st.lists(places, max_size=30))
def test_each_listener_gets_the_position_that_counting_gives(
    drawn: tuple[Snapshot, list[Place]], taken: list[Place]
) -> None:
    snapshot, waiting = drawn
    audience = Audience()
    for place in taken:
        audience.add(listener(place))
    positions = {place: position for position, place in enumerate(waiting, start=1)}

    passed = audience.take_passed(snapshot.line)
    walked = [(each.place, at) for each, at in audience.walk(LineCopy(snapshot))]

    heads, tails = snapshot.line.heads, snapshot.line.tails
    assert sorted(each.place for each in passed) == sorted(
        place for place in taken if not heads[place.lane] <= place.number < tails[place.lane]
    )
    assert len(walked) + len(passed) == len(taken)
    assert all(positions.get(place, 0) == position for place, position in walked)
    told = [position for _, position in walked if position]
    assert told == sorted(told)


@settings(deadline=None)
@given(st.lists(places, max_size=30), st.data())
def test_who_leaves_is_the_only_one_who_left(taken: list[Place], data: st.DataObject) -> None:
    audience, everybody = Audience(), [listener(place) for place in taken]
    for each in everybody:
        audience.add(each)
    leaving = data.draw(st.sets(st.sampled_from(range(len(taken))))) if taken else set()

    for index in leaving:
        audience.discard(everybody[index])
        audience.discard(everybody[index])

    left = {id(each) for index, each in enumerate(everybody) if index not in leaving}
    assert {id(each) for each in audience} == left
    assert len(audience) == len(left)
