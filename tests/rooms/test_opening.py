"""Proofs for the opening by draw, on a real Redis: everybody's marks move along, once."""

import contextlib
from collections.abc import Iterator
from itertools import zip_longest

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.rooms import scripts
from models.rooms.draw import Draw, LaneDraw, place_of, secret_of
from models.rooms.line_copy import LineCopy
from models.rooms.opening import Fix, Steps, opening
from models.rooms.rules import Arrival, Left, Place, State
from tests.rooms.rooms import CONFIG, START_MS, Room

SECRET = bytes(range(32))
OPENS_AT_MS = START_MS + 5_000


@pytest.fixture
def drawing(redis_client: redis.Redis) -> Room:
    """A room that opens in five seconds, by a draw."""
    return make(redis_client)


def make(client: redis.Redis) -> Room:
    room = Room(client)
    room.configure(draw=True, opens_at_ms=OPENS_AT_MS, capacity=1_000)
    return room


def open_by_draw(room: Room, *, steps_max: int = 1_000, fixed: list[object] | None = None) -> bool:
    """Run the steps of the opening, at most so many: whoever runs them is killed then."""
    fixed = [] if fixed is None else fixed
    steps: Steps = opening("sale", SECRET, now_ms=room.now_ms)
    answer = None
    for _ in range(steps_max):
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return bool(end.value)
        if isinstance(step, Fix):
            fixed.append(step.lanes)
            answer = fixed[0]
        else:
            answer = room.run(step)
    return False


def order_of(room: Room, places: list[Place]) -> list[int]:
    return [room.locate(place).position for place in places]


def expected_order(counts: list[int], places: list[Place]) -> list[int]:
    draw = Draw(secret_of(SECRET), tuple(LaneDraw(0, count) for count in counts))
    numbers = sorted((-each.lane, place_of(draw, each).number) for each in places)
    return [numbers.index((-each.lane, place_of(draw, each).number)) + 1 for each in places]


def test_room_admits_nobody_before_its_opening(room: Room) -> None:
    room.configure(opens_at_ms=OPENS_AT_MS)
    [first] = room.join_some(1)

    room.now_ms = OPENS_AT_MS - 1
    assert room.tick().admitted == 0
    room.now_ms = OPENS_AT_MS + 1_000
    assert room.tick().admitted == 1
    assert room.locate(first).state is State.ADMITTED


def test_room_that_draws_admits_nobody_before_the_draw(drawing: Room) -> None:
    drawing.join_some(3)
    drawing.now_ms = OPENS_AT_MS + 1_000

    assert drawing.tick().admitted == 0
    assert open_by_draw(drawing)
    drawing.now_ms += 1_000
    assert drawing.tick().admitted == 2


def test_opening_before_its_time_does_nothing(drawing: Room) -> None:
    places = drawing.join_some(20)

    assert not open_by_draw(drawing)
    assert order_of(drawing, places) == [20] * 20


def test_opening_puts_arrivals_in_the_drawn_order(drawing: Room) -> None:
    places = drawing.join_some(300) + drawing.join_some(40, lane=2)
    drawing.now_ms = OPENS_AT_MS

    assert open_by_draw(drawing)

    assert order_of(drawing, places) == expected_order([300, 0, 40, 0], places)


def test_who_comes_after_the_opening_stands_behind(drawing: Room) -> None:
    drawing.join_some(30)
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)

    late = drawing.join_some(3)

    assert order_of(drawing, late) == [31, 32, 33]


def test_who_left_before_the_opening_has_no_place_after_it(drawing: Room) -> None:
    places = drawing.join_some(50)
    for place in places[::3]:
        drawing.leave(place)
    drawing.now_ms = OPENS_AT_MS

    open_by_draw(drawing)

    assert {drawing.locate(place).state for place in places[::3]} == {State.GONE}
    here = [place for place in places if place not in places[::3]]
    assert sorted(order_of(drawing, here)) == list(range(1, len(here) + 1))


def test_who_fell_silent_before_the_opening_has_expired(drawing: Room) -> None:
    drawing.configure(opens_at_ms=OPENS_AT_MS + 60_000)
    silent, *others = drawing.join_some(10)
    for _ in range(8):
        drawing.now_ms += 1_000
        drawing.beat(*others)
        drawing.reap()
    drawing.now_ms = OPENS_AT_MS + 60_000

    open_by_draw(drawing)

    assert drawing.locate(silent).state is State.EXPIRED
    assert {drawing.locate(place).state for place in others} == {State.WAITING}


def test_opening_gives_everybody_the_whole_timeout(drawing: Room) -> None:
    places = drawing.join_some(10)
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)

    for _ in range(5):
        drawing.now_ms += 1_000
        assert drawing.reap().count == 0
    drawing.beat(places[4])
    for _ in range(3):
        drawing.now_ms += 1_000
        drawing.beat(places[4])
        drawing.reap()

    assert drawing.locate(places[4]).position == 1
    assert {drawing.locate(place).state for place in places} == {State.WAITING, State.EXPIRED}


def test_visitor_of_the_draw_leaves_under_the_old_token(drawing: Room) -> None:
    places = drawing.join_some(10)
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)

    assert drawing.leave(places[3]) is Left.LINE
    assert drawing.leave(places[3]) is Left.NOTHING
    assert [place for place in places if drawing.locate(place).state is State.GONE] == [places[3]]


