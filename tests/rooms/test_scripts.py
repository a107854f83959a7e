"""What each script does, on a real Redis at times that a test says."""

import pytest
import redis

from models.rooms import scripts
from models.rooms.rules import Arrival, Entry, Left, Place, RoomLostError, RoomStatus, State
from tests.rooms.rooms import CONFIG, SESSION_MS, START_MS, Room, session_id

ANNA = b"anna\0\0\0\0"


def digest(number: int) -> bytes:
    """Return the digest of a visitor, spread as a hash is."""
    return (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")


def test_join_gives_numbers_in_order_and_counts_the_lanes_before(room: Room) -> None:
    normal, premium, second = room.join(Arrival(0), Arrival(3), Arrival(0))

    assert (normal.place, normal.position) == (Place(0, 0), 1)
    assert (premium.place, premium.position) == (Place(3, 0), 1)
    assert (second.place, second.position, second.length) == (Place(0, 1), 3, 3)
    assert room.positions([Place(3, 0), Place(0, 0), Place(0, 1)]) == [1, 2, 3]


def test_join_finds_who_is_here_in_this_batch_and_before(room: Room) -> None:
    first, again = room.join(Arrival(1, ANNA), Arrival(0, ANNA))
    [later] = room.join(Arrival(2, ANNA))

    assert first.entry is Entry.JOINED
    assert (again.entry, again.place) == (Entry.KNOWN, first.place)
    assert (later.entry, later.place) == (Entry.KNOWN, first.place)


def test_join_gives_a_new_place_after_leaving(room: Room) -> None:
    [first] = room.join(Arrival(0, ANNA))
    assert first.place

    assert room.leave(first.place) is Left.LINE
    [again] = room.join(Arrival(0, ANNA))

    assert (again.entry, again.place) == (Entry.JOINED, Place(0, 1))


def test_join_finds_who_is_inside_until_the_session_is_over(room: Room) -> None:
    [first] = room.join(Arrival(0, ANNA))
    assert first.place
    room.now_ms += 500
    room.tick()
    kept = room.join(Arrival(0, ANNA))[0].entry
    room.claim(first.place)
    inside = room.join(Arrival(0, ANNA))[0].entry
    room.now_ms += SESSION_MS
    [after] = room.join(Arrival(0, ANNA))

    assert (kept, inside, after.entry) == (Entry.KNOWN, Entry.KNOWN, Entry.JOINED)


def test_join_refuses_when_the_line_is_full(room: Room) -> None:
    room.configure(line_max=2)

    entries = [each.entry for each in room.join(Arrival(0, ANNA), Arrival(), Arrival())]
    [known] = room.join(Arrival(0, ANNA))

    assert entries == [Entry.JOINED, Entry.JOINED, Entry.FULL]
    assert known.entry is Entry.KNOWN


@pytest.mark.parametrize(
    ("status", "entry"),
    [
        (RoomStatus.PAUSED, Entry.JOINED),
        (RoomStatus.MAINTENANCE, Entry.MAINTENANCE),
        (RoomStatus.CLOSED, Entry.CLOSED),
    ],
)
def test_join_follows_the_status(room: Room, status: RoomStatus, entry: Entry) -> None:
    room.configure(status=status)

    [joined] = room.join(Arrival())

    assert joined.entry is entry


def test_join_takes_thousands_in_one_call_across_segments(room: Room) -> None:
    room.start_at(65_000)

    joined = room.join(*[Arrival(0, digest(number)) for number in range(3_000)])
    again = room.join(*[Arrival(0, digest(number)) for number in range(3_000)])

    assert [each.position for each in joined] == list(range(1, 3_001))
    assert [each.place for each in again] == [each.place for each in joined]
    assert room.line().tails == (68_000, 65_000, 65_000, 65_000)


def test_identities_of_those_who_left_do_not_pile_up(room: Room) -> None:
    for start in range(0, 20_000, 500):
        joined = room.join(*[Arrival(0, digest(start + more)) for more in range(500)])
        places = [each.place for each in joined if each.place]
        scripts.run_all(room.client, [scripts.leave(room.id, place) for place in places])

    kept = sum(room.client.hlen(key) for key in room.client.keys("{q:sale}:ids:*"))
    assert kept < 1_500


def test_identities_fill_hashes_of_one_piece(room: Room) -> None:
    for start in range(0, 10_000, 1_000):
        room.join(*[Arrival(0, digest(start + more)) for more in range(1_000)])

    sizes = [room.client.hlen(key) for key in room.client.keys("{q:sale}:ids:*")]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 128


def test_tick_admits_by_rate_and_in_order(room: Room) -> None:
    places = room.join_some(4)
    room.now_ms += 1_000

    ticked = room.tick()

    assert [(each.lane, each.start, each.end) for each in ticked.grants] == [(0, 0, 2)]
    assert (ticked.admitted, ticked.inside, ticked.waiting) == (2, 2, 2)
    states = [room.locate(place).state for place in places]
    assert states == [State.ADMITTED, State.ADMITTED, State.WAITING, State.WAITING]
    assert room.positions(places) == [0, 0, 1, 2]


def test_tick_twice_admits_nobody_twice(room: Room) -> None:
    room.join_some(4)
    room.now_ms += 1_000

    room.tick()

    assert room.tick().admitted == 0


def test_tick_admits_higher_lanes_first(room: Room) -> None:
    room.join_some(2, lane=0)
    room.join_some(1, lane=3)
    room.join_some(1, lane=2)
    room.now_ms += 1_500

    ticked = room.tick()

    assert [(each.lane, each.count) for each in ticked.grants] == [(3, 1), (2, 1), (0, 1)]


def test_tick_passes_by_those_who_left(room: Room) -> None:
    places = room.join_some(6)
    for place in (places[0], places[2], places[3]):
        room.leave(place)
    room.now_ms += 1_000

    [grant] = room.tick().grants

    assert (grant.start, grant.end, grant.count) == (0, 5, 2)
    assert room.claim(places[2]).state is State.GONE
    assert room.claim(places[4]).state is State.ADMITTED


def test_tick_saves_up_two_seconds_at_most(room: Room) -> None:
    room.configure(capacity=100)
    room.now_ms += 3_600_000
    room.join_some(50)

    assert room.tick().admitted == 4


@pytest.mark.parametrize("status", [RoomStatus.PAUSED, RoomStatus.MAINTENANCE, RoomStatus.CLOSED])
def test_tick_admits_nobody_unless_active_and_without_a_burst_after(
    room: Room, status: RoomStatus
) -> None:
    room.join_some(5)
    room.configure(status=status)
    for _ in range(20):
        room.now_ms += 250
        assert room.tick().admitted == 0
    room.configure(status=RoomStatus.ACTIVE)
    room.now_ms += 500

    assert room.tick().admitted == 1


def test_tick_waits_for_the_opening_and_the_draw(room: Room) -> None:
    room.join_some(5)
    room.configure(opens_at_ms=START_MS + 2_000, draw=True)
    room.now_ms += 1_999
    before = room.tick().admitted
    room.now_ms += 1_000
    undrawn = room.tick().admitted
    room.configure(draw=False)
    room.now_ms += 1_000

    assert (before, undrawn, room.tick().admitted) == (0, 0, 2)


def test_tick_stops_at_the_capacity_and_goes_on_when_slots_come_back(room: Room) -> None:
    places = room.join_some(10)
    for _ in range(10):
        room.now_ms += 1_000
        room.beat(*places)
        room.tick()
        for place in places[:5]:
            room.claim(place, life_ms=20_000)
    full = room.line()
    room.now_ms += 20_000
    ticked = room.tick()

    assert (full.inside, full.length) == (5, 5)
    assert len(ticked.ended_session_ids) == 5
    assert ticked.inside == ticked.admitted == 4


def test_tick_takes_slots_back_from_who_did_not_come(room: Room) -> None:
    places = room.join_some(3)
    room.now_ms += 1_000
    room.tick()
    room.claim(places[0])
    room.now_ms += 10_000

    ticked = room.tick()

    assert (ticked.no_shows, ticked.admitted, ticked.inside) == (1, 1, 2)
    assert room.claim(places[1]).state is State.EXPIRED
    assert room.locate(places[1]).state is State.EXPIRED


def test_lowered_limits_send_nobody_out(room: Room) -> None:
    places = room.join_some(8)
    for _ in range(3):
        room.now_ms += 1_000
        room.tick()
    for place in places[:5]:
        room.claim(place)
    room.configure(capacity=2, rate_per_s=1, line_max=1)
    room.now_ms += 2_000

    ticked = room.tick()

    assert (ticked.admitted, ticked.inside, ticked.waiting) == (0, 5, 3)


def test_tick_knows_how_long_the_admitted_waited(room: Room) -> None:
    room.join_some(1)
    room.now_ms += 1_000
    room.join_some(1)
    room.now_ms += 2_000
    room.tick()

    counters = room.line().counters
    assert (counters.admitted, counters.waits_ms) == (2, 3_000 + 2_000)


def test_claim_begins_one_session(room: Room) -> None:
    [place] = room.join_some(1)
    waiting = room.claim(place)
    room.now_ms += 500
    room.tick()
    first = room.claim(place)
    room.now_ms += 100
    again = room.claim(place)

    assert waiting.state is State.WAITING
    assert first.is_new
    assert first.session
    assert first.session.ends_at_ms == first.at_ms + SESSION_MS
    assert not again.is_new
    assert again.session == first.session
    assert room.line().inside == 1


def test_claim_of_an_ended_session_is_refused(room: Room) -> None:
    [place] = room.join_some(1)
    room.now_ms += 500
    room.tick()
    room.claim(place)
    ended = room.run(scripts.end_session(room.id, place, reason="abuse", now_ms=room.now_ms))

    claim = room.claim(place)

    assert ended.was_ended_now
    assert claim.state is State.EXPIRED
    assert claim.session
    assert claim.session.over == "abuse"
    assert room.line().inside == 0


def test_claim_of_a_number_never_given_out_is_unknown(room: Room) -> None:
    assert room.claim(Place(0, 3)).state is State.UNKNOWN
    assert room.locate(Place(0, 3)).state is State.UNKNOWN


def test_leave_gives_back_what_was_held(room: Room) -> None:
    places = room.join_some(3)
    room.now_ms += 1_000
    room.tick()
    room.claim(places[0])

    left = [room.leave(place) for place in places]

    assert left == [Left.SESSION, Left.SLOT, Left.LINE]
    assert [room.leave(place) for place in places] == [Left.NOTHING] * 3
    line = room.line()
    assert (line.inside, line.length, line.counters.cancelled) == (0, 0, 2)


def test_session_is_touched_extended_and_read(room: Room) -> None:
    [place] = room.join_some(1)
    room.now_ms += 500
    room.tick()
    began_ms = room.now_ms
    room.claim(place, life_ms=10_000)
    room.now_ms += 4_000

    def touch(extend_ms: int) -> int:
        session = room.run(
            scripts.touch_session(
                room.id, place, extend_ms=extend_ms, cap_ms=15_000, now_ms=room.now_ms
            )
        )
        return int(session.ends_at_ms) - began_ms

    assert [touch(0), touch(3_000), touch(9_000), touch(60_000)] == [10_000, 10_000, 13_000, 15_000]
    session = room.run(scripts.read_session(room.id, place, now_ms=room.now_ms))
    assert (session.views, session.seen_at_ms, session.over) == (4, room.now_ms, "")
    found = room.run(scripts.find_session(room.id, session_id(place), now_ms=room.now_ms))
    assert found.place == place
    page = room.run(scripts.sessions(room.id, now_ms=room.now_ms))
    assert (page.total, page.sessions) == (1, (session,))
    room.now_ms = began_ms + 15_000
    assert room.run(scripts.read_session(room.id, place, now_ms=room.now_ms)).over == "expired"
    assert room.run(scripts.read_session(room.id, Place(0, 9))) is None


def test_fade_shortens_the_deadline_and_a_heartbeat_restores_it(room: Room) -> None:
    left, back, stays = room.join_some(3)
    room.now_ms += 5_000
    room.beat(left, back, stays)
    for place in (left, back):
        room.run(scripts.fade(room.id, place, within_ms=1_000, now_ms=room.now_ms))
    room.now_ms += 500
    room.beat(back)
    room.now_ms += 1_500

    assert room.reap().count == 1
    states = [room.locate(place).state for place in (left, back, stays)]
    assert states == [State.EXPIRED, State.WAITING, State.WAITING]


def test_fade_counts_before_anybody_can_be_silent(room: Room) -> None:
    room.configure(heartbeat_timeout_ms=60_000)
    left, back, at_once, admitted = room.join_some(4)

    def fade(*places: Place) -> None:
        for place in places:
            room.run(scripts.fade(room.id, place, within_ms=5_000, now_ms=room.now_ms))

    room.now_ms += 1_000
    fade(left, back, at_once)
    room.beat(at_once)
    room.now_ms += 3_000
    room.beat(back)
    before = room.reap().count
    room.now_ms += 2_000

    assert (before, room.reap().count, room.reap().count) == (0, 1, 0)
    states = [room.locate(place).state for place in (left, back, at_once, admitted)]
    assert states == [State.EXPIRED, *[State.WAITING] * 3]
    assert room.positions([back, at_once, admitted]) == [1, 2, 3]
    assert room.line().length == 3


def test_fade_of_a_page_loaded_again_and_again_counts_from_the_last(room: Room) -> None:
    room.configure(heartbeat_timeout_ms=60_000)
    [place] = room.join_some(1)
    for _ in range(3):
        room.now_ms += 3_000
        room.beat(place)
        room.run(scripts.fade(room.id, place, within_ms=5_000, now_ms=room.now_ms))
        assert room.reap().count == 0
    room.now_ms += 4_999
    before = room.reap().count
    room.now_ms += 1

    assert (before, room.reap().count) == (0, 1)


@pytest.mark.parametrize("meanwhile", ["timeout", "maintenance"])
def test_fade_is_void_where_nobody_could_be_heard_meanwhile(room: Room, meanwhile: str) -> None:
    room.configure(heartbeat_timeout_ms=60_000)
    [left] = room.join_some(1)
    room.now_ms += 1_000
    room.run(scripts.fade(room.id, left, within_ms=5_000, now_ms=room.now_ms))
    room.now_ms += 1_000
    if meanwhile == "timeout":
        room.configure(heartbeat_timeout_ms=30_000)
    else:
        room.configure(status=RoomStatus.MAINTENANCE)
        room.now_ms += 1_000
        room.configure(status=RoomStatus.ACTIVE)
    room.now_ms += 6_000

    assert room.reap().count == 0
    assert room.locate(left).state is State.WAITING


def test_maintenance_keeps_places(room: Room) -> None:
    places = room.join_some(3)
    room.configure(status=RoomStatus.MAINTENANCE)
    for _ in range(20):
        room.now_ms += 1_000
        assert room.reap().count == 0
    room.configure(status=RoomStatus.ACTIVE)
    room.now_ms += 5_000

    assert room.reap().count == 0
    assert room.positions(places) == [1, 2, 3]
    room.now_ms += 2_000
    assert room.reap().count == 3


def test_a_shorter_timeout_begins_anew(room: Room) -> None:
    room.join_some(1)
    room.now_ms += 4_000
    room.configure(heartbeat_timeout_ms=2_000)
    counts = []
    for _ in range(5):
        room.now_ms += 500
        counts.append(room.reap().count)

    assert counts == [0, 0, 0, 0, 1]


def test_heartbeats_go_by_themselves(room: Room) -> None:
    [place] = room.join_some(1)
    room.beat(place)

    keys = room.client.keys("{q:sale}:beats:*")

    assert keys
    assert all(0 < room.client.pttl(key) <= 8_000 for key in keys)


def test_segments_behind_the_head_go(room: Room) -> None:
    room.start_at(65_530)
    room.configure(rate_per_s=1_000, capacity=1_000)
    places = room.join_some(20)
    room.leave(places[0])
    room.now_ms += 1_000
    room.tick()
    for place in places[1:]:
        room.claim(place)
    kept = room.client.exists("{q:sale}:claimed:0:0")
    room.now_ms += 1_000
    room.tick()

    assert kept
    left = [key for key in room.client.keys("{q:sale}:*:0:0") if b":beats:" not in key]
    assert left == []
    assert room.claim(places[0]).state is State.EXPIRED
    assert room.claim(places[1]).state is State.ADMITTED


def test_an_unknown_room_is_told_apart(redis_client: redis.Redis) -> None:
    with pytest.raises(RoomLostError):
        scripts.run(redis_client, scripts.tick("nowhere"))

    [error] = scripts.run_all(redis_client, [scripts.join("nowhere", [Arrival()])])
    assert isinstance(error, RoomLostError)


def test_a_room_that_redis_lost_begins_beyond_its_old_numbers(room: Room) -> None:
    [old] = room.join_some(1)
    room.client.flushall()
    room.now_ms += 3_600_000
    room.configure(created_at_ms=START_MS)

    [new] = room.join_some(1)

    assert new.number > 1_000_000_000
    assert room.claim(old).state is State.EXPIRED
    room.now_ms += 1_000
    assert room.tick().admitted == 0
    room.now_ms += 7_000
    assert room.tick().admitted == 1
    assert room.claim(new).is_new


def test_forget_leaves_nothing(room: Room) -> None:
    room.join(*[Arrival(number % 4, digest(number)) for number in range(9_000)])
    room.now_ms += 1_000
    room.tick()
    room.claim(Place(3, 0))
    calls = 1
    while room.run(scripts.forget(room.id)):
        calls += 1

    keys = [key for key in room.client.keys("*") if b":beats:" not in key]
    assert keys == []
    with pytest.raises(RoomLostError):
        room.tick()


def test_settings_are_kept_apart_by_room(redis_client: redis.Redis) -> None:
    one, other = Room(redis_client), Room(redis_client, room_id="other", config=CONFIG)
    one.join_some(3)

    assert other.line().length == 0