def test_known_visitor_keeps_the_place_over_the_draw(drawing: Room) -> None:
    digests = [b"visitor%d" % each for each in range(9)]
    places = [each.place for each in drawing.join(*[Arrival(0, digest) for digest in digests])]
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)
    assert places[2]
    drawing.leave(places[2])

    again = [each.place for each in drawing.join(*[Arrival(0, digest) for digest in digests])]

    assert again == [*places[:2], Place(0, 9), *places[3:]]


def test_visitors_of_the_draw_are_admitted_in_its_order(drawing: Room) -> None:
    places = drawing.join_some(40)
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)
    rank = dict(zip(places, order_of(drawing, places), strict=True))

    rounds = []
    for _ in range(20):
        drawing.now_ms += 1_000
        drawing.beat(*places)
        drawing.tick()
        rounds.append(sorted(rank[place] for place in places if drawing.claim(place).is_new))

    assert [each for admitted in rounds for each in admitted] == list(range(1, 41))


def test_copy_of_the_line_knows_the_draw(drawing: Room) -> None:
    places = drawing.join_some(200) + drawing.join_some(7, lane=3)
    copy = LineCopy(drawing.run(scripts.snapshot("sale", now_ms=drawing.now_ms)))
    drawing.leave(places[5])
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)
    held = copy.line.epoch, copy.version
    call = scripts.snapshot("sale", epoch=held[0], version=held[1], now_ms=drawing.now_ms)
    copy.update([drawing.run(call)])

    for place in places:
        assert copy.locate(place).state is drawing.locate(place).state
        assert copy.locate(place).position == drawing.locate(place).position


@pytest.mark.parametrize("steps", range(1, 5))
def test_opening_that_was_killed_is_done_again_alike(redis_client: redis.Redis, steps: int) -> None:
    room = make(redis_client)
    places = room.join_some(60)
    room.leave(places[7])
    room.now_ms = OPENS_AT_MS
    fixed: list[object] = []

    open_by_draw(room, steps_max=steps, fixed=fixed)
    late = room.join_some(5)
    room.now_ms += 1_000
    assert open_by_draw(room, fixed=fixed)

    here = [place for place in places if place != places[7]]
    assert order_of(room, here) == expected_order([60, 0, 0, 0], here)
    assert order_of(room, late) == list(range(60, 65))


def test_opening_done_twice_changes_nothing(drawing: Room) -> None:
    places = drawing.join_some(30)
    drawing.now_ms = OPENS_AT_MS
    open_by_draw(drawing)
    before = order_of(drawing, places)

    assert open_by_draw(drawing)

    assert order_of(drawing, places) == before


def test_openings_at_the_same_time_agree(drawing: Room) -> None:
    places = drawing.join_some(30)
    drawing.now_ms = OPENS_AT_MS
    first, second = by_steps(drawing), by_steps(drawing)

    both = list(zip_longest(first, second))

    assert len(both) >= 3
    assert order_of(drawing, places) == expected_order([30, 0, 0, 0], places)


def test_who_leaves_while_the_room_opens_is_not_lost(drawing: Room) -> None:
    places = drawing.join_some(30)
    drawing.now_ms = OPENS_AT_MS
    leaving = iter(places[:9])

    for script in by_steps(drawing):
        if script == "read_gone.lua" and (place := next(leaving, None)):
            drawing.leave(place)

    assert {drawing.locate(place).state for place in places[:9]} == {State.GONE}
    assert sorted(order_of(drawing, places[9:])) == list(range(1, 22))


def by_steps(room: Room) -> Iterator[str]:
    """Open a room step by step; yields the script after each."""
    steps: Steps = opening("sale", SECRET, now_ms=room.now_ms)
    step = next(steps)
    with contextlib.suppress(StopIteration):
        while True:
            if isinstance(step, Fix):
                step = steps.send(step.lanes)
                continue
            answer = room.run(step)
            yield step.script.name
            step = steps.send(answer)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(0, 200),
    st.integers(0, 30),
    st.sets(st.integers(0, 199)),
    st.sampled_from([0, 65_500]),
)
def test_opening_is_a_new_order_of_the_same_visitors(
    redis_client: redis.Redis, count: int, vips: int, leaving: set[int], start: int
) -> None:
    redis_client.flushall()
    room = make(redis_client)
    room.start_at(start)
    places = room.join_some(count) + room.join_some(vips, lane=1)
    for each in leaving:
        if each < len(places):
            room.leave(places[each])
    before = {place: room.locate(place) for place in places}
    room.now_ms = OPENS_AT_MS

    assert open_by_draw(room)

    after = {place: room.locate(place) for place in places}
    assert {each: at.state for each, at in before.items()} == {
        each: at.state for each, at in after.items()
    }
    here = [each for each in places if after[each].state is State.WAITING]
    ranks = [sorted(after[each].position for each in here if each.lane == lane) for lane in (1, 0)]
    assert ranks[0] + ranks[1] == list(range(1, len(here) + 1))


def test_room_opens_whose_line_was_drawn_and_lost(drawing: Room) -> None:
    places = drawing.join_some(30)
    drawing.now_ms = OPENS_AT_MS
    fixed: list[object] = []
    open_by_draw(drawing, fixed=fixed)
    drawing.client.flushall()
    again = make(drawing.client)
    again.now_ms = OPENS_AT_MS + 1_000

    assert open_by_draw(again, fixed=fixed)

    assert {again.locate(place).state for place in places} == {State.UNKNOWN}
    assert again.run(scripts.freeze_draw("sale", now_ms=again.now_ms)).lanes == fixed[0]


assert CONFIG.rate_per_s == 2  # what the tests above count on
